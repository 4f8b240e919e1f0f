//! What changes with a file's content: how it is noticed that somebody has written or replaced one.

use std::{
    fs::Metadata,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    /// Device and inode.
    place: (u64, u64),
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Self { bytes: metadata.len(), modified, place: (metadata.dev(), metadata.ino()) }
    }

    /// Length, and seconds and nanoseconds.
    pub(crate) fn of_content(&self) -> (u64, (i64, i64)) {
        (self.bytes, self.modified)
    }

    /// Of the file that has this name now; `None` where there is none, or none to be seen.
    pub(crate) fn at(path: &Path) -> Option<Self> {
        path.metadata().ok().map(|metadata| Self::of(&metadata))
    }
}

/// Of several files, there or not. Taken before they are read, so that no change between is missed.
#[derive(Debug, Default)]
pub(crate) struct Stamps(Vec<(PathBuf, Option<Stamp>)>);

impl Stamps {
    pub(crate) fn take(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let stamp = |path: PathBuf| {
            let stamp = Stamp::at(&path);
            (path, stamp)
        };
        Self(paths.into_iter().map(stamp).collect())
    }

    /// Nobody has written, replaced, added or removed any of them since.
    pub(crate) fn are_current(&self) -> bool {
        self.0.iter().all(|(path, stamp)| Stamp::at(path) == *stamp)
    }
}
