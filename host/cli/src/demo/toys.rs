//! The toy experts, unpacked from the binary into the user's cache: once, whole, and safely when
//! two demos start together.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{
    builtin::{File, TOYS, TOYS_HASH},
    cache::{cache_dir, environment},
};

/// Where the toys lie.
pub(super) enum Unpacked {
    /// In the user's cache, for the next start too.
    Cached(PathBuf),
    /// In a folder of this process, because the cache can't be written.
    Own(TempDir),
}

impl Unpacked {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Cached(path) => path,
            Self::Own(folder) => folder.path(),
        }
    }
}

/// Finds or makes the folder with the toys.
///
/// # Errors
/// Neither the cache nor the temporary folder can be written.
pub(super) fn unpack() -> Result<Unpacked> {
    if let Some(cache) = cache_dir(&environment) {
        // A cache that can't be written is common (containers, services) and no reason to stop.
        if let Ok(path) = unpack_below(&cache) {
            return Ok(Unpacked::Cached(path));
        }
    }
    let own = TempDir::with_prefix("signalbox-toys-").context("no temporary folder")?;
    write_all(own.path()).context("the toy experts can't be unpacked")?;
    Ok(Unpacked::Own(own))
}

/// The folder is named by its contents and appears complete, by a rename, or not at all.
fn unpack_below(parent: &Path) -> io::Result<PathBuf> {
    let folder = parent.join(format!("toys-{}", &TOYS_HASH[..16]));
    if is_whole(&folder) {
        return Ok(folder);
    }
    fs::create_dir_all(parent)?;
    let fresh = TempDir::with_prefix_in("unpacking-", parent)?;
    write_all(fresh.path())?;
    if fs::rename(fresh.path(), &folder).is_err() && !is_whole(&folder) {
        // A cleaner took files out of the cache. A whole folder, though, is another demo's, which
        // was faster and may be reading it.
        fs::remove_dir_all(&folder)?;
        fs::rename(fresh.path(), &folder)?;
    }
    Ok(folder)
}

fn is_whole(folder: &Path) -> bool {
    TOYS.iter().all(|File { path, bytes }| {
        let size = fs::metadata(folder.join(path)).map(|found| found.len());
        size.is_ok_and(|size| size == bytes.len() as u64)
    })
}

fn write_all(folder: &Path) -> io::Result<()> {
    for File { path, bytes } in TOYS {
        let file = folder.join(path);
        fs::create_dir_all(file.parent().unwrap_or(folder))?;
        fs::write(file, bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn toys_are_unpacked_once_and_mended() {
        let cache = tempfile::tempdir().unwrap();
        let folder = unpack_below(cache.path()).unwrap();
        let config = folder.join("phi4_fast/config.json");
        let first = fs::metadata(&config).unwrap().modified().unwrap();
        assert_eq!(unpack_below(cache.path()).unwrap(), folder);
        assert_eq!(fs::metadata(&config).unwrap().modified().unwrap(), first);

        fs::remove_file(&config).unwrap();
        assert_eq!(unpack_below(cache.path()).unwrap(), folder);
        assert!(is_whole(&folder));
    }

    #[test]
    fn demos_may_start_together() {
        let cache = tempfile::tempdir().unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert!(is_whole(&unpack_below(cache.path()).unwrap())));
            }
        });
        let left = fs::read_dir(cache.path()).unwrap().count();
        assert_eq!(left, 1, "only the toys stay");
    }
}
