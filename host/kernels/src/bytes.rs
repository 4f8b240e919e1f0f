//! The bytes that weights lie in: memory of their own, or part of a file that is mapped, and so shared by
//! all processes that have it.

use std::{fs::File, io, ops::Deref, ops::Range, sync::Arc};

use memmap2::Mmap;

/// Bytes that never move and never change.
#[derive(Debug)]
pub struct Bytes(Memory);

#[derive(Debug)]
enum Memory {
    Own(Box<[u8]>),
    Mapped(Arc<Mmap>, Range<usize>),
}

impl Deref for Bytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Memory::Own(bytes) => bytes,
            Memory::Mapped(mapping, range) => &mapping[range.clone()],
        }
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Memory::Own(bytes.into_boxed_slice()))
    }
}

/// A whole file, mapped for reading. Stays for as long as this or any [`Bytes`] of it do, whatever becomes of
/// the file's name.
#[derive(Debug, Clone)]
pub struct Mapping(Arc<Mmap>);

impl Mapping {
    /// Maps a file that nobody writes to or cuts any more: whoever cuts it ends the process at the next look
    /// at what is gone, and what somebody writes becomes the weights.
    ///
    /// # Errors
    /// The operating system does not map it.
    pub fn of(file: &File) -> io::Result<Self> {
        #[expect(unsafe_code, reason = "a file's bytes are memory that others could write to")]
        // SAFETY: nothing refers to these bytes but as `u8`, of which every value is valid, and the caller says
        // that nobody writes to the file: pack files are read-only before they are mapped.
        let mapping = unsafe { Mmap::map(file)? };
        #[cfg(unix)]
        // Advice only: without it, reading takes longer where the file is not in memory.
        let _ = mapping.advise(memmap2::Advice::WillNeed);
        Ok(Self(Arc::new(mapping)))
    }

    /// Some of its bytes; `None` where the file does not have them.
    pub fn bytes(&self, range: Range<usize>) -> Option<Bytes> {
        self.0.get(range.clone())?;
        Some(Bytes(Memory::Mapped(Arc::clone(&self.0), range)))
    }
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::{env, fs};

    use super::*;

    #[test]
    fn mapped_bytes_outlive_the_mapping_and_the_file() {
        let path = env::temp_dir().join(format!("signalbox-bytes-{}", std::process::id()));
        fs::write(&path, b"weights").unwrap();
        let mapping = Mapping::of(&File::open(&path).unwrap()).unwrap();
        fs::remove_file(&path).unwrap();
        let bytes = mapping.bytes(2..5).unwrap();
        assert!(mapping.bytes(2..8).is_none());
        drop(mapping);
        assert_eq!((&*bytes, &*Bytes::from(b"own".to_vec())), (&b"igh"[..], &b"own"[..]));
    }
}
