//! The beginning of a pack file: what it is for, and a checksum for each of its pieces. Numbers are those of the
//! machine, for so are the weights behind it.

use super::{identity::Identity, unusable::Unusable};
use crate::checkpoint::arrangement::{Arrangement, PAGE};

/// What every pack file begins with.
const MAGIC: [u8; 8] = *b"SIGBXPCK";
/// Another arrangement of files has another number.
const VERSION: u32 = 1;
/// Reads otherwise on a machine of another byte order.
const ORDER: u32 = 0x0102_0304;
/// Bytes before the checksums.
const FIXED: usize = 80;

/// What a header should say.
pub(super) struct Header<'a> {
    identity: &'a Identity,
    /// Pieces of all matrices.
    pieces: usize,
    /// Bytes of the whole file.
    file_bytes: usize,
}

impl<'a> Header<'a> {
    /// Of a file of these matrices.
    pub(super) fn of(identity: &'a Identity, arrangement: &Arrangement) -> Self {
        let Arrangement { pieces, bytes, .. } = *arrangement;
        Self { identity, pieces, file_bytes: Self::len(pieces) + bytes }
    }

    /// Its own length, whole pages.
    pub(super) fn len(pieces: usize) -> usize {
        (FIXED + (pieces + 1) * size_of::<u32>()).next_multiple_of(PAGE)
    }

    fn fixed(&self) -> [Vec<u8>; 3] {
        let machine = [&MAGIC[..], &VERSION.to_ne_bytes(), &ORDER.to_ne_bytes()];
        let sizes = [self.file_bytes, self.pieces].map(|size| (size as u64).to_ne_bytes());
        let machine = [&machine.concat()[..], &self.identity.layout].concat();
        [machine, self.identity.source.to_vec(), sizes.concat()]
    }

    /// The bytes of a header with these checksums.
    pub(super) fn write(&self, checksums: impl Iterator<Item = u32>) -> Vec<u8> {
        let mut bytes = self.fixed().concat();
        bytes.extend(checksums.flat_map(u32::to_ne_bytes));
        bytes.extend(crc32fast::hash(&bytes).to_ne_bytes());
        bytes.resize(Self::len(self.pieces), 0);
        bytes
    }

    /// The checksums that a file has, if the rest of its header is as it should be.
    pub(super) fn read(&self, file: &[u8]) -> Result<Vec<u32>, Unusable> {
        let [machine, source, sizes] = self.fixed();
        let mut rest = file.strip_prefix(&machine[..]).ok_or(Unusable::Foreign)?;
        rest = rest.strip_prefix(&source[..]).ok_or(Unusable::Stale)?;
        rest = rest.strip_prefix(&sizes[..]).ok_or(Unusable::Damaged)?;
        if file.len() != self.file_bytes {
            return Err(Unusable::Damaged);
        }
        let words = rest.as_chunks().0.iter().take(self.pieces + 1);
        let mut checksums: Vec<u32> = words.map(|word| u32::from_ne_bytes(*word)).collect();
        let own = checksums.pop();
        let covered = FIXED + self.pieces * size_of::<u32>();
        match own == Some(crc32fast::hash(&file[..covered])) {
            true => Ok(checksums),
            false => Err(Unusable::Damaged),
        }
    }
}
