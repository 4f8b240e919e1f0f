//! The names of an expert's files by their contents, so that two machines can compare whether they have
//! the same checkpoint.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use signalbox_engine::is_pack_file;

/// The manifest's name, in the folder of the files.
pub(super) const MANIFEST: &str = "signalbox-manifest.json";
/// Bytes read at once.
const PIECE: usize = 1 << 20;

/// The regular files of a checkpoint, by name, with their sizes: the file itself, or those that lie in
/// the folder, but for our own manifest of them and their packed weights.
pub(super) struct Files(Vec<(PathBuf, u64)>);

/// What they are, by what they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hashes {
    /// Of a single file, its sha256; of a folder, that of the lines `sha256  name` in the order of the
    /// names: `LC_ALL=C sha256sum * | sha256sum`.
    pub(super) whole: String,
    /// Name and sha256.
    pub(super) files: Vec<(String, String)>,
    /// Bytes of each.
    pub(super) sizes: Vec<u64>,
    pub(super) bytes: u64,
}

impl Files {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let mut files = Vec::new();
        if path.is_dir() {
            for entry in fs::read_dir(path)? {
                let file = entry?.path();
                let ours = name(&file) == MANIFEST || is_pack_file(&name(&file));
                let visible = !name(&file).starts_with('.') && !ours;
                // Follows links, as caches of checkpoints have them.
                let found = fs::metadata(&file).map_err(|error| named(&file, &error))?;
                if visible && found.is_file() {
                    files.push((file, found.len()));
                }
            }
        } else {
            files.push((path.to_owned(), fs::metadata(path)?.len()));
        }
        files.sort();
        Ok(Self(files))
    }

    pub(super) fn bytes(&self) -> u64 {
        self.0.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Reads them all; `progress` is called for every piece.
    pub(super) fn hash(&self, progress: &mut dyn FnMut(u64)) -> io::Result<Hashes> {
        let mut files = Vec::with_capacity(self.0.len());
        for (file, _) in &self.0 {
            let hash = sha256(file, progress).map_err(|error| named(file, &error))?;
            files.push((name(file), hash));
        }
        let lines: String = files.iter().map(|(name, hash)| format!("{hash}  {name}\n")).collect();
        let whole = match files.as_slice() {
            [(_, single)] => single.clone(),
            _ => hex(Sha256::digest(lines)),
        };
        let sizes = self.0.iter().map(|(_, bytes)| *bytes).collect();
        Ok(Hashes { whole, files, sizes, bytes: self.bytes() })
    }
}

/// The same error with the file it is about.
fn named(file: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", name(file)))
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn sha256(file: &Path, progress: &mut dyn FnMut(u64)) -> io::Result<String> {
    let mut open = File::open(file)?;
    let (mut hasher, mut piece) = (Sha256::new(), vec![0; PIECE]);
    loop {
        match open.read(&mut piece)? {
            0 => return Ok(hex(hasher.finalize())),
            read => {
                hasher.update(&piece[..read]);
                progress(read as u64);
            }
        }
    }
}

fn hex(hash: impl AsRef<[u8]>) -> String {
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_what_its_files_are() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("b"), "world").unwrap();
        fs::write(folder.path().join("a"), "hello").unwrap();
        fs::write(folder.path().join(".lock"), "x").unwrap();
        fs::create_dir(folder.path().join("original")).unwrap();
        let mut read = 0;
        let hashes = Files::of(folder.path()).unwrap().hash(&mut |bytes| read += bytes).unwrap();
        assert_eq!((hashes.bytes, read), (10, 10));
        // printf hello > a; printf world > b; sha256sum * | sha256sum
        assert_eq!(
            hashes.files[0].1,
            "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
        );
        assert_eq!(
            hashes.whole,
            "2c0f523b171015e36ce4515ed3bacfbb0737d08fc3d627303c456d7dcb2efd03"
        );
        let one = Files::of(&folder.path().join("a")).unwrap().hash(&mut |_| ()).unwrap();
        assert_eq!(one.whole, hashes.files[0].1);
        assert!(Files::of(&folder.path().join("c")).is_err());
    }
}
