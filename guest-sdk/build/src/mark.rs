//! Which SDK a component was made with: a custom section that says so and changes nothing of what it does.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use crate::BuildError;

/// The section's name; a host's `policy inspect` reads it.
const NAME: &str = "signalbox-sdk";

/// Says in the component at `path` that it was made with this version of the SDK for `language`, unless it says so.
pub(crate) fn mark(path: &Path, language: &str, version: &str) -> Result<(), BuildError> {
    let section = section(&format!("{language} {version}"));
    let made = fs::read(path).map_err(BuildError::file(path))?;
    if made.ends_with(&section) {
        return Ok(());
    }
    let file = OpenOptions::new().append(true).open(path);
    file.and_then(|mut file| file.write_all(&section)).map_err(BuildError::file(path))
}

/// A custom section with `text` in it, cut to what one byte of length can say.
fn section(text: &str) -> Vec<u8> {
    let text = &text[..text.floor_char_boundary(64)];
    let length = (1 + NAME.len() + text.len()) as u8;
    let head = [0, length, NAME.len() as u8];
    [&head, NAME.as_bytes(), text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_marked_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.wasm");
        fs::write(&path, b"\0asm\x0d\0\x01\0").unwrap();
        mark(&path, "js", "0.1.0").unwrap();
        mark(&path, "js", "0.1.0").unwrap();
        let marked = fs::read(&path).unwrap();
        assert_eq!(marked[8..], *b"\0\x16\x0dsignalbox-sdkjs 0.1.0");
        assert!(section(&"x".repeat(500)).len() < 128, "its length fits in one byte");
    }
}
