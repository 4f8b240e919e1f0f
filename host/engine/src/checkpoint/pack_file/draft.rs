//! A pack file while it is written: under a name that nobody looks for, until all of it is on the disk.

use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use rustix::{
    fs::{FallocateFlags, fallocate},
    io::Errno,
};
use tempfile::NamedTempFile;

use super::{header::Header, identity::Identity, sound::PackFile};
use crate::{checkpoint::arrangement::Arrangement, files::open_plain};

/// How drafts end.
const ENDING: &str = ".draft";
/// An empty draft that nobody holds and that is older was left by a process that has ended.
const LEFT_BEHIND: Duration = Duration::from_secs(10);

/// A file that is written piece by piece. Taken back when it is dropped.
pub(in crate::checkpoint) struct Draft {
    /// Locked, so that others see that it is in use.
    file: NamedTempFile,
    place: PathBuf,
    checksums: Vec<AtomicU32>,
    /// Where the first matrix begins.
    begin: usize,
    /// The file system has set room aside for all of it.
    has_room: bool,
}

impl Draft {
    /// Begins a file that will be at `place`, with room for all of it.
    pub(in crate::checkpoint) fn begin(
        place: &Path,
        arrangement: &Arrangement,
    ) -> io::Result<Self> {
        let folder = place.parent().unwrap_or(Path::new("."));
        let name = format!(".{}.", place.file_name().unwrap_or_default().display());
        sweep(folder, &name);
        let file = tempfile::Builder::new().prefix(&name).suffix(ENDING).tempfile_in(folder)?;
        file.as_file().try_lock().map_err(io::Error::from)?;
        let begin = Header::len(arrangement.pieces);
        let bytes = (begin + arrangement.bytes) as u64;
        let has_room = match fallocate(file.as_file(), FallocateFlags::empty(), 0, bytes) {
            Ok(()) => true,
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                file.as_file().set_len(bytes)?;
                false
            }
            Err(error) => return Err(error.into()),
        };
        let checksums = (0..arrangement.pieces).map(|_| AtomicU32::new(0)).collect();
        Ok(Self { file, place: place.to_owned(), checksums, begin, has_room })
    }

    /// Writes piece number `piece`, which begins so many bytes behind the first matrix.
    pub(in crate::checkpoint) fn write(
        &self,
        piece: usize,
        offset: usize,
        bytes: &[u8],
    ) -> io::Result<()> {
        self.checksums[piece].store(crc32fast::hash(bytes), Ordering::Relaxed);
        self.file.as_file().write_all_at(bytes, (self.begin + offset) as u64)
    }

    /// The file, complete and mapped, but not yet on the disk.
    pub(in crate::checkpoint) fn finish(
        self,
        identity: &Identity,
        arrangement: &Arrangement,
    ) -> io::Result<(PackFile, Unsettled)> {
        let header = Header::of(identity, arrangement);
        let checksums = self.checksums.iter().map(|sum| sum.load(Ordering::Relaxed));
        self.file.as_file().write_all_at(&header.write(checksums), 0)?;
        self.file.as_file().set_permissions(Permissions::from_mode(0o444))?;
        if !self.has_room {
            // A full disk shows now at the latest, and not in pages that are mapped.
            self.file.as_file().sync_all()?;
        }
        let written = PackFile::written(self.file.as_file(), self.begin)?;
        Ok((written, Unsettled { file: self.file, place: self.place }))
    }
}

/// A complete file that has no name yet. Taken back when it is dropped; what is mapped of it stays.
pub(crate) struct Unsettled {
    file: NamedTempFile,
    place: PathBuf,
}

impl Unsettled {
    /// Waits for the disk, and gives the file its name in place of an older one.
    pub(crate) fn settle(self) -> io::Result<PathBuf> {
        let Self { file, place } = self;
        file.as_file().sync_all()?;
        file.persist(&place)?;
        File::open(place.parent().unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(place)
    }

    /// The same on a thread of its own. What goes wrong is logged: it costs the next load time, and nothing else.
    pub(crate) fn settle_later(self) {
        let settle = move || {
            let place = self.place.clone();
            match self.settle() {
                Ok(file) => tracing::info!(file = %file.display(), "packed weights are kept"),
                Err(error) => not_kept(&place, &error),
            }
        };
        if let Err(error) = thread::Builder::new().name("keep weights".into()).spawn(settle) {
            tracing::warn!(%error, "no thread to keep packed weights; the next load packs again");
        }
    }
}

/// Says why a file is not where it should be.
pub(in crate::checkpoint) fn not_kept(place: &Path, error: &io::Error) {
    let file = place.display();
    tracing::warn!(%file, %error, "packed weights can't be kept here; the next load packs again");
}

/// Makes the folder of a place that is ours, for our user only.
pub(in crate::checkpoint) fn make_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Removes drafts of a file that processes have left behind which ended before they were done.
fn sweep(folder: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(prefix) && name.ends_with(ENDING) && is_left_behind(&entry.path()) {
            // It may be gone by now, by another sweep.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn is_left_behind(path: &Path) -> bool {
    let Ok(file) = open_plain(path) else { return false };
    let Ok(metadata) = file.metadata() else { return false };
    let age = metadata.modified().ok().and_then(|modified| modified.elapsed().ok());
    // Room is set aside under the lock: only a file that is empty may be one that is not locked yet.
    let begun = metadata.len() > 0 || age.is_some_and(|age| age > LEFT_BEHIND);
    begun && file.try_lock().is_ok()
}
