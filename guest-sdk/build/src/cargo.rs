//! The cargo call, and what it reports back.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::Value;

use crate::{BuildError, TARGET, toolchain};

/// Fast components that still name their functions in a backtrace.
const PROFILE: [(&str, &str); 6] = [
    ("OPT_LEVEL", "3"),
    ("LTO", "true"),
    ("CODEGEN_UNITS", "1"),
    ("PANIC", "abort"),
    ("DEBUG", "false"),
    ("STRIP", "debuginfo"),
];

/// How memory is laid out. A host writes the first half megabyte anew for each call, which is cheaper than to give
/// pages back, so what a policy touches lies there: a small stack, then what the program brings, then a heap that
/// has to grow for large texts only.
const MEMORY: [&str; 2] = ["-Clink-arg=-zstack-size=131072", "-Clink-arg=--initial-heap=131072"];

/// How many of cargo's last lines an error repeats.
const LINES_IN_ERROR: usize = 40;

/// A policy crate, compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// The crate's package name.
    pub package: String,
    /// Where the `.wasm` lies, inside the target folder: the next build may replace it.
    pub path: PathBuf,
}

/// One cargo call that compiles policy crates. Everything that is asked for is built at once.
#[derive(Clone, Debug)]
pub struct Build {
    /// The folder of the crate or workspace.
    pub(crate) folder: PathBuf,
    pub(crate) packages: Vec<String>,
    pub(crate) target_dir: Option<PathBuf>,
    pub(crate) locked: bool,
}

/// A `cdylib` that cargo built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Artifact {
    pub(crate) package: String,
    pub(crate) manifest: PathBuf,
    pub(crate) wasm: PathBuf,
}

impl Artifact {
    pub(crate) fn into_component(self) -> Component {
        Component { package: self.package, path: self.wasm }
    }
}

/// Runs cargo; `say` gets its lines as they come.
pub(crate) fn build(what: &Build, say: &mut dyn FnMut(&str)) -> Result<Vec<Artifact>, BuildError> {
    let mut command = command(what);
    let spawned =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|source| {
        let program = command.get_program().to_string_lossy().into_owned();
        BuildError::NoToolchain { program, source }
    })?;
    let messages = read_messages(&mut child);
    let lines = follow_lines(&mut child, say);
    let status = child.wait().map_err(BuildError::file(&what.folder))?;
    let messages = messages.join().unwrap_or_default();
    if !status.success() {
        let from = lines.len().saturating_sub(LINES_IN_ERROR);
        return Err(BuildError::Cargo { status, output: lines[from..].join("\n") });
    }
    Ok(messages.lines().filter_map(artifact).collect())
}

fn command(what: &Build) -> Command {
    let mut cargo = toolchain::cargo(&what.folder);
    cargo.args(["build", "--lib", "--release", "--target", TARGET]);
    cargo.arg("--message-format=json-render-diagnostics");
    cargo.args(what.packages.iter().flat_map(|package| ["--package", package]));
    cargo.args(what.locked.then_some("--locked"));
    if let Some(folder) = &what.target_dir {
        cargo.arg("--target-dir").arg(folder);
    }
    for (key, value) in PROFILE {
        cargo.env(format!("CARGO_PROFILE_RELEASE_{key}"), value);
    }
    // Set, so that flags meant for the host machine, in a user's cargo configuration, stay out.
    cargo.env("CARGO_ENCODED_RUSTFLAGS", MEMORY.join("\x1f"));
    cargo
}

/// Cargo writes messages and lines at once; one of the two needs a thread.
fn read_messages(child: &mut Child) -> thread::JoinHandle<String> {
    let stdout = child.stdout.take();
    thread::spawn(move || {
        let mut text = Vec::new();
        // What can't be read is missing from the messages, and then the component is.
        _ = stdout.map(|mut stdout| stdout.read_to_end(&mut text));
        String::from_utf8_lossy(&text).into_owned()
    })
}

fn follow_lines(child: &mut Child, say: &mut dyn FnMut(&str)) -> Vec<String> {
    let lines = child.stderr.take().into_iter().flat_map(|pipe| BufReader::new(pipe).lines());
    lines.map_while(Result::ok).inspect(|line| say(line)).collect()
}

/// The component in one of cargo's messages, if it is about one.
fn artifact(message: &str) -> Option<Artifact> {
    let message: Value = serde_json::from_str(message).ok()?;
    let files = message["filenames"].as_array()?.iter().filter_map(Value::as_str);
    Some(Artifact {
        package: package_name(message["package_id"].as_str()?).to_owned(),
        manifest: message["manifest_path"].as_str()?.into(),
        wasm: files
            .map(PathBuf::from)
            .find(|file| file.extension().is_some_and(|e| e == "wasm"))?,
    })
}

/// The name in `path+file:///a/name#0.1.0`, or in `path+file:///a/folder#name@0.1.0`.
fn package_name(id: &str) -> &str {
    let (source, version) = id.rsplit_once('#').unwrap_or((id, ""));
    match version.split_once('@') {
        Some((name, _)) => name,
        None => source.rsplit_once('/').map_or(source, |(_, folder)| folder),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_named_either_way() {
        assert_eq!(package_name("path+file:///w/examples/redact-pii#0.1.0"), "redact-pii");
        assert_eq!(package_name("path+file:///w/examples/redact#redact-pii@0.1.0"), "redact-pii");
    }

    #[test]
    fn only_components_count() {
        let of = |files: &str| {
            artifact(&format!(
                r#"{{"reason":"compiler-artifact","package_id":"path+file:///w/p#0.1.0",
                    "manifest_path":"/w/p/Cargo.toml","filenames":[{files}]}}"#
            ))
        };
        assert_eq!(of(r#""/t/libp.rlib""#), None);
        let found = of(r#""/t/p.wasm","/t/libp.rlib""#).unwrap();
        assert_eq!((found.package.as_str(), found.wasm), ("p", PathBuf::from("/t/p.wasm")));
        assert_eq!(artifact(r#"{"reason":"build-finished","success":true}"#), None);
        assert_eq!(artifact("not json"), None);
    }
}
