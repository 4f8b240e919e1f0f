//! For build scripts: components of the workspace's own policies, to embed with `include_bytes!`.
//!
//! ```no_run
//! // build.rs
//! fn main() -> Result<(), signalbox_build::BuildError> {
//!     let workspace = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
//!     for component in signalbox_build::script::components(&workspace, &["route-by-domain"])? {
//!         println!("cargo::rustc-env=ROUTER={}", component.path.display());
//!     }
//!     Ok(())
//! }
//! ```

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Build, BuildError, Component};

/// Compiles `packages` of `workspace` in one go, copies each component to `OUT_DIR/<package>.wasm`,
/// and has cargo run the build script again when one of their sources changes.
///
/// # Errors
/// As [`Build::run`], and when a file can't be copied.
pub fn components(workspace: &Path, packages: &[&str]) -> Result<Vec<Component>, BuildError> {
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let build = Build::workspace(workspace, packages).target_dir(shared_target_dir(&out));
    let built = build.run(&mut |line| show(line))?;
    watch(&workspace.join("Cargo.toml"));
    watch(&workspace.join("Cargo.lock"));
    built.into_iter().map(|component| embed(component, &out)).collect()
}

/// Cargo hides what a build script prints unless it is a warning; an installation is worth one.
fn show(line: &str) {
    let prefix = if line.starts_with("installing") { "cargo::warning=" } else { "" };
    println!("{prefix}{line}");
}

/// One folder for every build script of a workspace, so that they build the SDK once: beside the
/// profiles in cargo's target folder, which is the one that cargo tagged as a cache.
fn shared_target_dir(out: &Path) -> PathBuf {
    let tagged = out.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    tagged.unwrap_or(out).join("policies")
}

fn embed(component: Component, out: &Path) -> Result<Component, BuildError> {
    sources(&component.path)?.iter().for_each(|source| watch(source));
    let path = out.join(format!("{}.wasm", component.package));
    fs::copy(&component.path, &path).map_err(BuildError::file(&path))?;
    Ok(Component { path, ..component })
}

fn watch(file: &Path) {
    println!("cargo::rerun-if-changed={}", file.display());
}

/// Every local file that went into `wasm`, from the list that cargo leaves beside it.
fn sources(wasm: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let list = wasm.with_extension("d");
    let text = fs::read_to_string(&list).map_err(BuildError::file(&list))?;
    Ok(prerequisites(&text))
}

/// The files to the right of the colon in a makefile rule, where `\ ` is a space in a name.
fn prerequisites(rule: &str) -> Vec<PathBuf> {
    let Some((_, files)) = rule.lines().next().and_then(|line| line.split_once(": ")) else {
        return Vec::new();
    };
    let joined = files.replace("\\ ", "\0");
    joined.split_whitespace().map(|file| file.replace('\0', " ").into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makefile_rules_are_read() {
        let check = |rule: &str, expect: &[&str]| {
            let expect: Vec<PathBuf> = expect.iter().map(PathBuf::from).collect();
            assert_eq!(prerequisites(rule), expect, "{rule}");
        };
        check(
            "/t/a.wasm: /w/src/lib.rs /w/wit/types.wit\n",
            &["/w/src/lib.rs", "/w/wit/types.wit"],
        );
        check("/t/a.wasm: /my\\ work/lib.rs\n", &["/my work/lib.rs"]);
        check("/t/a.wasm:\n", &[]);
        check("", &[]);
    }

    #[test]
    fn the_target_folder_is_the_one_that_cargo_tagged() {
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("debug/build/cli-1/out");
        fs::create_dir_all(&out).unwrap();
        assert_eq!(shared_target_dir(&out), out.join("policies"));
        fs::write(root.path().join("CACHEDIR.TAG"), "").unwrap();
        assert_eq!(shared_target_dir(&out), root.path().join("policies"));
    }
}
