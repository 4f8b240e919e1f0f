//! The decision log's files: a ring of segments of whole lines. The newest grows; when it is full another one begins and
//! the oldest goes, so all together stay within their bound. A crash tears at most the last line, which is cut off
//! when the log is opened again and never read before.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// A segment's share of all bytes: so much of the log goes at once.
const SEGMENTS: u64 = 8;
const EXTENSION: &str = "jsonl";

/// The files, open for writing.
pub(super) struct Segments {
    folder: PathBuf,
    segment_bytes_max: u64,
    bytes_max: u64,
    newest: Option<Newest>,
    /// Bytes of the others.
    older_bytes: u64,
}

struct Newest {
    number: u64,
    file: File,
    bytes: u64,
}

impl Segments {
    /// Opens the log in `folder`, which is made where it is missing, for this user alone. What a crash left of a line
    /// goes, and so does what is beyond `bytes_max`.
    ///
    /// # Errors
    /// A folder or a file that can't be used.
    pub(super) fn open(folder: &Path, bytes_max: u64) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        fs::set_permissions(folder, Permissions::from_mode(0o700))?;
        let mut segments = Self {
            folder: folder.to_path_buf(),
            segment_bytes_max: bytes_max / SEGMENTS,
            bytes_max,
            newest: None,
            older_bytes: 0,
        };
        if let Some(&number) = numbers(folder)?.last() {
            let path = path(folder, number);
            let file = OpenOptions::new().append(true).open(&path)?;
            let bytes = whole_lines(&fs::read(&path)?).len() as u64;
            file.set_len(bytes)?;
            segments.newest = Some(Newest { number, file, bytes });
        }
        segments.make_room()?;
        Ok(segments)
    }

    /// Adds a line, which holds no line feed. `false` when it is too long for a segment.
    ///
    /// # Errors
    /// A disk that takes no more; nothing of the line stays.
    pub(super) fn append(&mut self, line: &[u8]) -> io::Result<bool> {
        let bytes = line.len() as u64 + 1;
        if bytes > self.segment_bytes_max {
            return Ok(false);
        }
        if self.newest.as_ref().is_none_or(|newest| newest.bytes + bytes > self.segment_bytes_max) {
            self.begin()?;
        }
        let Some(newest) = &mut self.newest else { return Ok(false) };
        let written = newest.file.write_all(&[line, b"\n"].concat());
        match written {
            Ok(()) => newest.bytes += bytes,
            Err(_) => newest.file.set_len(newest.bytes)?,
        }
        written.map(|()| true)
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.older_bytes + self.newest.as_ref().map_or(0, |newest| newest.bytes)
    }

    /// Begins another segment.
    fn begin(&mut self) -> io::Result<()> {
        let number = self.newest.as_ref().map_or(1, |newest| newest.number + 1);
        let mut options = OpenOptions::new();
        let file = options.append(true).create_new(true).mode(0o600);
        let file = file.open(path(&self.folder, number))?;
        self.newest = Some(Newest { number, file, bytes: 0 });
        self.make_room()
    }

    /// Removes the oldest segments until the newest can grow to its bound.
    fn make_room(&mut self) -> io::Result<()> {
        let newest = self.newest.as_ref().map(|newest| newest.number);
        let mut older = Vec::new();
        for number in numbers(&self.folder)?.into_iter().filter(|number| Some(*number) != newest) {
            older.push((number, fs::metadata(path(&self.folder, number))?.len()));
        }
        self.older_bytes = older.iter().map(|(_, bytes)| bytes).sum();
        for (number, bytes) in older {
            if self.older_bytes + self.segment_bytes_max <= self.bytes_max {
                break;
            }
            fs::remove_file(path(&self.folder, number))?;
            self.older_bytes -= bytes;
        }
        Ok(())
    }
}

/// Shows the whole lines of the log in `folder` to `found`, the newest first, until it wants no more. A segment that
/// goes meanwhile, or can't be read, is passed over.
pub(super) fn newest_first(folder: &Path, bytes_max: u64, mut found: impl FnMut(&[u8]) -> bool) {
    for number in numbers(folder).unwrap_or_default().into_iter().rev() {
        let mut bytes = Vec::new();
        let file = File::open(path(folder, number));
        let read = file.and_then(|file| file.take(bytes_max).read_to_end(&mut bytes));
        if read.is_err() {
            continue;
        }
        let lines = whole_lines(&bytes).split(|byte| *byte == b'\n').rev();
        for line in lines.filter(|line| !line.is_empty()) {
            if !found(line) {
                return;
            }
        }
    }
}

/// What is before the last line feed, it included.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte == b'\n');
    end.map_or(&[], |end| &bytes[..=end])
}

/// The numbers of the segments, the oldest first. What has another name is somebody else's.
fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = PathBuf::from(entry?.file_name());
        if name.extension().is_some_and(|extension| extension == EXTENSION) {
            numbers.extend(name.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok()));
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:012}.{EXTENSION}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(folder: &Path) -> Vec<String> {
        let mut lines = Vec::new();
        newest_first(folder, u64::MAX, |line| {
            lines.push(String::from_utf8(line.to_vec()).unwrap());
            true
        });
        lines
    }

    fn bytes_on_disk(folder: &Path) -> u64 {
        let sizes = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap());
        sizes.map(|metadata| metadata.len()).sum()
    }

    #[test]
    fn it_stays_within_its_bytes_and_keeps_the_newest_in_order() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("decisions");
        let mut segments = Segments::open(&folder, 800).unwrap();
        for number in 0..500 {
            assert!(segments.append(format!("line {number}").as_bytes()).unwrap());
            assert!(bytes_on_disk(&folder) <= 800, "{number}");
            assert_eq!(segments.bytes(), bytes_on_disk(&folder), "{number}");
        }
        let lines = read(&folder);
        let expect: Vec<_> =
            (0..500).rev().take(lines.len()).map(|n| format!("line {n}")).collect();
        assert_eq!(lines, expect);
        assert!(lines.len() >= 700 / 9, "{}", lines.len());
        assert!(!segments.append(&[b'x'; 100]).unwrap(), "longer than a segment");
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_torn_line_is_not_read_and_the_next_one_is_whole() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path();
        let mut segments = Segments::open(folder, 800).unwrap();
        segments.append(b"one").unwrap();
        segments.append(b"two").unwrap();
        drop(segments);
        let newest = path(folder, 1);
        let whole = fs::read(&newest).unwrap();
        for cut in 0..=whole.len() {
            fs::write(&newest, &whole[..cut]).unwrap();
            let before = read(folder);
            let mut segments = Segments::open(folder, 800).unwrap();
            segments.append(b"three").unwrap();
            let kept: Vec<_> = std::iter::once("three".to_owned()).chain(before).collect();
            assert_eq!(read(folder), kept, "{cut}");
        }
    }

    #[test]
    fn a_smaller_bound_and_files_of_others_are_heeded() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path();
        let mut segments = Segments::open(folder, 8000).unwrap();
        for n in 0..500 {
            segments.append(format!("line {n}").as_bytes()).unwrap();
        }
        drop(segments);
        fs::write(folder.join("notes.txt"), "mine").unwrap();
        let mut segments = Segments::open(folder, 2400).unwrap();
        assert!(segments.bytes() <= 2400, "{}", segments.bytes());
        segments.append(b"last").unwrap();
        assert_eq!(read(folder)[..2], ["last", "line 499"]);
        assert_eq!(fs::read(folder.join("notes.txt")).unwrap(), b"mine");
    }
}
