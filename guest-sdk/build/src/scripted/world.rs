//! The world of one policy: the contract, and what of it the policy exports and uses. A component imports what its
//! world has, so a world of its own keeps the list that operators see honest.

use std::fs;
use std::path::Path;

use super::project::{HTTP, Project, USES};
use crate::BuildError;

/// The world's name, for the language's tool.
pub(super) const WORLD: &str = "built";
/// Where it lies in the build folder.
pub(super) const FOLDER: &str = "wit";
/// The file that holds it, beside those of the contract.
const FILE: &str = "built.wit";
/// What `wasi:http` is and depends on, beside the contract, which only names it. In the version of JavaScript's runtime,
/// which has these interfaces already and takes a policy's for the same; Python's takes any.
const WASI_HTTP: [(&str, &str); 3] = [
    ("http", include_str!("../../wit/http.wit")),
    ("io", include_str!("../../wit/io.wit")),
    ("clocks", include_str!("../../wit/clocks.wit")),
];

/// Copies the contract of `project` into `build` and puts the policy's world beside it.
pub(super) fn write(project: &Project, build: &Path) -> Result<(), BuildError> {
    let (from, to) = (project.folder.join("wit"), build.join(FOLDER));
    if to.exists() {
        fs::remove_dir_all(&to).map_err(BuildError::file(&to))?;
    }
    let package = package(&from)?;
    copy(&from, &to)?;
    let wasi = if project.uses(HTTP) { &WASI_HTTP[..] } else { &[] };
    for (name, text) in wasi {
        put(&to.join("deps").join(name), "package.wit", text)?;
    }
    put(&to, FILE, &world(&package, project))
}

fn put(folder: &Path, name: &str, text: &str) -> Result<(), BuildError> {
    let file = folder.join(name);
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(&file, text));
    written.map_err(BuildError::file(&file))
}

fn world(package: &str, project: &Project) -> String {
    let used = USES.iter().filter(|(name, _)| project.uses(name));
    let imports = used.flat_map(|(_, interfaces)| interfaces.iter());
    let imports = imports.map(|interface| format!("    import {interface};\n"));
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
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::*;
    use crate::scripted::project::MANIFEST;

    fn contract() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit")
    }

    /// The folder of a world whose policy uses this.
    fn written(uses: &str) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        copy(&contract(), &folder.path().join("wit")).unwrap();
        let manifest = format!(
            r#"{{"name": "p", "language": "js", "hooks": ["pre", "post"], "uses": [{uses}]}}"#
        );
        fs::write(folder.path().join(MANIFEST), manifest).unwrap();
        let project = Project::read(folder.path()).unwrap();
        write(&project, &folder.path().join("build")).unwrap();
        write(&project, &folder.path().join("build")).unwrap();
        folder
    }

    #[test]
    fn a_world_has_what_the_policy_exports_and_uses() {
        let folder = written(r#""config""#);
        let wit = folder.path().join("build/wit");
        let package = package(&contract()).unwrap();
        assert_eq!(
            fs::read_to_string(wit.join(FILE)).unwrap(),
            format!(
                "{package}\n\nworld built {{\n    import types;\n    \
                 import wasi:config/store@0.2.0-rc.1;\n    export pre;\n    export post;\n}}\n"
            )
        );
        assert!(wit.join("deps/config/package.wit").is_file());
        assert!(!wit.join("released").exists() && !wit.join("deps/http").exists());
    }

    #[test]
    fn other_hosts_are_in_the_world_of_who_asks_them() {
        let folder = written(r#""http", "keyvalue""#);
        let wit = folder.path().join("build/wit");
        let text = fs::read_to_string(wit.join(FILE)).unwrap();
        let atomics = "import wasi:keyvalue/atomics@0.2.0-draft2;";
        assert!(text.contains("outgoing-handler@0.2.10") && text.contains(atomics), "{text}");
        for (name, _) in WASI_HTTP {
            assert!(wit.join("deps").join(name).join("package.wit").is_file(), "{name}");
        }
    }

    #[test]
    fn what_the_sdk_of_javascript_imports_is_what_a_world_can_have() {
        let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../js");
        let package = package(&contract()).unwrap();
        let named = package.trim_start_matches("package ").trim_end_matches(';');
        let (own, version) = named.split_once('@').unwrap();
        let offered = USES.iter().flat_map(|(_, interfaces)| interfaces.iter());
        let offered: Vec<_> = offered
            .map(|name| {
                if name.contains(':') {
                    name.to_string()
                } else {
                    format!("{own}/{name}@{version}")
                }
            })
            .collect();
        for file in fs::read_dir(sdk).unwrap() {
            let text = fs::read_to_string(file.unwrap().path()).unwrap();
            let imported = text.lines().filter_map(|line| line.split_once(" from '"));
            for (_, module) in imported.filter(|(_, module)| !module.starts_with('.')) {
                let module = module.trim_end_matches(['\'', ';']).to_owned();
                assert!(offered.contains(&module), "{module}");
            }
        }
    }
}
