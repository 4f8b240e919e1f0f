//! A bucket on disk: one file, written aside and renamed, that says by its checksum whether it is whole. Keys and values
//! stand in it with their lengths before them.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::bucket::{Pair, Quota};
use crate::whole::{is_aside, write_whole};

/// What a file begins with. Behind it come a checksum of the rest, and the rest.
const MAGIC: &[u8] = b"signalbox bucket 1\n";
const CHECKSUM_BYTES: usize = 32;
/// Of the two lengths before an entry.
const LENGTHS_BYTES: u64 = 8;

pub(super) fn path(folder: &Path, policy: &str) -> PathBuf {
    folder.join(format!("{policy}.bucket"))
}

/// Makes the folder, and removes what interrupted writes left.
pub(super) fn prepare(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if is_aside(&entry.file_name().to_string_lossy()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

pub(super) fn write(folder: &Path, policy: &str, entries: &[Pair]) -> io::Result<()> {
    let mut rest = Vec::new();
    for (key, value) in entries {
        for part in [key.as_bytes(), value] {
            let length = u32::try_from(part.len()).map_err(io::Error::other)?;
            rest.extend(length.to_le_bytes());
            rest.extend(part);
        }
    }
    let checksum = Sha256::digest(&rest);
    write_whole(folder, &path(folder, policy), &[MAGIC, &checksum, &rest])
}

/// What a policy kept; nothing where there is no file.
///
/// # Errors
/// What is wrong with the file, and the mend.
pub(super) fn read(folder: &Path, policy: &str, quota: Quota) -> Result<Vec<Pair>, String> {
    let path = path(folder, policy);
    let problem = |problem: &str| {
        format!(
            "{} {problem}; move it away and restart, and the policy begins with an empty one",
            path.display()
        )
    };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(problem(&error.to_string())),
    };
    let head = (MAGIC.len() + CHECKSUM_BYTES) as u64;
    // A limit that was lowered since leaves what is there.
    let most = head + 2 * quota.bytes + (LENGTHS_BYTES + 1) * quota.entries;
    let size = file.metadata().map_err(|error| problem(&error.to_string()))?.len();
    if size > most {
        return Err(problem(&format!("has {size} bytes and may have {most} by its limits")));
    }
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).map_err(|error| problem(&error.to_string()))?;
    parse(&bytes).ok_or_else(|| problem("is damaged"))
}

fn parse(bytes: &[u8]) -> Option<Vec<Pair>> {
    let (checksum, mut rest) = bytes.strip_prefix(MAGIC)?.split_at_checked(CHECKSUM_BYTES)?;
    if *checksum != *Sha256::digest(rest) {
        return None;
    }
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let key = part(&mut rest)?;
        let value = part(&mut rest)?;
        entries.push((std::str::from_utf8(key).ok()?.into(), value.into()));
    }
    Some(entries)
}

/// The next part, which stands behind its length.
fn part<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let (length, behind) = rest.split_first_chunk()?;
    let (part, behind) = behind.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = behind;
    Some(part)
}

pub(super) fn remove(folder: &Path, policy: &str) -> io::Result<()> {
    match fs::remove_file(path(folder, policy)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: Quota = Quota { bytes: 100, entries: 10 };

    #[test]
    fn a_file_that_is_not_whole_is_named_with_its_mend() {
        let folder = tempfile::tempdir().unwrap();
        let pairs = [("key".into(), b"value".as_slice().into()), ("k".into(), [].into())];
        write(folder.path(), "p", &pairs).unwrap();
        assert_eq!(read(folder.path(), "p", QUOTA).unwrap(), pairs);
        assert_eq!(read(folder.path(), "q", QUOTA).unwrap(), []);
        let path = path(folder.path(), "p");
        let whole = fs::read(&path).unwrap();
        for end in 0..whole.len() {
            fs::write(&path, &whole[..end]).unwrap();
            let problem = read(folder.path(), "p", QUOTA).unwrap_err();
            assert!(problem.contains("p.bucket is damaged; move it away"), "{end}: {problem}");
        }
        fs::write(&path, vec![0; 1000]).unwrap();
        let problem = read(folder.path(), "p", QUOTA).unwrap_err();
        assert!(problem.contains("has 1000 bytes and may have"), "{problem}");
    }

    #[test]
    fn lengths_that_lie_are_no_reason_to_read_beyond_the_end() {
        let rest = [u32::MAX.to_le_bytes().as_slice(), b"key"].concat();
        let bytes = [MAGIC, Sha256::digest(&rest).as_slice(), &rest].concat();
        assert_eq!(parse(&bytes), None);
    }
}
