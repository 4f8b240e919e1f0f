//! Policies in JavaScript, TypeScript and Python: a folder with a `policy.json`, the policy's source, the SDK and the contract
//! beside it. The language's own tool makes the component; it is installed, pinned, into a folder of its own.

mod javascript;
mod node;
mod project;
mod python;
mod stage;
mod tool;
mod typescript;
mod world;

use std::fs;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

pub use project::MANIFEST;
use project::{Language, Project};
use stage::{STAGE, Source};

use crate::{BuildError, Component, mark};

/// Whether `folder` holds a policy in one of these languages.
pub fn is_scripted(folder: &Path) -> bool {
    folder.join(MANIFEST).is_file()
}

/// Makes the component of the policy in `folder`, unless it is there and nothing it is made from has changed. Tools
/// are kept below `tools`. `say` gets a line whenever there is something to show.
///
/// # Errors
/// A manifest that makes no sense, a language that is not installed, and what the language's tool says.
pub fn build(
    folder: &Path,
    tools: &Path,
    say: &mut dyn FnMut(&str),
) -> Result<Component, BuildError> {
    let folder = folder.canonicalize().map_err(BuildError::file(folder))?;
    let project = Project::read(&folder)?;
    let sources = stage::read(&project)?;
    let build = folder.join("build");
    let path = build.join(format!("{}.wasm", project.name));
    let stamp = build.join(format!("{}.sources", project.name));
    let made_from = digest(&project, &sources);
    let component = Component { package: project.name.clone(), path };
    if component.path.is_file() && fs::read_to_string(&stamp).is_ok_and(|said| said == made_from) {
        return Ok(component);
    }
    // While it is made, what is there is of other sources.
    forget(&stamp)?;
    stage::stage(&build, &sources)?;
    world::write(&project, &build)?;
    match project.language {
        Language::JavaScript => javascript::build(&project, tools, &component.path, say)?,
        Language::TypeScript => {
            typescript::strip(&build.join(STAGE), tools, say)?;
            javascript::build(&project, tools, &component.path, say)?;
        }
        Language::Python => python::build(&project, tools, &component.path, say)?,
    }
    if let Some(version) = &project.sdk {
        mark::mark(&component.path, project.language.name(), version)?;
    }
    fs::write(&stamp, made_from).map_err(BuildError::file(&stamp))?;
    Ok(component)
}

/// What everything that goes into the component comes to.
fn digest(project: &Project, sources: &[Source]) -> String {
    let mut sum = Sha256::new();
    tools_of(project.language).iter().for_each(|tool| sum.update(tool));
    for (name, text) in sources {
        for part in [name.to_string_lossy().as_bytes(), text] {
            sum.update((part.len() as u64).to_le_bytes());
            sum.update(part);
        }
    }
    sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn forget(file: &Path) -> Result<(), BuildError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(BuildError::file(file)(error)),
        _ => Ok(()),
    }
}

/// What makes components in a language, and in which versions.
fn tools_of(language: Language) -> &'static [&'static str] {
    match language {
        Language::JavaScript => &[javascript::TOOL],
        Language::TypeScript => &[typescript::TOOL, javascript::TOOL],
        Language::Python => &[python::TOOL],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_into_a_component_decides_whether_it_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(MANIFEST, r#"{"name": "p", "language": "js", "hooks": ["route"]}"#);
        write("policy.js", "1");
        let now = || {
            let project = Project::read(folder.path()).unwrap();
            digest(&project, &stage::read(&project).unwrap())
        };
        let first = now();
        write("tests/case.json", "{}");
        write("build/p.wasm", "x");
        write(".git/HEAD", "x");
        assert_eq!(now(), first, "none of these goes into it");
        write("sdk/signalbox.js", "2");
        let second = now();
        assert_ne!(second, first);
        fs::rename(folder.path().join("policy.js"), folder.path().join("other.js")).unwrap();
        assert_ne!(now(), second);
    }
}
