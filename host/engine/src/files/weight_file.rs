//! A weight file, read by position into memory of our own. Nothing is mapped: whoever overwrites or
//! truncates a file while it is read, or later, gets an error that names it and can't end the process.

use std::{
    fs::File,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::{buffer::spare_capacity, io::pread};

use super::{CheckpointError, Kind, config::open};

/// A file that stays open between the reading of its header and that of its weights, so that both come
/// from one file even when another one takes its name.
#[derive(Debug)]
pub(crate) struct WeightFile {
    path: PathBuf,
    file: File,
    stamp: Stamp,
}

/// What changes with a file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
}

impl Stamp {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Ok(Self { bytes: metadata.len(), modified })
    }
}

impl WeightFile {
    /// Opens what must be a plain file.
    pub(crate) fn open(path: &Path) -> Result<Self, CheckpointError> {
        let file = open(path)?;
        let stamp = Stamp::of(&file).map_err(|error| CheckpointError::unreadable(path, &error))?;
        Ok(Self { path: path.to_owned(), file, stamp })
    }

    /// Where it lay when it was opened.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its length when it was opened.
    pub(crate) fn bytes(&self) -> usize {
        usize::try_from(self.stamp.bytes).unwrap_or(usize::MAX)
    }

    /// `count` bytes from `offset` on.
    pub(crate) fn read(&self, offset: usize, count: usize) -> Result<Vec<u8>, CheckpointError> {
        let mut bytes = Vec::new();
        if bytes.try_reserve_exact(count).is_err() {
            let problem = format!("there is no memory for {count} bytes of it");
            return Err(CheckpointError::lacking(&self.path, problem));
        }
        while bytes.len() < count {
            let at = (offset + bytes.len()) as u64;
            match pread(&self.file, spare_capacity(&mut bytes), at) {
                Ok(0) => return Err(self.changed()),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(CheckpointError::unreadable(&self.path, &error.into())),
            }
        }
        bytes.truncate(count); // there may have been more room than was asked for
        Ok(bytes)
    }

    /// Whether what was read belongs together: nobody has written since the file was opened.
    pub(crate) fn check_unchanged(&self) -> Result<(), CheckpointError> {
        let now = Stamp::of(&self.file);
        let now = now.map_err(|error| CheckpointError::unreadable(&self.path, &error))?;
        if now == self.stamp { Ok(()) } else { Err(self.changed()) }
    }

    fn changed(&self) -> CheckpointError {
        let mend = "it is read again at the next call; replace weights by renaming a whole file \
                    over the old one";
        CheckpointError::new(Kind::Changed, &self.path, "changed while it was read", mend)
    }
}
