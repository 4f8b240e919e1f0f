//! A pack file that is mapped, once every byte of it was found to be what was written.

use std::{fs::File, io, ops::Range, os::unix::fs::PermissionsExt, path::Path, sync::OnceLock};

use signalbox_kernels::{Bytes, Compute, Mapping};

use super::{header::Header, identity::Identity, unusable::Unusable};
use crate::{
    checkpoint::arrangement::Arrangement,
    files::{CheckpointError, malformed, open_plain},
};

/// A pack file that was found sound, mapped.
#[derive(Debug)]
pub(in crate::checkpoint) struct PackFile {
    mapping: Mapping,
    /// Where the first matrix begins.
    begin: usize,
}

impl PackFile {
    /// Maps a file and checks all of it.
    pub(in crate::checkpoint) fn open(
        path: &Path,
        identity: &Identity,
        arrangement: &Arrangement,
        compute: &Compute,
    ) -> Result<Self, Unusable> {
        let file = open_plain(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Unusable::Missing,
            io::ErrorKind::InvalidInput => Unusable::Foreign,
            _ => Unusable::Unreadable(error),
        })?;
        let metadata = file.metadata().map_err(Unusable::Unreadable)?;
        // What anybody may write to is not mapped: it could change under the checksums.
        if metadata.len() == 0 || metadata.permissions().mode() & 0o222 != 0 {
            return Err(Unusable::Foreign);
        }
        let mapping = Mapping::of(&file).map_err(Unusable::Unreadable)?;
        let checksums = Header::of(identity, arrangement).read(&mapping)?;
        let opened = Self { mapping, begin: Header::len(arrangement.pieces) };
        opened.check(arrangement, &checksums, compute).then_some(opened).ok_or(Unusable::Damaged)
    }

    /// What has just been written, unchecked.
    pub(super) fn written(file: &File, begin: usize) -> io::Result<Self> {
        Ok(Self { mapping: Mapping::of(file)?, begin })
    }

    /// Some bytes among those of the matrices.
    pub(in crate::checkpoint) fn bytes(
        &self,
        range: Range<usize>,
    ) -> Result<Bytes, CheckpointError> {
        let bytes = self.mapping.bytes(self.begin + range.start..self.begin + range.end);
        bytes.ok_or_else(|| malformed(Path::new("pack file"), "is shorter than its weights"))
    }

    /// Every piece is what its checksum says.
    fn check(&self, arrangement: &Arrangement, checksums: &[u32], compute: &Compute) -> bool {
        let pieces = arrangement.matrices.iter();
        let pieces = pieces.flat_map(|place| (0..place.pieces()).map(|piece| place.piece(piece)));
        let pieces: Vec<Range<usize>> = pieces.collect();
        let damaged = OnceLock::new();
        compute.each(pieces.len(), &|index| {
            let range = pieces[index].start + self.begin..pieces[index].end + self.begin;
            if damaged.get().is_none() && crc32fast::hash(&self.mapping[range]) != checksums[index]
            {
                damaged.get_or_init(|| ());
            }
        });
        damaged.get().is_none()
    }
}
