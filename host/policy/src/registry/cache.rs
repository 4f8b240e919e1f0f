//! Machine code on disk, so that a restart compiles nothing again. It is native code, so only what
//! this host wrote is ever run: the folder is this user's alone, and every entry is signed, with
//! what it was made from, by a secret that lies beside it. Anything else there is removed.

use std::{
    collections::BTreeSet,
    fs::{self, File, Permissions},
    hash::{Hash, Hasher},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

use ring::{
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use sha2::{Digest, Sha256};
use signalbox_confine::{Bounded, Limit};
use wasmtime::Engine;

use super::disk::storage;
use crate::{Limits, PolicyError, code::Code, whole::write_whole};

const FOLDER: &str = "code";
const SECRET: &str = "code.key";
const SECRET_BYTES: usize = 32;
const MAC_BYTES: usize = 32;

/// The folder of one registry's machine code.
pub(super) struct Cache {
    folder: PathBuf,
    secret: hmac::Key,
    /// What code depends on beside the component: the compiler, its settings, this host's limits.
    terms: Vec<u8>,
    bytes_max: u64,
    /// Most bytes of an entry that could be one.
    entry_bytes_max: u64,
}

impl Cache {
    /// Opens the cache in the registry's folder `root`.
    ///
    /// # Errors
    /// A folder or a secret that can't be read or made.
    pub(super) fn open(
        root: &Path,
        engine: &Engine,
        limits: &Limits,
    ) -> Result<Cache, PolicyError> {
        let folder = root.join(FOLDER);
        private_folder(&folder).map_err(storage(&folder))?;
        let path = root.join(SECRET);
        let secret = secret(root, &path).map_err(storage(&path))?;
        Ok(Cache {
            folder,
            secret: hmac::Key::new(hmac::HMAC_SHA256, &secret),
            terms: terms(engine, limits),
            bytes_max: limits.code_cache_bytes,
            entry_bytes_max: limits.compiled_bytes.saturating_add(MAC_BYTES as u64),
        })
    }

    /// The code of a revision, if it is here, whole, and this host's own.
    pub(super) fn load(&self, revision: &str) -> Option<Code> {
        let path = self.path(revision);
        match self.read(&path, revision) {
            Ok(code) => Some(Code::vouched(code)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(
                    "cached code is not used and compiled again: {}: {error}",
                    path.display()
                );
                remove(&path);
                None
            }
        }
    }

    fn read(&self, path: &Path, revision: &str) -> io::Result<Vec<u8>> {
        if !fs::symlink_metadata(path)?.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        let mut bytes = Vec::new();
        File::open(path)?.take(self.entry_bytes_max + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > self.entry_bytes_max {
            return Err(io::Error::other("it is too large"));
        }
        let at = bytes.len().checked_sub(MAC_BYTES);
        let signature = bytes.split_off(at.ok_or_else(|| io::Error::other("it is torn"))?);
        hmac::verify(&self.secret, &self.signed(revision, &bytes), &signature)
            .map_err(|_| io::Error::other("it was not written here"))?;
        Ok(bytes)
    }

    /// Keeps code. A cache that can't be written only costs time.
    ///
    /// `needed` names the revisions that are to stay longest.
    pub(super) fn store(&self, revision: &str, code: &Code, needed: &BTreeSet<String>) {
        let size = (code.bytes().len() + MAC_BYTES) as u64;
        if size > self.bytes_max {
            return;
        }
        self.make_room(size, needed);
        let path = self.path(revision);
        let signature = hmac::sign(&self.secret, &self.signed(revision, code.bytes()));
        if let Err(error) = write_whole(&self.folder, &path, &[code.bytes(), signature.as_ref()]) {
            tracing::warn!("compiled code is not kept: {}: {error}", path.display());
        }
    }

    /// Forgets the code of a revision.
    pub(super) fn forget(&self, revision: &str) {
        remove(&self.path(revision));
    }

    /// Forgets everything but the code of `known` revisions, of this compiler and these limits.
    pub(super) fn sweep<'r>(&self, known: impl Iterator<Item = &'r str>) {
        let known: BTreeSet<PathBuf> = known.map(|revision| self.path(revision)).collect();
        for entry in self.entries() {
            if !known.contains(&entry.path) {
                remove(&entry.path);
            }
        }
    }

    /// Removes entries until `more` bytes fit: first what is not needed, then the oldest.
    fn make_room(&self, more: u64, needed: &BTreeSet<String>) {
        let needed: BTreeSet<PathBuf> = needed.iter().map(|revision| self.path(revision)).collect();
        let mut entries = self.entries();
        entries.sort_by_key(|entry| (needed.contains(&entry.path), entry.modified));
        let mut used: u64 = entries.iter().map(|entry| entry.bytes).sum();
        for entry in entries {
            if used.saturating_add(more) <= self.bytes_max {
                return;
            }
            remove(&entry.path);
            used -= entry.bytes;
        }
    }

    fn entries(&self) -> Vec<Entry> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let entry = |entry: io::Result<fs::DirEntry>| {
            let entry = entry.ok()?;
            let metadata = entry.metadata().ok()?;
            let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            Some(Entry { path: entry.path(), bytes: metadata.len(), modified })
        };
        entries.filter_map(entry).collect()
    }

    /// What is signed: the code, and what it was made from, so that no entry stands in for another.
    fn signed(&self, revision: &str, code: &[u8]) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(revision.as_bytes());
        digest.update(&self.terms);
        digest.update(code);
        digest.finalize().into()
    }

    fn path(&self, revision: &str) -> PathBuf {
        let terms = self.terms.iter().take(8).map(|byte| format!("{byte:02x}"));
        self.folder.join(format!("{revision}-{}", terms.collect::<String>()))
    }
}

