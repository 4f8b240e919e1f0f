//! Finding cargo and rustc, calling them in a clean environment, and adding the wasm target.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{BuildError, TARGET};

/// Variables that a build script or a clippy run leaves behind and that would bend a nested build.
const FOREIGN: [&str; 12] = [
    "DEBUG",
    "HOST",
    "NUM_JOBS",
    "OPT_LEVEL",
    "OUT_DIR",
    "PROFILE",
    "RUSTC_LINKER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOCFLAGS",
    "RUSTFLAGS",
    "TARGET",
];

/// Of cargo's variables, those that say where things are and how to reach the network.
const KEPT: [&str; 7] = [
    "CARGO_HOME",
    "CARGO_HTTP_",
    "CARGO_MAKEFLAGS",
    "CARGO_NET_",
    "CARGO_REGISTRIES_",
    "CARGO_REGISTRY_",
    "CARGO_TERM_",
];

/// Makes sure that policies can be compiled in `folder`, installing the target when it is missing
/// and saying so.
///
/// # Errors
/// When there is no rustc, or the target is missing and rustup is missing or fails.
pub fn ensure_target(folder: &Path, say: &mut dyn FnMut(&str)) -> Result<(), BuildError> {
    if has_target(folder)? {
        return Ok(());
    }
    say(&format!("installing Rust's {TARGET} target: rustup target add {TARGET}"));
    let added = command("rustup", folder).args(["target", "add", TARGET]).output();
    let problem = match added {
        Ok(output) if output.status.success() && has_target(folder)? => return Ok(()),
        Ok(output) => {
            format!("rustup could not add it ({})", String::from_utf8_lossy(&output.stderr).trim())
        }
        Err(error) => format!("rustup could not be started ({error})"),
    };
    Err(BuildError::NoTarget { problem })
}

/// Makes sure that policies can be compiled in `folder` without changing the toolchain.
///
/// # Errors
/// When there is no rustc, or the target is missing.
pub(crate) fn require_target(folder: &Path) -> Result<(), BuildError> {
    match has_target(folder)? {
        true => Ok(()),
        false => Err(BuildError::NoTarget {
            problem: "a build inside another one installs nothing".to_owned(),
        }),
    }
}

/// Whether rustc's folder of the target's standard library exists.
fn has_target(folder: &Path) -> Result<bool, BuildError> {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let asked =
        command(&rustc, folder).args(["--print", "target-libdir", "--target", TARGET]).output();
    let output = asked.map_err(|source| BuildError::NoToolchain { program: rustc, source })?;
    let libdir = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    Ok(output.status.success() && libdir.is_dir())
}

/// The cargo that runs this build, or else the one on the path.
pub(crate) fn cargo(folder: &Path) -> Command {
    command(&env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()), folder)
}

/// `program`, to be run in `folder` (so that its `rust-toolchain.toml` counts) as if from a shell.
fn command(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder);
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| is_foreign(name)).for_each(|name| _ = command.env_remove(name));
    command
}

fn is_foreign(name: &str) -> bool {
    let cargos = name.starts_with("CARGO") && !KEPT.iter().any(|kept| name.starts_with(kept));
    cargos || name.starts_with("DEP_") || FOREIGN.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_build_sees_a_clean_environment() {
        let foreign = [
            "CARGO",
            "CARGO_MANIFEST_DIR",
            "CARGO_ENCODED_RUSTFLAGS",
            "RUSTFLAGS",
            "CARGO_BUILD_TARGET",
            "CARGO_TARGET_DIR",
            "CARGO_PROFILE_RELEASE_LTO",
            "TARGET",
            "CARGO_PRIMARY_PACKAGE",
            "RUSTC_WORKSPACE_WRAPPER",
            "DEP_Z_ROOT",
            "OUT_DIR",
        ];
        let kept = [
            "CARGO_HOME",
            "CARGO_NET_OFFLINE",
            "CARGO_HTTP_CAINFO",
            "PATH",
            "RUSTUP_HOME",
            "CARGO_REGISTRIES_MINE_INDEX",
            "RUSTUP_TOOLCHAIN",
            "HOME",
            "https_proxy",
            "RUSTC",
        ];
        assert!(foreign.iter().all(|name| is_foreign(name)));
        assert!(!kept.iter().any(|name| is_foreign(name)));
    }

    #[test]
    fn a_rustc_that_is_not_there_is_named() {
        let missing = command("no-such-program-here", Path::new(".")).output();
        assert!(missing.is_err());
    }
}
