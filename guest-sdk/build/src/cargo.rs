//! The cargo call, and what it reports back.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::{BuildError, TARGET, lines, toolchain};

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

/// The package that policies are written against.
const SDK: &str = "signalbox-sdk";

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

/// What cargo built.
pub(crate) struct Built {
    pub(crate) artifacts: Vec<Artifact>,
    /// The version of the SDK that is in it.
    pub(crate) sdk: Option<String>,
}

/// Runs cargo; `say` gets its lines as they come.
pub(crate) fn build(what: &Build, say: &mut dyn FnMut(&str)) -> Result<Built, BuildError> {
    let mut command = command(what);
    let ended = lines::run(&mut command, say).map_err(|source| {
        let program = command.get_program().to_string_lossy().into_owned();
        BuildError::NoToolchain { program, source }
    })?;
    if !ended.status.success() {
        return Err(BuildError::Cargo { status: ended.status, output: ended.tail() });
    }
    let artifacts = ended.out.lines().filter_map(artifact).collect();
    Ok(Built { artifacts, sdk: ended.out.lines().find_map(sdk_version) })
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

/// The SDK's version, in a message about it.
fn sdk_version(message: &str) -> Option<String> {
    let message: Value = serde_json::from_str(message).ok()?;
    let id = message["package_id"].as_str().filter(|id| package_name(id) == SDK)?;
    let (_, version) = id.rsplit_once('#')?;
    Some(version.rsplit('@').next().unwrap_or(version).to_owned())
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
    fn the_sdk_says_its_version() {
        let of = |id: &str| sdk_version(&format!(r#"{{"package_id":"{id}"}}"#));
        assert_eq!(of("path+file:///w/sdk#signalbox-sdk@0.1.0").as_deref(), Some("0.1.0"));
        assert_eq!(of("path+file:///w/signalbox-sdk#0.2.0").as_deref(), Some("0.2.0"));
        assert_eq!(of("path+file:///w/policy#0.1.0"), None);
        assert_eq!(sdk_version("not json"), None);
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
