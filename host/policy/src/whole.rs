//! Files that are whole or not there: written aside, flushed, renamed, and the folder flushed.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

/// What the names of files begin with that are being written.
const ASIDE: &str = ".writing-";

/// Whether a file of this name is what an interrupted write left behind.
pub(crate) fn is_aside(name: &str) -> bool {
    name.starts_with(ASIDE)
}

/// Writes the pieces one behind the other, so that a crash leaves all of them or none.
pub(crate) fn write_whole(folder: &Path, path: &Path, pieces: &[&[u8]]) -> io::Result<()> {
    let mut aside = tempfile::Builder::new().prefix(ASIDE).tempfile_in(folder)?;
    for piece in pieces {
        aside.write_all(piece)?;
    }
    aside.as_file().sync_all()?;
    aside.persist(path)?;
    File::open(folder)?.sync_all()
}
