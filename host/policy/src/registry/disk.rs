//! The registry's folder. Every write survives a crash at any byte: written aside, flushed,
//! renamed, and the folder flushed. A component is whole on disk before the state names it.

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;
use sha2::{Digest, Sha256};

use super::ledger::Ledger;
use crate::{
    PolicyError,
    whole::{is_aside, write_whole},
};

const STATE: &str = "state.json";
const BROKEN: &str = "state.json.broken-";
const LOCK: &str = "lock";
const COMPONENTS: &str = "components";
/// Broken state files kept for people to look at.
const BROKEN_MAX: usize = 1000;

/// The folder of one registry, locked for as long as this lives.
pub(super) struct Disk {
    root: PathBuf,
    _lock: File,
}

/// What was found in a registry's folder.
pub(super) struct Opened {
    pub(super) disk: Disk,
    pub(super) state: Ledger,
    /// Why the state could not be read; then `state` is empty and the file is as it was.
    pub(super) unreadable: Option<String>,
}

/// sha256 of a component: 64 lowercase hex digits.
pub(super) fn revision(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

pub(super) fn storage(path: &Path) -> impl FnOnce(io::Error) -> PolicyError {
    move |error| PolicyError::Storage { path: path.to_path_buf(), problem: error.to_string() }
}

impl Disk {
    /// Locks the folder, reads the state, and removes what an interrupted write left behind. What
    /// belongs to a state that can't be read is left alone.
    pub(super) fn open(root: &Path) -> Result<Opened, PolicyError> {
        let components = root.join(COMPONENTS);
        fs::create_dir_all(&components).map_err(storage(&components))?;
        let disk = Disk { root: root.to_path_buf(), _lock: lock(root)? };
        disk.sweep(root, is_aside)?;
        disk.sweep(&components, is_aside)?;
        match disk.read_state() {
            Ok(state) => {
                if !disk.has_broken_state()? {
                    let named: BTreeSet<String> = state.revisions().map(file_name).collect();
                    disk.sweep(&components, |name| !named.contains(name))?;
                }
                Ok(Opened { disk, state, unreadable: None })
            }
            Err(unreadable) => {
                let (state, unreadable) = (Ledger::default(), Some(unreadable));
                Ok(Opened { disk, state, unreadable })
            }
        }
    }

    /// The state, or what is wrong with it. A new registry gets an empty one at once: so one that is
    /// missing later was lost.
    fn read_state(&self) -> Result<Ledger, String> {
        let path = self.root.join(STATE);
        let message = |problem: String| format!("{}: {problem}", path.display());
        match fs::read(&path) {
            Ok(text) => Ledger::parse(&text).map_err(message),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let empty = Ledger::default();
                match self.is_new().and_then(|new| new.then(|| self.save(&empty)).transpose()) {
                    Ok(Some(())) => Ok(empty),
                    Ok(None) => Err(message("it is gone although components are there".into())),
                    Err(error) => Err(error.to_string()),
                }
            }
            Err(error) => Err(message(error.to_string())),
        }
    }

    /// Whether nothing was ever stored here.
    fn is_new(&self) -> Result<bool, PolicyError> {
        let components = self.root.join(COMPONENTS);
        let none = fs::read_dir(&components).map_err(storage(&components))?.next().is_none();
        Ok(none && !self.has_broken_state()?)
    }

    /// Whether a state was kept aside. Its components stay, for whoever mends it.
    fn has_broken_state(&self) -> Result<bool, PolicyError> {
        let mut entries = fs::read_dir(&self.root).map_err(storage(&self.root))?.flatten();
        Ok(entries.any(|entry| entry.file_name().to_string_lossy().starts_with(BROKEN)))
    }

    /// Keeps a state that can't be read aside, so that another can be written.
    pub(super) fn set_state_aside(&self) -> Result<(), PolicyError> {
        let path = self.root.join(STATE);
        let names = (1..=BROKEN_MAX).map(|n| self.root.join(format!("{BROKEN}{n}")));
        let free = names.into_iter().find(|name| !name.exists());
        let free = free.unwrap_or_else(|| self.root.join(format!("{BROKEN}{BROKEN_MAX}")));
        match fs::rename(&path, &free) {
            Ok(()) => tracing::warn!("{} was kept as {}", path.display(), free.display()),
            // An empty one says the same: components that nothing names may belong to a lost state.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.write(&free, b"")?;
            }
            Err(error) => return Err(storage(&path)(error)),
        }
        Ok(())
    }

    /// Stores a component under its revision.
    pub(super) fn store(&self, revision: &str, bytes: &[u8]) -> Result<(), PolicyError> {
        self.write(&self.component(revision), bytes)
    }

    /// A stored component, if it is still what its name says.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(super) fn load(&self, revision: &str) -> Result<Vec<u8>, String> {
        let path = self.component(revision);
        let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        match self::revision(&bytes) == revision {
            true => Ok(bytes),
            false => Err(format!("{} is damaged; upload it again", path.display())),
        }
    }

    /// Writes the state; once this returns, a crash comes back to it.
    pub(super) fn save(&self, state: &Ledger) -> Result<(), PolicyError> {
        let path = self.root.join(STATE);
        let text = state.text().map_err(|error| storage(&path)(error.into()))?;
        self.write(&path, &text)
    }

    /// Removes components that the state does not name any more. A file that stays is removed at
    /// the next start.
    pub(super) fn forget(&self, revision: &str) {
        let path = self.component(revision);
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!("{} was not removed: {error}", path.display());
        }
    }

    fn component(&self, revision: &str) -> PathBuf {
        self.root.join(COMPONENTS).join(file_name(revision))
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), PolicyError> {
        let folder = path.parent().unwrap_or(&self.root);
        write_whole(folder, path, &[bytes]).map_err(storage(path))
    }

    fn sweep(&self, folder: &Path, is_rubbish: impl Fn(&str) -> bool) -> Result<(), PolicyError> {
        for entry in fs::read_dir(folder).map_err(storage(folder))? {
            let entry = entry.map_err(storage(folder))?;
            let (path, name) = (entry.path(), entry.file_name());
            if path.is_file() && is_rubbish(&name.to_string_lossy()) {
                fs::remove_file(&path).map_err(storage(&path))?;
                tracing::info!("removed {}, left over from an interrupted write", path.display());
            }
        }
        Ok(())
    }
}

