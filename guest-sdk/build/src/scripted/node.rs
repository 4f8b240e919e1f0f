//! Tools that npm brings and Node.js runs.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::tool;
use crate::{BuildError, lines};

const MEND: &str = "install Node.js 20 or newer, which brings npm, from https://nodejs.org";

/// The folder of `tool`, which takes so much room; `files` have its versions and hashes.
pub(super) fn ready(
    tools: &Path,
    tool: &str,
    files: &[(&str, &str)],
    room: &str,
    say: &mut dyn FnMut(&str),
) -> Result<PathBuf, BuildError> {
    tool::ready(tools, tool, files, |folder| {
        say(&format!("installing {tool} into {} ({room}, once)", folder.display()));
        let install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
        tool::step(Command::new("npm").args(install).current_dir(folder), MEND, say)
    })
}

/// Runs a script with these arguments, in `folder`.
pub(super) fn run(
    script: &Path,
    arguments: &[&Path],
    folder: &Path,
) -> Result<lines::Ended, BuildError> {
    let mut node = Command::new("node");
    node.arg(script).args(arguments).current_dir(folder);
    tool::run(&mut node, MEND, &mut |_| {})
}
