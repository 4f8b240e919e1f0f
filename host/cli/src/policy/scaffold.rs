//! `signalbox policy new`: a folder with a working hook and cases that pass. The SDK and the contract are
//! copied into it, so that it builds anywhere with its language's tools and a package registry alone.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};

use crate::{
    args::{HookKind, Language},
    builtin::{self, File},
    term::say,
};

/// A file of a new policy and its text; `@name@` and its like are filled in.
type Text = (&'static str, &'static str);

impl HookKind {
    fn name(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Pre => "pre",
            Self::Post => "post",
        }
    }

    fn cases(self) -> &'static str {
        match self {
            Self::Route => include_str!("../../scaffold/cases/route.json.in"),
            Self::Pre => include_str!("../../scaffold/cases/pre.json.in"),
            Self::Post => include_str!("../../scaffold/cases/post.json.in"),
        }
    }
}

impl Language {
    /// As `policy.json` has it.
    fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Js => "js",
            Self::Ts => "ts",
            Self::Python => "python",
        }
    }

    /// Where its author begins.
    fn source(self, hook: HookKind) -> Text {
        match (self, hook) {
            (Self::Rust, HookKind::Route) => {
                ("src/lib.rs", include_str!("../../scaffold/rust/route.rs.in"))
            }
            (Self::Rust, HookKind::Pre) => {
                ("src/lib.rs", include_str!("../../scaffold/rust/pre.rs.in"))
            }
            (Self::Rust, HookKind::Post) => {
                ("src/lib.rs", include_str!("../../scaffold/rust/post.rs.in"))
            }
            (Self::Js, HookKind::Route) => {
                ("policy.js", include_str!("../../scaffold/js/route.js.in"))
            }
            (Self::Js, HookKind::Pre) => ("policy.js", include_str!("../../scaffold/js/pre.js.in")),
            (Self::Js, HookKind::Post) => {
                ("policy.js", include_str!("../../scaffold/js/post.js.in"))
            }
            (Self::Ts, HookKind::Route) => {
                ("policy.ts", include_str!("../../scaffold/ts/route.ts.in"))
            }
            (Self::Ts, HookKind::Pre) => ("policy.ts", include_str!("../../scaffold/ts/pre.ts.in")),
            (Self::Ts, HookKind::Post) => {
                ("policy.ts", include_str!("../../scaffold/ts/post.ts.in"))
            }
            (Self::Python, HookKind::Route) => {
                ("policy.py", include_str!("../../scaffold/python/route.py.in"))
            }
            (Self::Python, HookKind::Pre) => {
                ("policy.py", include_str!("../../scaffold/python/pre.py.in"))
            }
            (Self::Python, HookKind::Post) => {
                ("policy.py", include_str!("../../scaffold/python/post.py.in"))
            }
        }
    }

    /// What surrounds it.
    fn files(self) -> &'static [Text] {
        match self {
            Self::Rust => &[
                ("Cargo.toml", include_str!("../../scaffold/rust/Cargo.toml.in")),
                ("README.md", include_str!("../../scaffold/rust/README.md.in")),
                // Policies that lie side by side share what they depend on, compiled once.
                (".cargo/config.toml", include_str!("../../scaffold/rust/cargo-config.toml.in")),
                (".gitignore", include_str!("../../scaffold/rust/gitignore.in")),
            ],
            Self::Js => &[
                ("policy.json", include_str!("../../scaffold/policy.json.in")),
                ("README.md", include_str!("../../scaffold/js/README.md.in")),
                (".gitignore", include_str!("../../scaffold/js/gitignore.in")),
                ("sdk/VERSION", "@version@\n"),
            ],
            Self::Ts => &[
                ("policy.json", include_str!("../../scaffold/policy.json.in")),
                // For editors; `policy build` takes from it how strict it is.
                ("tsconfig.json", include_str!("../../scaffold/ts/tsconfig.json.in")),
                ("README.md", include_str!("../../scaffold/ts/README.md.in")),
                (".gitignore", include_str!("../../scaffold/ts/gitignore.in")),
                ("sdk/VERSION", "@version@\n"),
            ],
            Self::Python => &[
                ("policy.json", include_str!("../../scaffold/policy.json.in")),
                ("README.md", include_str!("../../scaffold/python/README.md.in")),
                (".gitignore", include_str!("../../scaffold/python/gitignore.in")),
                ("sdk/VERSION", "@version@\n"),
            ],
        }
    }

    /// The SDK and the contract.
    fn sdk(self) -> impl Iterator<Item = &'static File> {
        let own = match self {
            Self::Rust => &[][..],
            Self::Js | Self::Ts => builtin::JS_SDK,
            Self::Python => builtin::PYTHON_SDK,
        };
        let crate_or_contract =
            move |file: &&File| self == Self::Rust || file.path.starts_with("wit/");
        own.iter().chain(builtin::SDK.iter().filter(crate_or_contract))
    }
}

