//! A configuration file, checked: every value bounded, every default filled in, all mistakes named
//! at once. What comes out of here can be wired without asking again.
//!
//! The format is the predecessor's JSON, comments allowed, with nine sections more: `admin`,
//! `access`, `policies`, `memory`, `pack_files`, `limits`, `decision_log`, `images` and `traces`. `host/cli/README.md` lists every key with its default.

use std::{
    collections::BTreeSet,
    fmt, fs,
    io::Read,
    path::{Path, PathBuf},
};

use signalbox_engine::FleetSettings;
use signalbox_server::ServerSettings;

use crate::{
    cache::environment,
    config::{self, Ignored, Mistake, Section},
};

mod access;
mod aliases;
mod experts;
mod models;
mod pack_files;
mod policies;
mod server;
mod surroundings;
mod traces;

pub(crate) use access::{exposed, would_be_exposed};
pub(crate) use policies::Deployment;
pub(crate) use server::TOKEN_VARIABLE;
use surroundings::Places;
pub(crate) use surroundings::{Address, Environment, Machine};

/// Files larger than this are no configuration.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Everything a host needs to start.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The experts and their memory.
    pub(crate) fleet: FleetSettings,
    /// The policies and what is deployed at start.
    pub(crate) policies: Deployment,
    /// How requests are served.
    pub(crate) server: ServerSettings,
    /// Where clients come in.
    pub(crate) data: Address,
    /// Where operators come in.
    pub(crate) admin: Address,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub(crate) log_level: &'static str,
    /// Keys of the file that have no effect, with the reason.
    pub(crate) ignored: BTreeSet<Ignored>,
    /// What is hardly meant, in the order of the file.
    pub(crate) warnings: Vec<Mistake>,
}

/// A file that can't be used, with every reason.
#[derive(Debug)]
pub(crate) struct Unusable {
    /// The file.
    pub(crate) path: PathBuf,
    /// What is wrong, in the order of the file.
    pub(crate) mistakes: Vec<Mistake>,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.mistakes.len();
        let noun = if count == 1 { "mistake" } else { "mistakes" };
        write!(f, "{} can't be used: {count} {noun}", self.path.display())?;
        self.mistakes.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl std::error::Error for Unusable {}

impl Settings {
    /// Reads and checks a configuration file. Relative paths in it begin at its folder. A GGUF file or
    /// a folder of checkpoints is served as it is. Where the operator is `strict`, warnings are mistakes.
    ///
    /// # Errors
    /// A file that can't be read, or [`Unusable`] with every mistake in it.
    pub(crate) fn load(path: &Path, strict: bool) -> anyhow::Result<Self> {
        let (text, folder) = match models::configuration(path)? {
            Some(text) => (text, Path::new("")),
            None => (text(path)?, path.parent().unwrap_or(Path::new(""))),
        };
        Self::parse(&text, folder, Machine::here(), &environment)
            .and_then(|settings| match settings.warnings.is_empty() || !strict {
                true => Ok(settings),
                false => Err(settings.warnings),
            })
            .map_err(|mistakes| Unusable { path: path.to_owned(), mistakes }.into())
    }

    /// Checks a configuration.
    ///
    /// # Errors
    /// Every mistake in it, in the order of the text.
    pub(crate) fn parse(
        text: &str,
        folder: &Path,
        machine: Machine,
        environment: Environment<'_>,
    ) -> Result<Self, Vec<Mistake>> {
        let (settings, mut findings) =
            config::read(text, |root| settings(root, folder, machine, environment));
        findings.warnings.sort_by_key(|warning| warning.line);
        match settings {
            Some(settings) if findings.mistakes.is_empty() => {
                let (ignored, warnings) = (findings.ignored, findings.warnings);
                Ok(Self { ignored, warnings, ..settings })
            }
            // A key that is missing is often there under a name that is unknown.
            _ => {
                let mut all = findings.mistakes;
                all.extend(findings.warnings);
                all.sort_by_key(|mistake| mistake.line);
                Err(all)
            }
        }
    }
}

fn settings(
    root: &Section<'_>,
    folder: &Path,
    machine: Machine,
    environment: Environment<'_>,
) -> Settings {
    let limits = root.section("limits");
    let front = server::read(root, &limits, environment);
    // Sections whose every key is accepted without effect still have their keys checked.
    for idle in ["performance_tuning", "embedding_model", "rag"] {
        root.section(idle);
    }
    let places = Places { folder, home: environment("HOME").map(PathBuf::from) };
    let section = root.section("policies");
    let policies = policies::read(&section, &limits, &places, &front.server);
    let sections = root.sections("experts");
    let aliases = aliases::read(&sections);
    let fleet = FleetSettings {
        pack_files: pack_files::read(&root.section("pack_files"), &places, environment),
        ..experts::read((root, sections), &limits, &places, machine, &policies)
    };
    let ids: BTreeSet<&str> = fleet.experts.iter().map(|expert| expert.id.as_str()).collect();
    for (name, _) in policies.components.iter().filter(|(name, _)| ids.contains(name.as_str())) {
        let problem = format!("an expert has the name '{name}'; give the policy another one");
        section.mistake("components", problem);
    }
    for (key, expert) in access::unknown_experts(&front.server.access, &ids) {
        let known = ids.iter().copied().collect::<Vec<_>>().join(", ");
        let problem =
            format!("key \"{key}\" opens \"{expert}\", which is no expert; the ids are {known}");
        root.mistake("access", problem);
    }
    Settings {
        fleet,
        policies,
        server: ServerSettings {
            aliases,
            traces: traces::read(&root.section("traces"), environment),
            ..front.server
        },
        data: front.data,
        admin: front.admin,
        log_level: front.log_level,
        ignored: BTreeSet::new(),
        warnings: Vec::new(),
    }
}

fn text(path: &Path) -> anyhow::Result<String> {
    use anyhow::Context;
    let unreadable = || format!("{} can't be read", path.display());
    let mut text = String::new();
    // A device may go on for ever, so the bound is on what is read and not on what a file claims.
    let mut file = fs::File::open(path).with_context(unreadable)?.take(FILE_BYTES_MAX + 1);
    file.read_to_string(&mut text).with_context(unreadable)?;
    anyhow::ensure!(
        text.len() as u64 <= FILE_BYTES_MAX,
        "{} has more than {FILE_BYTES_MAX} bytes, which no configuration has",
        path.display()
    );
    Ok(text)
}

#[cfg(test)]
mod tests;
