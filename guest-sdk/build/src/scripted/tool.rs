//! Tools of other languages, each installed once, in one version, into a folder of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{BuildError, lines};

/// Written when an installation is whole: the files that it was made from.
const WHOLE: &str = ".whole";

/// The folder of `tool` below `tools`, where `install` has put it, now or earlier with the same `files`, which are
/// written there first. Two builds at once wait for each other.
pub(super) fn ready(
    tools: &Path,
    tool: &str,
    files: &[(&str, &str)],
    install: impl FnOnce(&Path) -> Result<(), BuildError>,
) -> Result<PathBuf, BuildError> {
    let folder = tools.join(tool);
    fs::create_dir_all(tools).map_err(BuildError::file(tools))?;
    let lock = tools.join(format!("{tool}.lock"));
    let held = File::create(&lock).and_then(|file| file.lock().map(|()| file));
    let _held = held.map_err(BuildError::file(&lock))?;
    let whole = folder.join(WHOLE);
    let made_of: String = files.iter().map(|(name, text)| format!("{name}\n{text}\n")).collect();
    if fs::read_to_string(&whole).ok().as_ref() != Some(&made_of) {
        // What is there is another's, or was left by an installation that was cut off.
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(BuildError::file(&folder))?;
        }
        fs::create_dir_all(&folder).map_err(BuildError::file(&folder))?;
        install_into(&folder, files, install)?;
        fs::write(&whole, made_of).map_err(BuildError::file(&whole))?;
    }
    Ok(folder)
}

fn install_into(
    folder: &Path,
    files: &[(&str, &str)],
    install: impl FnOnce(&Path) -> Result<(), BuildError>,
) -> Result<(), BuildError> {
    for (name, text) in files {
        let path = folder.join(name);
        fs::write(&path, text).map_err(BuildError::file(&path))?;
    }
    install(folder)
}

/// Runs one step of an installation; `mend` is for the one whose program is missing.
pub(super) fn step(
    command: &mut Command,
    mend: &'static str,
    say: &mut dyn FnMut(&str),
) -> Result<(), BuildError> {
    let ended = run(command, mend, say)?;
    match ended.status.success() {
        true => Ok(()),
        false => Err(BuildError::Install { output: ended.tail(), what: ended.command, mend }),
    }
}

/// Runs a program of another language.
pub(super) fn run(
    command: &mut Command,
    mend: &'static str,
    say: &mut dyn FnMut(&str),
) -> Result<lines::Ended, BuildError> {
    lines::run(command, say).map_err(|source| {
        let program = command.get_program().to_string_lossy().into_owned();
        BuildError::NoProgram { program, source, mend }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_installed_once_and_again_when_it_was_cut_off() {
        let tools = tempfile::tempdir().unwrap();
        let ready = |install: fn(&Path) -> Result<(), BuildError>| {
            super::ready(tools.path(), "t-1", &[("a", "text")], install)
        };
        let cut_off = |folder: &Path| {
            fs::write(folder.join("half"), "").unwrap();
            Err(BuildError::file(folder)(std::io::Error::other("cut off")))
        };
        assert!(ready(cut_off).is_err());
        let folder = ready(|folder| {
            assert!(folder.join("a").is_file() && !folder.join("half").exists());
            Ok(())
        });
        assert_eq!(folder.unwrap(), tools.path().join("t-1"));
        assert!(ready(|_| unreachable!("it is there")).is_ok());
        let newer = super::ready(tools.path(), "t-1", &[("a", "newer")], |folder| {
            assert_eq!(fs::read_to_string(folder.join("a")).unwrap(), "newer");
            Ok(())
        });
        assert!(newer.is_ok());
    }

    #[test]
    fn a_program_that_is_missing_is_named_with_its_mend() {
        let mut command = Command::new("no-such-program-here");
        let error = step(&mut command, "install it", &mut |_| {}).unwrap_err().to_string();
        assert!(error.starts_with("no-such-program-here can't be started"), "{error}");
        assert!(error.ends_with("install it"), "{error}");
    }
}
