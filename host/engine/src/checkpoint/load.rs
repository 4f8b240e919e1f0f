//! Carries out a plan: copies tensors out of their files into packed memory the model owns, and looks
//! at every number on the way.

use half::{bf16, f16};
use memmap2::Mmap;
use signalbox_kernels::{Format, Rows};

use super::{
    CheckpointError,
    catalogue::{Catalogue, Entry},
    config::malformed,
    mmap, packed,
    plan::{Matrix, Packed, Source, Vector},
    quantise,
};
use crate::model::Fill;

/// Reads the tensors of a plan. The files are mapped while it lives.
pub(super) struct Loader<'a> {
    catalogue: &'a Catalogue,
    maps: Vec<Mmap>,
}

impl<'a> Loader<'a> {
    /// Maps the files.
    pub(super) fn new(catalogue: &'a Catalogue) -> Result<Self, CheckpointError> {
        let maps = catalogue.files.iter().map(|file| mmap::map(file)).collect::<Result<_, _>>()?;
        Ok(Self { catalogue, maps })
    }

    /// A tensor's bytes. The file may have changed since its header was read.
    pub(super) fn bytes(&self, entry: &Entry) -> Result<&[u8], CheckpointError> {
        let bytes = self.maps[entry.file].get(entry.offset..entry.offset + entry.bytes);
        bytes.ok_or_else(|| {
            malformed(&self.catalogue.files[entry.file], "has become shorter since it was checked")
        })
    }

    /// The rows of a tensor that a matrix takes.
    fn rows(&self, matrix: &Matrix, entry: &Entry) -> Result<&[u8], CheckpointError> {
        let row_bytes = entry.bytes / entry.shape[0];
        let rows = matrix.rows.start * row_bytes..matrix.rows.end * row_bytes;
        Ok(&self.bytes(entry)?[rows])
    }

    fn packed(&self, matrix: &Matrix, packed: &Packed) -> Result<Vec<u8>, CheckpointError> {
        self.check_shape(matrix, packed)?;
        let linear = packed::Linear {
            layout: packed.layout,
            weights: self.bytes(&packed.weights)?,
            zeros: packed.zeros.as_ref().map(|zeros| self.bytes(zeros)).transpose()?,
            scales: self.bytes(&packed.scales)?,
            scale: packed.scale,
            rows: packed.rows,
            cols: matrix.cols,
            group: packed.group,
        };
        Ok(linear.pack(matrix.rows.clone()))
    }

    /// compressed-tensors say in a tensor of its own what shape a linear has.
    fn check_shape(&self, matrix: &Matrix, packed: &Packed) -> Result<(), CheckpointError> {
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

    /// Rounds plain rows one by one.
    fn quantised(
        &self,
        matrix: &Matrix,
        entry: &Entry,
        from: Format,
    ) -> Result<Vec<u8>, CheckpointError> {
        let plain = self.rows(matrix, entry)?;
        let mut packed = Vec::with_capacity(matrix.bytes());
        let (mut row, row_bytes) = (vec![0.0; matrix.cols], plain.len() / matrix.rows.len());
        for (index, bytes) in (matrix.rows.start..).zip(plain.chunks_exact(row_bytes)) {
            decode(bytes, from, &mut row);
            if !row.iter().all(|weight| weight.is_finite()) {
                return Err(self.not_finite(entry, &matrix.name, index));
            }
            quantise::push_row(matrix.format, &row, &mut packed);
        }
        Ok(packed)
    }

    fn not_finite(&self, entry: &Entry, name: &str, row: usize) -> CheckpointError {
        let problem = format!("tensor '{name}' holds an infinity or a NaN in row {row}");
        malformed(self.catalogue.file(entry), problem)
    }
}

impl Fill<Matrix, Vector> for Loader<'_> {
    type Matrix = Rows;
    type Vector = Vec<f32>;
    type Error = CheckpointError;

    fn matrix(&mut self, matrix: &Matrix) -> Result<Rows, CheckpointError> {
        let (entry, bytes) = match &matrix.source {
            Source::Plain(entry) => (entry, self.rows(matrix, entry)?.to_vec()),
            Source::Quantised { entry, from } => (entry, self.quantised(matrix, entry, *from)?),
            Source::Packed(packed) => (&packed.scales, self.packed(matrix, packed)?),
        };
        let rows = Rows::new(matrix.format, matrix.rows.len(), matrix.cols, bytes);
        let rows = rows.map_err(|error| {
            malformed(self.catalogue.file(entry), format!("tensor '{}': {error}", matrix.name))
        })?;
        match rows.first_not_finite() {
            Some(row) => Err(self.not_finite(entry, &matrix.name, matrix.rows.start + row)),
            None => Ok(rows),
        }
    }

    fn vector(&mut self, vector: &Vector) -> Result<Vec<f32>, CheckpointError> {
        let bytes = self.bytes(&vector.entry)?;
        let (_, size) = vector.format.block();
        let mut floats = vec![0.0; bytes.len() / size];
        decode(bytes, vector.format, &mut floats);
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
