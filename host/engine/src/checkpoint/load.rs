//! Carries out a plan: copies tensors out of their files into packed memory the model owns, and looks
//! at every number on the way.

use std::ops::Range;

use half::{bf16, f16};
use signalbox_kernels::{Compute, Format, Rows};

use super::{
    packed_tensors::PackedTensors,
    plan::{self, MatrixTensors, Vector},
    quantise, repack,
};
use crate::{
    files::{Catalogue, CheckpointError, Element, Entry, malformed},
    model::{Fill, Matrix},
};

/// What is read at once of a tensor that is not kept as it is.
const CHUNK_BYTES: usize = 4 << 20;

/// Reads the tensors of a plan.
pub(super) struct Loader<'a> {
    catalogue: &'a Catalogue,
    /// What the weights will be multiplied by.
    compute: &'a Compute,
}

impl<'a> Loader<'a> {
    /// Of the files of a catalogue, which it has open.
    pub(super) fn new(catalogue: &'a Catalogue, compute: &'a Compute) -> Self {
        Self { catalogue, compute }
    }

    /// A tensor's bytes.
    fn bytes(&self, entry: &Entry) -> Result<Vec<u8>, CheckpointError> {
        self.catalogue.files[entry.file].read(entry.offset, entry.bytes)
    }

    /// Some rows of a tensor.
    fn rows(&self, entry: &Entry, rows: Range<usize>) -> Result<Vec<u8>, CheckpointError> {
        let row_bytes = entry.bytes / entry.shape[0];
        let offset = entry.offset + rows.start * row_bytes;
        self.catalogue.files[entry.file].read(offset, rows.len() * row_bytes)
    }

    fn packed(
        &self,
        matrix: &plan::Matrix,
        packed: &PackedTensors,
    ) -> Result<Vec<u8>, CheckpointError> {
        self.check_shape(matrix, packed)?;
        let weights = self.bytes(&packed.weights)?;
        let zeros = packed.zeros.as_ref().map(|zeros| self.bytes(zeros)).transpose()?;
        let scales = self.bytes(&packed.scales)?;
        let linear = repack::PackedLinear {
            layout: packed.layout,
            weights: &weights,
            zeros: zeros.as_deref(),
            scales: &scales,
            scale: packed.scale,
            rows: packed.rows,
            cols: matrix.cols,
            group: packed.group,
        };
        Ok(linear.pack(matrix.rows.clone()))
    }

    /// compressed-tensors say in a tensor of its own what shape a linear has.
    fn check_shape(
        &self,
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

    /// Rounds plain rows one by one, a few of them in memory at a time.
    fn quantised(
        &self,
        matrix: &plan::Matrix,
        entry: &Entry,
        from: Format,
    ) -> Result<Vec<u8>, CheckpointError> {
        let mut packed = Vec::with_capacity(matrix.bytes());
        let (mut row, row_bytes) = (vec![0.0; matrix.cols], entry.bytes / entry.shape[0]);
        let at_once = (CHUNK_BYTES / row_bytes.max(1)).max(1);
        for start in matrix.rows.clone().step_by(at_once) {
            let plain = self.rows(entry, start..matrix.rows.end.min(start + at_once))?;
            for (index, bytes) in (start..).zip(plain.chunks_exact(row_bytes)) {
                decode(bytes, from, &mut row);
                if !row.iter().all(|weight| weight.is_finite()) {
                    return Err(self.not_finite(entry, &matrix.name, index));
                }
                quantise::push_row(matrix.format, &row, &mut packed);
            }
        }
        Ok(packed)
    }

    /// The bytes of a tensor of plain numbers, all of them finite.
    pub(super) fn finite(&self, entry: &Entry, name: &str) -> Result<Vec<u8>, CheckpointError> {
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

    fn not_finite(&self, entry: &Entry, name: &str, row: usize) -> CheckpointError {
        let problem = format!("tensor '{name}' holds an infinity or a NaN in row {row}");
        malformed(self.catalogue.file(entry), problem)
    }
}

impl Fill<plan::Matrix, Vector> for Loader<'_> {
    type Matrix = Matrix;
    type Vector = Vec<f32>;
    type Error = CheckpointError;

    fn matrix(&mut self, matrix: &plan::Matrix) -> Result<Matrix, CheckpointError> {
        let (entry, bytes) = match &matrix.tensors {
            MatrixTensors::Plain(entry) => (entry, self.rows(entry, matrix.rows.clone())?),
            MatrixTensors::Quantised { entry, from } => {
                (entry, self.quantised(matrix, entry, *from)?)
            }
            MatrixTensors::Packed(packed) => (&packed.scales, self.packed(matrix, packed)?),
        };
        let rows = Rows::new(matrix.format, matrix.rows.len(), matrix.cols, bytes);
        let rows = rows.map_err(|error| {
            malformed(self.catalogue.file(entry), format!("tensor '{}': {error}", matrix.name))
        })?;
        match rows.first_not_finite() {
            Some(row) => Err(self.not_finite(entry, &matrix.name, matrix.rows.start + row)),
            None => Ok(Matrix::new(rows, self.compute)),
        }
    }

    fn vector(&mut self, vector: &Vector) -> Result<Vec<f32>, CheckpointError> {
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
