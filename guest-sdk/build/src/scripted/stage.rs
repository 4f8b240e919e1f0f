//! The sources of a policy: what may go into its component, and a copy of it for the tool.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::project::Project;
use crate::BuildError;

/// Files and bytes that may go into one policy; more is a folder of something else.
const FILES_MAX: usize = 10_000;
const BYTES_MAX: u64 = 64 << 20;
/// Folders that no component is made from.
const NO_SOURCES: [&str; 5] = ["build", "tests", "target", "node_modules", "__pycache__"];

/// Where the sources are copied to, in the build folder.
pub(super) const STAGE: &str = "sources";

/// A file that goes into the component: its path below the policy's folder, and what is in it.
pub(super) type Source = (PathBuf, Vec<u8>);

/// Every file that may go into the component, in the order of their names.
pub(super) fn read(project: &Project) -> Result<Vec<Source>, BuildError> {
    let mut files = Vec::new();
    list(&project.folder, &mut files)?;
    files.sort();
    let (mut sources, mut bytes) = (Vec::new(), 0);
    for file in files {
        let text = fs::read(&file).map_err(BuildError::file(&file))?;
        bytes += text.len() as u64;
        if bytes > BYTES_MAX {
            return Err(project.mistake(format!("its folder holds more than {BYTES_MAX} bytes")));
        }
        let name = file.strip_prefix(&project.folder).unwrap_or(&file).to_owned();
        sources.push((name, text));
    }
    Ok(sources)
}

/// Copies the sources to where the tool finds them and nothing else: it follows no link out of its folder.
pub(super) fn stage(build: &Path, sources: &[Source]) -> Result<(), BuildError> {
    let folder = &build.join(STAGE);
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(BuildError::file(folder))?;
    }
    for (name, text) in sources {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, text))
            .map_err(BuildError::file(&path))?;
    }
    Ok(())
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), BuildError> {
    let unreadable = BuildError::file(folder);
    let entries: Vec<_> = fs::read_dir(folder).and_then(Iterator::collect).map_err(unreadable)?;
    for entry in entries {
        let (name, path) = (entry.file_name(), entry.path());
        let name = name.to_string_lossy();
        if name.starts_with('.') || NO_SOURCES.contains(&&*name) {
            continue;
        }
        match fs::metadata(&path).map_err(BuildError::file(&path))? {
            kind if kind.is_dir() => list(&path, files)?,
            kind if kind.is_file() => files.push(path),
            _ => {}
        }
        if files.len() > FILES_MAX {
            let source = io::Error::other(format!("more than {FILES_MAX} files"));
            return Err(BuildError::File { path: folder.to_owned(), source });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::project::MANIFEST;

    #[cfg(unix)]
    #[test]
    fn a_linked_sdk_is_staged_as_files() {
        let folder = tempfile::tempdir().unwrap();
        let (policy, elsewhere) = (folder.path().join("p"), folder.path().join("elsewhere"));
        fs::create_dir_all(&policy).unwrap();
        fs::create_dir_all(&elsewhere).unwrap();
        fs::write(elsewhere.join("hooks.js"), "1").unwrap();
        std::os::unix::fs::symlink(&elsewhere, policy.join("sdk")).unwrap();
        fs::write(policy.join(MANIFEST), r#"{"name": "p", "language": "js", "hooks": ["pre"]}"#)
            .unwrap();
        let sources = read(&Project::read(&policy).unwrap()).unwrap();
        super::stage(&policy.join("build"), &sources).unwrap();
        let stage = policy.join("build").join(STAGE);
        assert!(fs::symlink_metadata(stage.join("sdk")).unwrap().is_dir());
        assert_eq!(fs::read_to_string(stage.join("sdk/hooks.js")).unwrap(), "1");
    }
}
