//! Makes the weights of a plan: packs its matrices, into memory or into a pack file, or takes them out of one.

use std::{
    io,
    sync::{Mutex, OnceLock, PoisonError},
};

use signalbox_kernels::{Bytes, Compute};

use super::{
    arrangement::{Arrangement, Place},
    load::{Loader, MatrixRows},
    pack_file::{Draft, PackFile},
    plan::{self, Plan, Vector},
};
use crate::{
    encoder::{self, EncoderWeights},
    files::CheckpointError,
    model::{Fill, Loaded, Matrix},
    pack_progress::Counting,
};

/// Where the bytes of the matrices are, or come to be.
pub(super) enum Home<'a> {
    /// In memory of their own, packed now.
    Memory(&'a Counting<'a>),
    /// In a pack file.
    File(&'a PackFile),
}

/// Why a pack file was not written.
pub(super) enum Failure {
    /// The checkpoint is no good.
    Checkpoint(CheckpointError),
    /// The file can't be written.
    File(io::Error),
}

impl From<CheckpointError> for Failure {
    fn from(error: CheckpointError) -> Self {
        Self::Checkpoint(error)
    }
}

/// The weights of a plan.
pub(super) fn weights(
    plan: &Plan,
    loader: Loader<'_>,
    compute: &Compute,
    home: Home<'_>,
) -> Result<Loaded, CheckpointError> {
    let (packer, arranged) = (Packer { loader, compute }, Arrangement::default());
    plan.fill(&mut Weights { packer, arranged, home })
}

/// The weights of an encoder's plan, in memory.
pub(super) fn encoder(
    plan: &EncoderWeights<plan::Matrix, Vector>,
    loader: Loader<'_>,
    compute: &Compute,
    counting: &Counting<'_>,
) -> Result<encoder::Loaded, CheckpointError> {
    let (packer, arranged) = (Packer { loader, compute }, Arrangement::default());
    plan.fill(&mut Weights { packer, arranged, home: Home::Memory(counting) })
}

/// Packs the matrices of a plan into a pack file.
pub(super) fn write(
    plan: &Plan,
    loader: Loader<'_>,
    compute: &Compute,
    draft: &Draft,
    counting: &Counting<'_>,
) -> Result<(), Failure> {
    let (packer, arranged) = (Packer { loader, compute }, Arrangement::default());
    plan.fill(&mut Writing { packer, arranged, draft, counting }).map(drop)
}

/// Packs matrices piece by piece, on all workers.
struct Packer<'a> {
    loader: Loader<'a>,
    compute: &'a Compute,
}

impl Packer<'_> {
    /// One matrix, in memory.
    fn in_memory(
        &self,
        matrix: &plan::Matrix,
        place: &Place,
        counting: &Counting<'_>,
    ) -> Result<Bytes, CheckpointError> {
        let rows = self.loader.matrix(matrix)?;
        let mut bytes = Vec::new();
        let count = place.form.bytes();
        bytes.try_reserve_exact(count).map_err(|_| rows.no_memory(count))?;
        bytes.resize(count, 0);
        let parts: Vec<_> = bytes.chunks_mut(place.piece_bytes()).map(Mutex::new).collect();
        self.each(parts.len(), &|piece| {
            let mut out = parts[piece].lock().unwrap_or_else(PoisonError::into_inner);
            counting.add(out.len());
            pack(&rows, place, piece, &mut out)
        })?;
        drop(parts);
        Ok(bytes.into())
    }

    /// One matrix, to a file.
    fn to_file(
        &self,
        matrix: &plan::Matrix,
        place: &Place,
        draft: &Draft,
        counting: &Counting<'_>,
    ) -> Result<(), Failure> {
        let rows = self.loader.matrix(matrix)?;
        self.each(place.pieces(), &|piece| {
            let range = place.piece(piece);
            let mut out = vec![0; range.len()];
            pack(&rows, place, piece, &mut out)?;
            counting.add(out.len());
            draft.write(place.first_piece + piece, range.start, &out).map_err(Failure::File)
        })
    }

    /// Does all pieces, or none any more once one of them has failed.
    fn each<E: Send + Sync>(
        &self,
        pieces: usize,
        work: &(dyn Fn(usize) -> Result<(), E> + Sync),
    ) -> Result<(), E> {
        let failed = OnceLock::new();
        self.compute.each(pieces, &|piece| {
            if failed.get().is_none()
                && let Err(error) = work(piece)
            {
                failed.get_or_init(|| error);
            }
        });
        failed.into_inner().map_or(Ok(()), Err)
    }
}

fn pack(
    rows: &MatrixRows<'_, '_>,
    place: &Place,
    piece: usize,
    out: &mut [u8],
) -> Result<(), CheckpointError> {
    let read = rows.read(place.rows(piece))?;
    place.form.write(&read, out).map_err(|error| rows.unfit(&error))
}

struct Weights<'a> {
    packer: Packer<'a>,
    arranged: Arrangement,
    home: Home<'a>,
}

impl Fill<plan::Matrix, Vector> for Weights<'_> {
    type Matrix = Matrix;
    type Vector = Vec<f32>;
    type Error = CheckpointError;

    fn matrix(&mut self, matrix: &plan::Matrix) -> Result<Matrix, CheckpointError> {
        let place = self.arranged.add(matrix, self.packer.compute);
        let bytes = match self.home {
            Home::Memory(counting) => self.packer.in_memory(matrix, &place, counting)?,
            Home::File(file) => file.bytes(place.range())?,
        };
        place.form.matrix(bytes).map_err(|error| self.packer.loader.unfit(matrix, &error))
    }

    fn vector(&mut self, vector: &Vector) -> Result<Vec<f32>, CheckpointError> {
        self.packer.loader.vector(vector)
    }
}

struct Writing<'a> {
    packer: Packer<'a>,
    arranged: Arrangement,
    draft: &'a Draft,
    counting: &'a Counting<'a>,
}

impl Fill<plan::Matrix, Vector> for Writing<'_> {
    type Matrix = ();
    type Vector = ();
    type Error = Failure;

    fn matrix(&mut self, matrix: &plan::Matrix) -> Result<(), Failure> {
        let place = self.arranged.add(matrix, self.packer.compute);
        self.packer.to_file(matrix, &place, self.draft, self.counting)
    }

    fn vector(&mut self, _: &Vector) -> Result<(), Failure> {
        Ok(())
    }
}
