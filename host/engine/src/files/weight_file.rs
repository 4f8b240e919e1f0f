//! A weight file, read by position into memory of our own. It is never mapped: whoever overwrites or
//! truncates a file while it is read, or later, gets an error that names it and can't end the process.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use rustix::{buffer::spare_capacity, io::pread};

use super::{CheckpointError, Kind, config::open, stamp::Stamp};

/// A file that stays open between the reading of its header and that of its weights, so that both come
/// from one file even when another one takes its name. One that was closed between is opened again, and
/// must be the same.
#[derive(Debug)]
pub(crate) struct WeightFile {
    path: PathBuf,
    file: OnceLock<File>,
    stamp: Stamp,
    /// Bytes that were read so far.
    read: AtomicU64,
}

impl WeightFile {
    /// Opens what must be a plain file.
    pub(crate) fn open(path: &Path) -> Result<Self, CheckpointError> {
        let file = open(path)?;
        let stamp = stamp_of(path, &file)?;
        Ok(Self { path: path.to_owned(), file: file.into(), stamp, read: AtomicU64::new(0) })
    }

    /// Gives the descriptor back until something is read.
    pub(crate) fn close(&mut self) {
        self.file = OnceLock::new();
    }

    /// The name still leads to the file that was opened, as it was.
    pub(crate) fn is_current(&self) -> bool {
        Stamp::at(&self.path) == Some(self.stamp)
    }

    fn file(&self) -> Result<&File, CheckpointError> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = open(&self.path)?;
        match stamp_of(&self.path, &file)? == self.stamp {
            true => Ok(self.file.get_or_init(|| file)),
            false => Err(self.changed()),
        }
    }

    /// Where it lay when it was opened.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its length when it was opened.
    pub(crate) fn bytes(&self) -> usize {
        usize::try_from(self.stamp.bytes).unwrap_or(usize::MAX)
    }

    /// Bytes of it that were read so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.read.load(Relaxed)
    }

    /// What tells it from others, and from itself before it was written to: its name, its length, and when it
    /// was modified. Stays the same when a folder is moved or copied with its times.
    pub(crate) fn signature(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().display();
        format!("{name:?} {:?}", self.stamp.of_content())
    }

    /// `count` bytes from `offset` on.
    pub(crate) fn read(&self, offset: usize, count: usize) -> Result<Vec<u8>, CheckpointError> {
        let mut bytes = Vec::new();
        if bytes.try_reserve_exact(count).is_err() {
            let problem = format!("there is no memory for {count} bytes of it");
            return Err(CheckpointError::lacking(&self.path, problem));
        }
        let file = self.file()?;
        while bytes.len() < count {
            let at = (offset + bytes.len()) as u64;
            match pread(file, spare_capacity(&mut bytes), at) {
                Ok(0) => return Err(self.changed()),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(CheckpointError::unreadable(&self.path, &error.into())),
            }
        }
        self.read.fetch_add(count as u64, Relaxed);
        bytes.truncate(count); // there may have been more room than was asked for
        Ok(bytes)
    }

    /// Whether what was read belongs together: nobody has written since the file was opened.
    pub(crate) fn check_unchanged(&self) -> Result<(), CheckpointError> {
        let now = stamp_of(&self.path, self.file()?)?;
        if now == self.stamp { Ok(()) } else { Err(self.changed()) }
    }

    fn changed(&self) -> CheckpointError {
        let mend = "it is read again at the next call; replace weights by renaming a whole file \
                    over the old one";
        CheckpointError::new(Kind::Changed, &self.path, "changed while it was read", mend)
    }
}

fn stamp_of(path: &Path, file: &File) -> Result<Stamp, CheckpointError> {
    let metadata = file.metadata().map_err(|error| CheckpointError::unreadable(path, &error))?;
    Ok(Stamp::of(&metadata))
}
