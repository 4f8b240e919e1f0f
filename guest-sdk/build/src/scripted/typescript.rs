//! TypeScript: its types are checked and taken out, and what is left is JavaScript.

use std::path::Path;

use super::node;
use crate::BuildError;

/// What checks the types, and in which version.
pub(super) const TOOL: &str = "typescript-5.9.3";
const SCRIPT: &str = "strip.mjs";
const FILES: [(&str, &str); 3] = [
    ("package.json", include_str!("../../ts/package.json")),
    ("package-lock.json", include_str!("../../ts/package-lock.json")),
    (SCRIPT, include_str!("../../ts/strip.mjs")),
];

/// Puts the JavaScript of the sources in `stage` beside them.
pub(super) fn strip(
    stage: &Path,
    tools: &Path,
    say: &mut dyn FnMut(&str),
) -> Result<(), BuildError> {
    let tool = node::ready(tools, TOOL, &FILES, "23 MB", say)?;
    let ended = node::run(&tool.join(SCRIPT), &[stage], stage)?;
    match ended.status.success() {
        true => Ok(()),
        false => Err(BuildError::Script { tool: TOOL, output: ended.tail() }),
    }
}
