//! Carries out a plan: copies tensors out of their files into memory the model owns, and looks at every number
//! on the way. Matrices may be read some rows at a time, so that a large one is never in memory twice.

use std::ops::Range;

use half::{bf16, f16};
use signalbox_kernels::{Format, Rows, ShapeError};

use super::{
    packed_tensors::PackedTensors,
    plan::{self, MatrixTensors, Vector},
    quantise, repack,
};
use crate::files::{Catalogue, CheckpointError, Element, Entry, malformed};

/// Reads the tensors of a plan.
#[derive(Clone, Copy)]
pub(super) struct Loader<'a> {
    catalogue: &'a Catalogue,
}

impl<'a> Loader<'a> {
    /// Of the files of a catalogue, which it has open.
    pub(super) fn new(catalogue: &'a Catalogue) -> Self {
        Self { catalogue }
    }

    /// A matrix, to be read some rows at a time.
    pub(super) fn matrix<'m>(
        self,
        matrix: &'m plan::Matrix,
    ) -> Result<MatrixRows<'a, 'm>, CheckpointError> {
        let tensors = match &matrix.tensors {
            MatrixTensors::Plain(entry) => Tensors::Plain(entry),
            MatrixTensors::Quantised { entry, from } => Tensors::Quantised(entry, *from),
            MatrixTensors::Packed(packed) => {
                self.check_shape(matrix, packed)?;
                Tensors::Words {
                    packed,
                    weights: self.bytes(&packed.weights)?,
                    zeros: packed.zeros.as_ref().map(|zeros| self.bytes(zeros)).transpose()?,
                    scales: self.bytes(&packed.scales)?,
                }
            }
        };
        Ok(MatrixRows { loader: self, matrix, tensors })
    }

    /// An f32 vector.
    pub(super) fn vector(self, vector: &Vector) -> Result<Vec<f32>, CheckpointError> {
        let bytes = self.bytes(&vector.entry)?;
        let (_, size) = vector.format.block();
        let mut floats = vec![0.0; bytes.len() / size];
        decode(&bytes, vector.format, &mut floats);
        let one = if vector.plus_one { 1.0 } else { 0.0 };
        let floats: Vec<f32> =
            floats[vector.elements.clone()].iter().map(|float| float + one).collect();
        match floats.iter().position(|float| !float.is_finite()) {
            Some(at) => Err(self.not_finite(&vector.entry, &vector.name, at)),
            None => Ok(floats),
        }
    }

    /// A tensor's bytes.
    fn bytes(self, entry: &Entry) -> Result<Vec<u8>, CheckpointError> {
        self.catalogue.files[entry.file].read(entry.offset, entry.bytes)
    }

    /// Some rows of a tensor.
    fn rows(self, entry: &Entry, rows: Range<usize>) -> Result<Vec<u8>, CheckpointError> {
        let row_bytes = entry.bytes / entry.shape[0];
        let offset = entry.offset + rows.start * row_bytes;
        self.catalogue.files[entry.file].read(offset, rows.len() * row_bytes)
    }

    /// compressed-tensors say in a tensor of its own what shape a linear has.
    fn check_shape(
        self,
        matrix: &plan::Matrix,
        packed: &PackedTensors,
    ) -> Result<(), CheckpointError> {
        let Some(entry) = &packed.shape else { return Ok(()) };
        let expect = [packed.rows, matrix.cols].map(|side| (side as u64).to_le_bytes());
        if self.bytes(entry)? == expect.as_flattened() {
            return Ok(());
        }
        let problem = format!(
            "tensor '{}.weight_shape' does not say {} x {}",
            matrix.name, packed.rows, matrix.cols
        );
        Err(malformed(self.catalogue.file(entry), problem))
    }

    /// The bytes of a tensor of plain numbers, all of them finite.
    pub(super) fn finite(self, entry: &Entry, name: &str) -> Result<Vec<u8>, CheckpointError> {
        let (bytes, rows) = (self.bytes(entry)?, entry.shape[0]);
        let Element::Numbers(format) = entry.element else { return Ok(bytes) };
        let cols = entry.shape[1..].iter().product();
        match Rows::new(format, rows, cols, bytes.clone()).map(|rows| rows.first_not_finite()) {
            Ok(Some(row)) => Err(self.not_finite(entry, name, row)),
            Ok(None) => Ok(bytes),
            Err(error) => {
                Err(malformed(self.catalogue.file(entry), format!("tensor '{name}': {error}")))
            }
        }
    }

    /// A matrix that is none, or of another form than the plan says.
    pub(super) fn unfit(self, matrix: &plan::Matrix, problem: &ShapeError) -> CheckpointError {
        let file = self.catalogue.file(matrix.tensors.entry());
        malformed(file, format!("tensor '{}': {problem}", matrix.name))
    }

    fn not_finite(self, entry: &Entry, name: &str, row: usize) -> CheckpointError {
        let problem = format!("tensor '{name}' holds an infinity or a NaN in row {row}");
        malformed(self.catalogue.file(entry), problem)
    }
}