/// Makes the folder `name` below `parent`.
///
/// # Errors
/// A name that can't be a crate's, or a folder that is there already.
pub(super) fn create(parent: &Path, name: &str, language: Language, hook: HookKind) -> Result<()> {
    ensure!(
        is_crate_name(name),
        "'{name}' can't name a policy; use lowercase letters, digits and '-', a letter first"
    );
    let folder = parent.join(name);
    ensure!(!folder.exists(), "{} is there already; choose another name", folder.display());
    let fill = |text: &str| {
        text.replace("@name@", name)
            .replace("@hook@", hook.name())
            .replace("@language@", language.name())
            .replace("@version@", env!("CARGO_PKG_VERSION"))
            .replace("@dependencies@", builtin::DEPENDENCIES)
    };
    let (source, text) = language.source(hook);
    write(&folder, source, fill(text).as_bytes())?;
    write(&folder, &format!("tests/{}.json", hook.name()), hook.cases().as_bytes())?;
    for (path, text) in language.files() {
        write(&folder, path, fill(text).as_bytes())?;
    }
    language.sdk().try_for_each(|File { path, bytes }| write(&folder, path, bytes))
}

/// Says what to do with a new policy.
pub(super) fn say_next(name: &str, language: Language, hook: HookKind, hint: &str) {
    let (source, _) = language.source(hook);
    say!(
        "{name}/ is a policy; begin in {name}/{source}, and say in {name}/tests what it has to do"
    );
    say!("  signalbox policy test {name}");
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
        create(parent.path(), "mine", Language::Rust, HookKind::Pre).unwrap();
        let read = |path| fs::read_to_string(parent.path().join("mine").join(path)).unwrap();
        assert!(read("Cargo.toml").contains("name = \"mine\""));
        for dependency in ["wit-bindgen", "wasip2"] {
            assert!(read("Cargo.toml").contains(&format!("\n{dependency} = ")));
        }
        assert!(read(".cargo/config.toml").contains("target-dir = \"../target\""));
        assert!(read("src/lib.rs").contains("export!(Policy: pre)"));
        assert!(read("sdk/src/lib.rs").contains("wit-bindgen"));
        assert!(read("wit/types.wit").contains("package signalbox:policy"));
        let error =
            create(parent.path(), "mine", Language::Rust, HookKind::Pre).unwrap_err().to_string();
        assert!(error.contains("is there already"), "{error}");
    }

    #[test]
    fn every_language_comes_with_its_sdk_the_contract_and_cases() {
        let parent = tempfile::tempdir().unwrap();
        for (language, name, sdk) in [
            (Language::Js, "js", "hooks.js"),
            (Language::Ts, "ts", "globals.d.ts"),
            (Language::Python, "python", "signalbox/route.py"),
        ] {
            create(parent.path(), name, language, HookKind::Route).unwrap();
            let folder = parent.path().join(name);
            let manifest = fs::read_to_string(folder.join("policy.json")).unwrap();
            assert!(manifest.contains(&format!("\"language\": \"{name}\"")), "{manifest}");
            assert!(folder.join("sdk").join(sdk).is_file());
            assert!(folder.join("wit/deps/config/package.wit").is_file());
            assert!(folder.join("tests/route.json").is_file());
            assert!(!folder.join("sdk/Cargo.toml").exists());
        }
    }
}
