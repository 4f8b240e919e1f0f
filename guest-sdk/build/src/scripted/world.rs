//! The world of one policy: the contract, and what of it the policy exports and uses. A component imports what its
//! world has, so a world of its own keeps the list that operators see honest.

use std::fs;
use std::path::Path;

use super::project::{Project, USES};
use crate::BuildError;

/// The world's name, for the language's tool.
pub(super) const WORLD: &str = "built";
/// Where it lies in the build folder.
pub(super) const FOLDER: &str = "wit";
/// The file that holds it, beside those of the contract.
const FILE: &str = "built.wit";

/// Copies the contract of `project` into `build` and puts the policy's world beside it.
pub(super) fn write(project: &Project, build: &Path) -> Result<(), BuildError> {
    let (from, to) = (project.folder.join("wit"), build.join(FOLDER));
    if to.exists() {
        fs::remove_dir_all(&to).map_err(BuildError::file(&to))?;
    }
    let package = package(&from)?;
    copy(&from, &to)?;
    let file = to.join(FILE);
    fs::write(&file, world(&package, project)).map_err(BuildError::file(&file))
}

fn world(package: &str, project: &Project) -> String {
    let used = USES.iter().filter(|(name, _)| project.uses.iter().any(|used| used == name));
    let imports = used.map(|(_, interface)| format!("    import {interface};\n"));
    let exports = project.hooks.iter().map(|hook| format!("    export {hook};\n"));
    let body: String = imports.chain(exports).collect();
    format!("{package}\n\nworld {WORLD} {{\n    import types;\n{body}}}\n")
}

/// The line that names the package and its version, from the contract itself.
fn package(wit: &Path) -> Result<String, BuildError> {
    let file = wit.join("types.wit");
    let text = fs::read_to_string(&file).map_err(BuildError::file(&file))?;
    let line = text.lines().find(|line| line.starts_with("package "));
    line.map(str::to_owned).ok_or_else(|| BuildError::Manifest {
        manifest: file,
        problem: "it names no package; `signalbox policy wit` hands out the contract".to_owned(),
    })
}

/// The contract's files and those it depends on; not the texts of earlier releases.
fn copy(from: &Path, to: &Path) -> Result<(), BuildError> {
    fs::create_dir_all(to).map_err(BuildError::file(to))?;
    let entries: Vec<_> =
        fs::read_dir(from).and_then(Iterator::collect).map_err(BuildError::file(from))?;
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() && name != "released" {
            copy(&path, &to.join(&name))?;
        } else if path.extension().is_some_and(|extension| extension == "wit") && name != FILE {
            fs::copy(&path, to.join(&name)).map_err(BuildError::file(&path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::project::MANIFEST;

    #[test]
    fn a_world_has_what_the_policy_exports_and_uses() {
        let folder = tempfile::tempdir().unwrap();
        let contract = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
        copy(&contract, &folder.path().join("wit")).unwrap();
        let manifest =
            r#"{"name": "p", "language": "js", "hooks": ["pre", "post"], "uses": ["config"]}"#;
        fs::write(folder.path().join(MANIFEST), manifest).unwrap();
        let project = Project::read(folder.path()).unwrap();
        let build = folder.path().join("build");
        write(&project, &build).unwrap();
        write(&project, &build).unwrap();
        let text = fs::read_to_string(build.join("wit/built.wit")).unwrap();
        assert_eq!(
            text,
            "package signalbox:policy@0.2.3;\n\nworld built {\n    import types;\n    \
             import wasi:config/store@0.2.0-rc.1;\n    export pre;\n    export post;\n}\n"
        );
        assert!(build.join("wit/deps/config/package.wit").is_file());
        assert!(!build.join("wit/released").exists());
    }
}
