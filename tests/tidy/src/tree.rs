//! The working tree as the rules see it: paths relative to the root, with their text.

use std::{fs, path::Path};

/// One text file.
pub(crate) struct Source {
    /// Relative to the root, with forward slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Folders that are ours and hold sources.
const ROOMS: [&str; 6] = ["host", "guest-sdk", "examples", "tests", "wit", ".ci"];

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Every file of ours whose name ends in `ending`.
pub(crate) fn files(ending: &str) -> Vec<Source> {
    let mut found = Vec::new();
    for room in ROOMS {
        collect(&root().join(room), ending, &mut found);
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "no file ends in {ending}: the tree moved, mend the rule");
    found
}

/// The text of one file that has to exist.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn collect(dir: &Path, ending: &str, found: &mut Vec<Source>) {
    for entry in fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // What is linked is read where it lies.
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() && name != "target" && name != "__pycache__" {
            collect(&path, ending, found);
        } else if path.is_file() && name.ends_with(ending) {
            let relative = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
            found.push(Source { path: relative, text: fs::read_to_string(&path).unwrap() });
        }
    }
}