struct Entry {
    path: PathBuf,
    bytes: u64,
    modified: SystemTime,
}

/// An entry that stays is found by the next sweep.
fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!("{} was not removed: {error}", path.display());
        }
        _ => {}
    }
}

fn private_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(0o700))
}

/// The secret of this registry, made at first use. A damaged one is made anew, which costs the
/// entries that were signed with it.
fn secret(root: &Path, path: &Path) -> io::Result<[u8; SECRET_BYTES]> {
    let kept = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => {
            fs::set_permissions(path, Permissions::from_mode(0o600))?;
            let mut bytes = Vec::new();
            File::open(path)?.take(SECRET_BYTES as u64 + 1).read_to_end(&mut bytes)?;
            bytes.try_into().ok()
        }
        Ok(_) => return Err(io::Error::other("it is no file; move it away")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    if let Some(secret) = kept {
        return Ok(secret);
    }
    let mut secret = [0; SECRET_BYTES];
    let no_chance = |_| io::Error::other("the system has no random numbers");
    SystemRandom::new().fill(&mut secret).map_err(no_chance)?;
    write_whole(root, path, &[&secret])?; // temporary files are their owner's alone
    Ok(secret)
}

/// A digest of everything beside the component that its code and its judgement depend on.
fn terms(engine: &Engine, limits: &Limits) -> Vec<u8> {
    let mut digest = Digester(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut digest);
    digest.write(env!("CARGO_PKG_VERSION").as_bytes());
    for (limit, value) in limits.table().into_iter().filter(|(limit, _)| judges(limit)) {
        digest.write(limit.name.as_bytes());
        digest.write(&value.to_le_bytes());
    }
    digest.0.finalize().to_vec()
}

/// Whether a limit decides if a component is accepted.
fn judges(limit: &Limit) -> bool {
    limit.word().is_some_and(|word| word.starts_with("upload_") && word != "upload_queue")
}

/// A hasher whose result is the same in every process.
struct Digester(Sha256);

impl Hasher for Digester {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0 // nobody asks: the digest is read instead
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine;

    struct Scene {
        root: tempfile::TempDir,
        limits: Limits,
    }

    impl Scene {
        fn new() -> Self {
            Self { root: tempfile::tempdir().unwrap(), limits: Limits::default() }
        }

        fn cache(&self) -> Cache {
            let engine = engine::on_demand(&self.limits).unwrap();
            Cache::open(self.root.path(), &engine, &self.limits).unwrap()
        }
    }

    fn code(text: &str) -> Code {
        Code::vouched(text.as_bytes().to_vec())
    }

    fn store(cache: &Cache, revision: &str, text: &str) {
        cache.store(revision, &code(text), &BTreeSet::new());
    }

    #[test]
    fn what_was_kept_is_there_after_a_restart_and_is_this_users_alone() {
        let scene = Scene::new();
        assert_eq!(scene.cache().load("one"), None);
        store(&scene.cache(), "one", "code");
        assert_eq!(scene.cache().load("one"), Some(code("code")));
        let mode = |name: &str| {
            fs::metadata(scene.root.path().join(name)).unwrap().permissions().mode() & 0o777
        };
        assert_eq!((mode(FOLDER), mode(SECRET)), (0o700, 0o600));
    }

    #[test]
    fn what_this_host_did_not_write_is_not_run() {
        let scene = Scene::new();
        let cache = scene.cache();
        store(&cache, "one", "code");
        let path = cache.path("one");
        let whole = fs::read(&path).unwrap();
        let mut tampered = Vec::new();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            tampered.push(bytes);
            tampered.push(whole[..at].to_vec());
        }
        for bytes in tampered {
            fs::write(&path, &bytes).unwrap();
            assert_eq!(cache.load("one"), None, "{bytes:?}");
            assert!(!path.exists());
        }
        fs::write(cache.path("two"), &whole).unwrap();
        assert_eq!(cache.load("two"), None, "an entry stands for its own revision only");
    }

    #[test]
    fn another_secret_or_another_limit_makes_other_entries() {
        let mut scene = Scene::new();
        store(&scene.cache(), "one", "code");
        scene.limits.upload_functions -= 1;
        assert_eq!(scene.cache().load("one"), None);
        scene.limits.upload_functions += 1;
        assert_eq!(scene.cache().load("one"), Some(code("code")));
        fs::write(scene.root.path().join(SECRET), b"short").unwrap();
        assert_eq!(scene.cache().load("one"), None);
    }

    #[test]
    fn it_stays_within_its_size_and_keeps_what_is_needed() {
        let mut scene = Scene::new();
        let text = "x".repeat(100);
        scene.limits.code_cache_bytes = 3 * (100 + MAC_BYTES as u64);
        let cache = scene.cache();
        let needed = BTreeSet::from(["needed".to_owned()]);
        for revision in ["needed", "a", "b", "c", "d"] {
            cache.store(revision, &code(&text), &needed);
        }
        let is = |revision: &str| cache.load(revision).is_some();
        assert!(is("needed") && is("d"));
        assert_eq!(cache.entries().len(), 3);
        store(&cache, "huge", &"x".repeat(1000));
        assert!(!is("huge") && is("needed"));
        cache.sweep(["d"].into_iter());
        assert!(is("d") && !is("needed"));
    }
}