fn file_name(revision: &str) -> String {
    format!("{revision}.wasm")
}

/// Takes the lock file, which is opened without following a link, waiting for a reader or changing a
/// byte, for it may be something else than what this host once made.
fn lock(root: &Path) -> Result<File, PolicyError> {
    let path = root.join(LOCK);
    if path.symlink_metadata().is_ok_and(|found| !found.is_file()) {
        let problem = "is no plain file, so it can't be the registry's lock; remove it".to_owned();
        return Err(PolicyError::Storage { path, problem });
    }
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let mut options = File::options();
    options.write(true).create(true).truncate(false).custom_flags(flags.cast_signed());
    let file = options.open(&path).map_err(storage(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(PolicyError::Locked { path: root.to_path_buf() }),
        Err(TryLockError::Error(error)) => Err(storage(&path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::ledger::tests::stored, *};

    fn root() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn files(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A state that knows one revision of one policy.
    fn knows(bytes: &[u8]) -> Ledger {
        let mut state = Ledger::default();
        state.add("p", stored(&revision(bytes), &[]), 9);
        state
    }

    #[test]
    fn what_was_saved_is_there_after_a_restart() {
        let root = root();
        let Opened { disk, .. } = Disk::open(root.path()).unwrap();
        disk.store(&revision(b"one"), b"one").unwrap();
        disk.save(&knows(b"one")).unwrap();
        drop(disk);
        let Opened { disk, state, .. } = Disk::open(root.path()).unwrap();
        assert_eq!(state, knows(b"one"));
        assert_eq!(disk.load(&revision(b"one")).unwrap(), b"one");
    }

    #[test]
    fn what_an_interrupted_upload_left_is_removed() {
        let root = root();
        let Opened { disk, .. } = Disk::open(root.path()).unwrap();
        disk.store(&revision(b"named"), b"named").unwrap();
        disk.save(&knows(b"named")).unwrap();
        disk.store(&revision(b"not named yet"), b"not named yet").unwrap();
        fs::write(root.path().join(COMPONENTS).join(".writing-abc"), b"half a compo").unwrap();
        fs::write(root.path().join(".writing-def"), b"{\"gener").unwrap();
        drop(disk);
        let Opened { disk: _disk, state, .. } = Disk::open(root.path()).unwrap();
        assert_eq!(state, knows(b"named"));
        assert_eq!(files(&root.path().join(COMPONENTS)), [file_name(&revision(b"named"))]);
        assert_eq!(files(root.path()), [COMPONENTS, LOCK, STATE]);
    }

    /// Damages the state of a registry with one component; what opening it says.
    fn damaged(damage: impl FnOnce(&Path)) -> String {
        let root = root();
        let Opened { disk, .. } = Disk::open(root.path()).unwrap();
        disk.store(&revision(b"one"), b"one").unwrap();
        disk.save(&knows(b"one")).unwrap();
        drop(disk);
        damage(&root.path().join(STATE));
        let before = files(root.path());
        let Opened { disk, state, unreadable } = Disk::open(root.path()).unwrap();
        assert_eq!(state, Ledger::default());
        assert_eq!(files(root.path()), before, "the file is left as it is");
        assert_eq!(files(&root.path().join(COMPONENTS)).len(), 1, "its component stays");
        disk.set_state_aside().unwrap();
        disk.save(&Ledger::default()).unwrap();
        drop(disk);
        let Opened { disk: _disk, unreadable: none, .. } = Disk::open(root.path()).unwrap();
        assert_eq!(none, None);
        assert_eq!(files(&root.path().join(COMPONENTS)).len(), 1, "its component still stays");
        unreadable.unwrap()
    }

    #[test]
    fn a_state_that_cannot_be_read_is_reported_and_left_alone() {
        let check = |damage: &dyn Fn(&Path), message: &str| {
            let says = damaged(damage);
            assert!(says.contains(STATE) && says.contains(message), "{says}");
        };
        let write = |text: &'static str| move |path: &Path| fs::write(path, text).unwrap();
        check(&write("{\"version\": 1, \"generation\": 3, \"pipe"), "EOF");
        check(&write(""), "EOF");
        check(&write("[]"), "invalid");
        check(&write("{\"version\": 9, \"anything\": true}"), "layout 9");
        check(&write("{\"version\": 1}"), "missing field");
        check(&|path: &Path| fs::remove_file(path).unwrap(), "gone although");
        let folder = |path: &Path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        };
        check(&folder, "directory");
    }

    #[test]
    fn a_damaged_component_is_not_given_out() {
        let root = root();
        let Opened { disk, .. } = Disk::open(root.path()).unwrap();
        disk.store(&revision(b"one"), b"two").unwrap();
        assert!(disk.load(&revision(b"one")).unwrap_err().contains("is damaged"));
        assert!(disk.load(&revision(b"gone")).unwrap_err().contains("No such file"));
    }

    #[test]
    fn a_folder_serves_one_process_at_a_time() {
        let root = root();
        let Opened { disk, .. } = Disk::open(root.path()).unwrap();
        assert!(matches!(Disk::open(root.path()), Err(PolicyError::Locked { .. })));
        drop(disk);
        assert!(Disk::open(root.path()).is_ok());
    }

    #[test]
    fn a_lock_that_is_something_else_is_refused_by_name_and_left_alone() {
        let root = root();
        let (lock, treasure) = (root.path().join(LOCK), root.path().join("treasure"));
        fs::write(&treasure, "mine").unwrap();
        let refused = || match Disk::open(root.path()).err() {
            Some(PolicyError::Storage { path, problem }) => {
                assert_eq!(path, lock);
                assert!(problem.contains("is no plain file"), "{problem}");
                assert_eq!(fs::read(&treasure).unwrap(), b"mine");
            }
            other => panic!("{other:?}"),
        };
        std::os::unix::fs::symlink(&treasure, &lock).unwrap();
        refused();
        fs::remove_file(&lock).unwrap();
        fs::create_dir(&lock).unwrap();
        refused();
        fs::remove_dir(&lock).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &lock, rustix::fs::FileType::Fifo, 0o600.into(), 0)
            .unwrap();
        refused();
    }

    #[test]
    fn a_folder_that_is_a_link_is_followed_and_a_file_is_named() {
        let root = root();
        let (real, link) = (root.path().join("real"), root.path().join("link"));
        fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert!(Disk::open(&link).is_ok());
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        let message = Disk::open(&file).err().unwrap().to_string();
        assert!(message.contains(file.to_str().unwrap()), "{message}");
    }

    #[test]
    fn a_revision_is_the_sha256_of_the_bytes() {
        let expect = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(revision(b"abc"), expect);
    }
}
