//! `signalbox policy new`: a crate with a working hook and a test. The SDK and the contract are
//! copied into it, so that it builds anywhere with cargo and the package registry alone.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};

use crate::{
    args::HookKind,
    builtin::{self, File},
    term::say,
};

const MANIFEST: &str = include_str!("../../scaffold/Cargo.toml.in");
const README: &str = include_str!("../../scaffold/README.md.in");
/// Policies that lie side by side share what they depend on, compiled once.
const CARGO: &str = include_str!("../../scaffold/cargo-config.toml.in");
const IGNORE: &str = include_str!("../../scaffold/gitignore.in");

impl HookKind {
    fn name(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Pre => "pre",
            Self::Post => "post",
        }
    }

    fn source(self) -> &'static str {
        match self {
            Self::Route => include_str!("../../scaffold/route.rs.in"),
            Self::Pre => include_str!("../../scaffold/pre.rs.in"),
            Self::Post => include_str!("../../scaffold/post.rs.in"),
        }
    }
}

/// Makes the folder `name` below `parent`.
///
/// # Errors
/// A name that can't be a crate's, or a folder that is there already.
pub(super) fn create(parent: &Path, name: &str, hook: HookKind) -> Result<()> {
    ensure!(
        is_crate_name(name),
        "'{name}' can't name a policy; use lowercase letters, digits and '-', a letter first"
    );
    let folder = parent.join(name);
    ensure!(!folder.exists(), "{} is there already; choose another name", folder.display());
    let fill = |text: &str| {
        text.replace("@name@", name)
            .replace("@hook@", hook.name())
            .replace("@wit-bindgen@", builtin::WIT_BINDGEN)
    };
    write(&folder, "Cargo.toml", fill(MANIFEST).as_bytes())?;
    write(&folder, "README.md", fill(README).as_bytes())?;
    write(&folder, ".cargo/config.toml", CARGO.as_bytes())?;
    write(&folder, ".gitignore", IGNORE.as_bytes())?;
    write(&folder, "src/lib.rs", fill(hook.source()).as_bytes())?;
    builtin::SDK.iter().try_for_each(|File { path, bytes }| write(&folder, path, bytes))
}

/// Says what to do with a new policy.
pub(super) fn say_next(name: &str, hint: &str) {
    say!("{name}/ is a policy; begin in {name}/src/lib.rs");
    say!("  cargo test --manifest-path {name}/Cargo.toml");
    say!("  signalbox policy build {name}");
    say!("  signalbox policy push {name} --activate{hint}");
}

fn is_crate_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 64
        && name.chars().all(plain)
        && name != "sdk"
}

fn write(folder: &Path, path: &str, bytes: &[u8]) -> Result<()> {
    let file = folder.join(path);
    let parent = file.parent().unwrap_or(folder);
    fs::create_dir_all(parent)
        .and_then(|()| fs::write(&file, bytes))
        .with_context(|| format!("{} can't be written", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_crate_names() {
        for (name, expect) in [
            ("mine", true),
            ("my-2", true),
            ("2nd", false),
            ("My", false),
            ("a/b", false),
            ("", false),
        ] {
            assert_eq!(is_crate_name(name), expect, "{name}");
        }
    }

    #[test]
    fn a_new_policy_is_complete_and_never_overwrites() {
        let parent = tempfile::tempdir().unwrap();
        create(parent.path(), "mine", HookKind::Pre).unwrap();
        let read = |path| fs::read_to_string(parent.path().join("mine").join(path)).unwrap();
        assert!(read("Cargo.toml").contains("name = \"mine\""));
        assert!(read("Cargo.toml").contains("\nwit-bindgen = "));
        assert!(read(".cargo/config.toml").contains("target-dir = \"../target\""));
        assert!(read("src/lib.rs").contains("export!(Policy: pre)"));
        assert!(read("sdk/src/lib.rs").contains("wit-bindgen"));
        assert!(read("wit/types.wit").contains("package signalbox:policy"));
        let error = create(parent.path(), "mine", HookKind::Pre).unwrap_err().to_string();
        assert!(error.contains("is there already"), "{error}");
    }
}
