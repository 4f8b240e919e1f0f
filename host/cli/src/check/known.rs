//! What the files of a checkpoint should hash to, where that is said beside them: by the cache that
//! fetched them, by a list of sums, or by a manifest that was written here.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::hash::{Hashes, MANIFEST};

/// Lists that tools write into a folder.
const SUMS: [&str; 3] = ["SHA256SUMS", "SHA256SUMS.txt", "sha256sums.txt"];
/// A list of sums longer than this is none.
const LIST_BYTES_MAX: u64 = 4 << 20;

/// Every file of a checkpoint, as it was when the manifest was written.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Manifest {
    files: BTreeMap<String, Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    bytes: u64,
    sha256: String,
}

/// What is said of the files in one folder.
pub(super) struct Known {
    folder: PathBuf,
    manifest: Manifest,
    sums: BTreeMap<String, (String, &'static str)>,
}

impl Known {
    /// Reads what lies in a checkpoint's folder, or in the folder of its one file.
    ///
    /// # Errors
    /// A manifest that is damaged: it would be no protection.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let manifest = match small(&folder.join(MANIFEST)) {
            Some(text) => serde_json::from_str(&text)
                .with_context(|| format!("{MANIFEST} is damaged; write it again"))?,
            None => Manifest::default(),
        };
        let mut sums = BTreeMap::new();
        for list in SUMS {
            let text = small(&folder.join(list)).unwrap_or_default();
            sums.extend(text.lines().filter_map(line).map(|(name, sum)| (name, (sum, list))));
        }
        Ok(Self { folder: folder.to_owned(), manifest, sums })
    }

    /// Whether anything is said of this file: what it should be, and who says so.
    pub(super) fn of(&self, name: &str) -> Option<(String, String)> {
        let file = self.folder.join(name);
        let manifest = self.manifest.files.get(name).map(|entry| (entry.sha256.clone(), MANIFEST));
        let said = |(sum, by): (String, &str)| (sum, by.to_owned());
        manifest
            .or_else(|| self.sums.get(name).cloned())
            .map(said)
            .or_else(|| beside(&file))
            .or_else(|| cached(&file))
            .or_else(|| downloaded(&self.folder, name))
    }

    /// Files of the manifest that are not among these.
    pub(super) fn missing(&self, found: &[(String, String)]) -> Vec<&str> {
        let names = self.manifest.files.keys().map(String::as_str);
        names.filter(|name| !found.iter().any(|(found, _)| found == name)).collect()
    }

    /// Adds these files to the manifest, whole or not at all. Answers where it lies.
    pub(super) fn write(mut self, hashes: &Hashes) -> Result<PathBuf> {
        for ((name, sha256), bytes) in hashes.files.iter().zip(&hashes.sizes) {
            let entry = Entry { bytes: *bytes, sha256: sha256.clone() };
            self.manifest.files.insert(name.clone(), entry);
        }
        let file = self.folder.join(MANIFEST);
        self.replace(&file).with_context(|| format!("{} can't be written", file.display()))?;
        Ok(file)
    }

    fn replace(&self, file: &Path) -> io::Result<()> {
        let mut aside = tempfile::NamedTempFile::new_in(&self.folder)?;
        serde_json::to_writer_pretty(&mut aside, &self.manifest)?;
        aside.write_all(b"\n")?;
        aside.as_file().sync_all()?;
        aside.persist(file)?;
        File::open(&self.folder)?.sync_all()
    }
}

/// A small text file; `None` for anything else.
fn small(file: &Path) -> Option<String> {
    fs::metadata(file).ok().filter(|found| found.is_file() && found.len() <= LIST_BYTES_MAX)?;
    let mut text = String::new();
    File::open(file).ok()?.take(LIST_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}

fn sum(word: &str) -> Option<String> {
    let word = word.trim().trim_matches('"').to_ascii_lowercase();
    (word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(word)
}

/// A line of `sha256sum`: name and sum.
fn line(line: &str) -> Option<(String, String)> {
    let (word, name) = line.split_once(char::is_whitespace)?;
    let name = name.trim().trim_start_matches('*').trim_start_matches("./");
    Some((name.to_owned(), sum(word)?))
}

/// `NAME.sha256`: a line, or the sum alone.
fn beside(file: &Path) -> Option<(String, String)> {
    let list = file.with_added_extension("sha256");
    let said = sum(small(&list)?.split_whitespace().next()?)?;
    Some((said, list.file_name()?.to_string_lossy().into_owned()))
}

/// The cache of Hugging Face: a link to a blob that is named by its sum.
fn cached(file: &Path) -> Option<(String, String)> {
    let target = fs::read_link(file).ok()?;
    let said = sum(target.file_name()?.to_str()?)?;
    Some((said, "the cache's name for it".to_owned()))
}

/// What `hf download --local-dir` records: the revision, and the etag, which is the sum of large files.
fn downloaded(folder: &Path, name: &str) -> Option<(String, String)> {
    let metadata = folder.join(".cache/huggingface/download").join(format!("{name}.metadata"));
    let said = sum(small(&metadata)?.lines().nth(1)?)?;
    Some((said, "the record of its download".to_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const SUM: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    fn check(prepare: impl Fn(&Path), expect: Option<&str>) {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let known = Known::read(folder.path()).unwrap().of("a.bin");
        assert_eq!(known, expect.map(|by| (SUM.to_owned(), by.to_owned())));
    }

    #[test]
    fn every_place_is_looked_at() {
        let write = |folder: &Path, name: &str, text: String| {
            let file = folder.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        check(|_| (), None);
        check(|f| write(f, "SHA256SUMS", format!("{SUM} *a.bin\n")), Some("SHA256SUMS"));
        check(|f| write(f, "SHA256SUMS", format!("{SUM}  b.bin\n{}  a.bin\n", &SUM[1..])), None);
        check(|f| write(f, "a.bin.sha256", format!("{SUM}\n")), Some("a.bin.sha256"));
        let cached = |f: &Path| symlink(format!("../../blobs/{SUM}"), f.join("a.bin")).unwrap();
        check(cached, Some("the cache's name for it"));
        let metadata = ".cache/huggingface/download/a.bin.metadata";
        let listed = |f: &Path| write(f, metadata, format!("abc\n{SUM}\n1700000000.0\n"));
        check(listed, Some("the record of its download"));
        let manifest =
            format!("{{\"files\": {{\"a.bin\": {{\"bytes\": 5, \"sha256\": \"{SUM}\"}}}}}}");
        check(|f| write(f, MANIFEST, manifest.clone()), Some(MANIFEST));
    }

    #[test]
    fn a_damaged_manifest_is_no_manifest() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(MANIFEST), "{\"files\": {").unwrap();
        assert!(Known::read(folder.path()).is_err());
    }
}