/// A matrix of a plan, read some rows at a time.
pub(super) struct MatrixRows<'a, 'm> {
    loader: Loader<'a>,
    matrix: &'m plan::Matrix,
    tensors: Tensors<'m>,
}

/// What rows are read from.
enum Tensors<'m> {
    /// The file, as they will be.
    Plain(&'m Entry),
    /// The file, which has them as numbers of this format.
    Quantised(&'m Entry, Format),
    /// Whole tensors that some tool has packed; in some of them, what belongs to one row lies all over.
    Words { packed: &'m PackedTensors, weights: Vec<u8>, zeros: Option<Vec<u8>>, scales: Vec<u8> },
}

impl MatrixRows<'_, '_> {
    /// Some rows of the matrix, all of their numbers finite.
    pub(super) fn read(&self, rows: Range<usize>) -> Result<Rows, CheckpointError> {
        let (matrix, first) = (self.matrix, self.matrix.rows.start);
        let of_tensor = first + rows.start..first + rows.end;
        let bytes = match &self.tensors {
            Tensors::Plain(entry) => self.loader.rows(entry, of_tensor)?,
            Tensors::Quantised(entry, from) => self.quantised(entry, *from, of_tensor)?,
            Tensors::Words { packed, weights, zeros, scales } => {
                let linear = repack::PackedLinear {
                    layout: packed.layout,
                    weights,
                    zeros: zeros.as_deref(),
                    scales,
                    scale: packed.scale,
                    rows: packed.rows,
                    cols: matrix.cols,
                    group: packed.group,
                };
                linear.pack(of_tensor)
            }
        };
        let read = Rows::new(matrix.format, rows.len(), matrix.cols, bytes);
        let read = read.map_err(|error| self.unfit(&error))?;
        match read.first_not_finite() {
            Some(row) => {
                let row = first + rows.start + row;
                Err(self.loader.not_finite(matrix.tensors.entry(), &matrix.name, row))
            }
            None => Ok(read),
        }
    }

    /// Rows that can't take their form.
    pub(super) fn unfit(&self, problem: &ShapeError) -> CheckpointError {
        self.loader.unfit(self.matrix, problem)
    }

    /// So many bytes can't be had.
    pub(super) fn no_memory(&self, bytes: usize) -> CheckpointError {
        let file = self.loader.catalogue.file(self.matrix.tensors.entry());
        CheckpointError::lacking(file, format!("there is no memory for {bytes} bytes of it"))
    }

    /// Rounds plain rows one by one.
    fn quantised(
        &self,
        entry: &Entry,
        from: Format,
        rows: Range<usize>,
    ) -> Result<Vec<u8>, CheckpointError> {
        let Self { loader, matrix, .. } = self;
        let plain = loader.rows(entry, rows.clone())?;
        let (mut row, row_bytes) = (vec![0.0; matrix.cols], entry.bytes / entry.shape[0]);
        let mut packed = Vec::with_capacity(plain.len());
        for (index, bytes) in rows.zip(plain.chunks_exact(row_bytes)) {
            decode(bytes, from, &mut row);
            if !row.iter().all(|weight| weight.is_finite()) {
                return Err(loader.not_finite(entry, &matrix.name, index));
            }
            quantise::push_row(matrix.format, &row, &mut packed);
        }
        Ok(packed)
    }
}

/// Plain numbers as f32.
fn decode(bytes: &[u8], format: Format, floats: &mut [f32]) {
    let halves = |bytes: &[u8], float: fn([u8; 2]) -> f32, floats: &mut [f32]| {
        let halves = bytes.as_chunks().0.iter().zip(floats);
        halves.for_each(|(half, out)| *out = float(*half));
    };
    match format {
        Format::F16 => halves(bytes, |half| f16::from_le_bytes(half).to_f32(), floats),
        Format::Bf16 => halves(bytes, |half| bf16::from_le_bytes(half).to_f32(), floats),
        _ => {
            let singles = bytes.as_chunks().0.iter().zip(floats);
            singles.for_each(|(single, out)| *out = f32::from_le_bytes(*single));
        }
    }
}
