//! `check --deep`: every expert is hashed, loaded and made to speak, one after the other, so that the
//! memory of one is free before the next begins. One that fails stops none of the others.

use std::{
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use indicatif::HumanBytes;
use serde_json::{Value, json};
use signalbox_engine::{EngineError, ExpertSettings, FleetSettings, SelfTest, self_test};

use super::{
    hash::{Files, Hashes, MANIFEST},
    known::Known,
};
use crate::{
    runtime,
    term::{Progress, Spinner, say, say_table, short, short_revision, table},
};

/// Characters of the generated text that the table shows.
const SHOWN: usize = 32;

/// What is wrong with an expert that ends its reply before it has said anything.
const SILENT: &str = "it answers a greeting with no text at all; put the tokenizer and the chat template of \
                      this very checkpoint there";

/// One expert, tried.
pub(super) struct Tested {
    id: String,
    hashes: io::Result<Hashes>,
    verdict: Verdict,
    tested: Result<SelfTest, EngineError>,
}

/// What the files' hashes say.
#[derive(Default)]
struct Verdict {
    /// Files that are not what they should be, or are not there.
    wrong: Vec<String>,
    /// By file, what is said of it elsewhere; `None` where nothing is.
    known: Vec<Option<String>>,
    /// Where the manifest was written.
    manifest: Option<PathBuf>,
}

impl Verdict {
    /// Holds the hashes against what is said of the files beside them.
    fn of(expert: &ExpertSettings, hashes: &Hashes) -> Self {
        let known = match Known::read(home(&expert.path)) {
            Ok(known) => known,
            Err(error) => return Self { wrong: vec![format!("{error:#}")], ..Self::default() },
        };
        let (mut wrong, mut by) = (Vec::new(), Vec::new());
        for (name, is) in &hashes.files {
            let said = known.of(name);
            if let Some((should, by)) = said.as_ref().filter(|(should, _)| should != is) {
                wrong.push(format!(
                    "{name}: its sha256 is {is}, but {by} says {should}; fetch the file again"
                ));
            }
            by.push(said.map(|(_, by)| by));
        }
        if expert.path.is_dir() {
            let missing = known.missing(&hashes.files).into_iter();
            wrong.extend(missing.map(|name| {
                format!("{name}: {} names it, but it is not there; fetch it again", MANIFEST)
            }));
        }
        Self { wrong, known: by, manifest: None }
    }
}

/// The folder of a checkpoint's files.
fn home(path: &Path) -> &Path {
    match path.is_dir() {
        true => path,
        false => path.parent().filter(|parent| *parent != "").unwrap_or(Path::new(".")),
    }
}

/// Tries every expert. With `write_manifest` the files of those that pass are listed beside them.
///
/// # Errors
/// No threads; what is wrong with an expert is in its own entry.
pub(super) fn test_all(fleet: &FleetSettings, write_manifest: bool) -> Result<Vec<Tested>> {
    let hashes = hash_all(&fleet.experts);
    let threads = runtime::start().context("no threads can be started")?;
    let tested = fleet.experts.iter().zip(hashes).enumerate().map(|(at, (expert, hashes))| {
        let (id, count) = (expert.id.clone(), fleet.experts.len());
        let trying = Spinner::start(format!("trying {id}, {} of {count}", at + 1));
        let tested = threads.block_on(self_test(expert, &fleet.templates, fleet.memory_bytes_max));
        drop(trying);
        let verdict = hashes.as_ref().map(|hashes| Verdict::of(expert, hashes));
        let verdict = verdict.unwrap_or_default();
        let mut tested = Tested { id, hashes, verdict, tested };
        if write_manifest && tested.problem().is_none() {
            tested.list(expert);
        }
        tested
    });
    Ok(tested.collect())
}

fn hash_all(experts: &[ExpertSettings]) -> Vec<io::Result<Hashes>> {
    let files: Vec<_> = experts.iter().map(|expert| Files::of(&expert.path)).collect();
    let bytes = files.iter().flatten().map(Files::bytes).sum();
    let progress = Progress::bytes(bytes, "hashing");
    let hash = |(expert, files): (&ExpertSettings, io::Result<Files>)| {
        progress.say(format!("hashing {}", expert.id));
        files?.hash(&mut |more| progress.add(more))
    };
    experts.iter().zip(files).map(hash).collect()
}

impl Tested {
    /// Writes the manifest.
    fn list(&mut self, expert: &ExpertSettings) {
        let Ok(hashes) = &self.hashes else { return };
        match Known::read(home(&expert.path)).and_then(|known| known.write(hashes)) {
            Ok(file) => self.verdict.manifest = Some(file),
            Err(error) => self.verdict.wrong.push(format!("{error:#}")),
        }
    }

    /// Files of which nothing is said anywhere.
    fn unknown(&self) -> Vec<&str> {
        let files = self.hashes.as_ref().map(|hashes| hashes.files.as_slice()).unwrap_or_default();
        let files = files.iter().zip(&self.verdict.known);
        files.filter(|(_, by)| by.is_none()).map(|((name, _), _)| name.as_str()).collect()
    }

    /// What is wrong, with the mend.
    pub(super) fn problem(&self) -> Option<String> {
        match (&self.tested, &self.hashes) {
            (Err(EngineError::Unloadable { faults, .. }), _) => Some(faults.to_string()),
            (Err(error), _) => Some(error.to_string()),
            (_, Err(error)) => Some(format!("its files can't be read: {error}; check permissions")),
            _ if !self.verdict.wrong.is_empty() => Some(self.verdict.wrong.join("; also, ")),
            (Ok(SelfTest { vector_width: None, text, .. }), _) if text.is_empty() => {
                Some(SILENT.to_owned())
            }
            _ => None,
        }
    }

    pub(super) fn as_json(&self) -> Value {
        let hashes = self.hashes.as_ref().ok();
        let tested = self.tested.as_ref().ok();
        let known = &self.verdict.known;
        let file = |(at, (name, hash)): (usize, &(String, String))| json!({ "name": name, "sha256": hash, "known_by": known.get(at) });
        json!({
            "ok": self.problem().is_none(),
            "problem": self.problem(),
            "sha256": hashes.map(|hashes| &hashes.whole),
            "bytes": hashes.map(|hashes| hashes.bytes),
            "files": hashes.map(|hashes| hashes.files.iter().enumerate().map(file).collect::<Vec<_>>()),
            "mismatches": self.verdict.wrong,
            "manifest": self.verdict.manifest.as_ref().map(|file| file.display().to_string()),
            "load_s": tested.map(|tested| tested.load.as_secs_f64()),
            "template": tested.map(|tested| if tested.chat { "rendered" } else { "none" }),
            "vector_width": tested.and_then(|tested| tested.vector_width),
            "tokens": tested.map(|tested| tested.tokens),
            "text": tested.map(|tested| &tested.text),
            "tokens_per_second": tested.and_then(|tested| tested.tokens_per_second),
        })
    }

    fn row(&self) -> Vec<String> {
        let absent = || "-".to_owned();
        let hashes = self.hashes.as_ref().ok();
        let tested = self.tested.as_ref().ok();
        vec![
            self.id.clone(),
            hashes.map_or_else(absent, |hashes| hashes.files.len().to_string()),
            hashes.map_or_else(absent, |hashes| HumanBytes(hashes.bytes).to_string()),
            hashes.map_or_else(absent, |hashes| short_revision(&hashes.whole).to_owned()),
            tested.map_or_else(absent, |tested| format!("{:.2} s", tested.load.as_secs_f64())),
            tested.map_or_else(absent, |p| if p.chat { "rendered" } else { "none" }.to_owned()),
            tested.map_or_else(absent, shown),
            tested
                .and_then(|tested| tested.tokens_per_second)
                .map_or_else(absent, |speed| format!("{speed:.1}")),
            if self.problem().is_none() { "✓" } else { "✗ fails" }.to_owned(),
        ]
    }
}

/// What it did: a text, or a vector.
fn shown(tested: &SelfTest) -> String {
    match tested.vector_width {
        Some(width) => format!("a vector of {width}"),
        None => format!("\"{}\"", short(&tested.text, SHOWN)),
    }
}

/// The verdicts as a table, and below it what is wrong.
pub(super) fn say_all(tested: &[Tested]) {
    let heads = [
        "expert", "files", "size", "sha256", "load", "template", "8 tokens", "tokens/s", "verdict",
    ];
    let mut lines = table(&heads);
    tested.iter().for_each(|expert| lines.add_row(expert.row()));
    say_table(&lines);
    for expert in tested {
        if let Some(problem) = expert.problem() {
            say!("  ✗ {}: {problem}", expert.id);
        }
        let unknown = expert.unknown();
        if !unknown.is_empty() {
            say!("  {}: nothing says what these should hash to: {}", expert.id, unknown.join(", "));
        }
        if let Some(file) = &expert.verdict.manifest {
            say!("  {}: written to {}", expert.id, file.display());
        }
    }
}
