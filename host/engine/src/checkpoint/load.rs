//! Carries out a plan: copies tensors out of their files into packed memory the model owns.
//!
//! candle turns the few plain vectors (norms, biases) into f32. Matrices do not pass through it: its
//! tensors can't hold AWQ groups, and would expand bf16 and f16 where the kernels read them as they are.

use candle_core::{DType, Device, Tensor};
use memmap2::Mmap;
use signalbox_kernels::{Format, Rows};

use super::{
    CheckpointError, awq,
    catalogue::{Catalogue, Entry},
    config::malformed,
    mmap,
    plan::{Matrix, Source, Vector},
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

    fn awq(&self, matrix: &Matrix, parts: [&Entry; 3]) -> Result<Vec<u8>, CheckpointError> {
        let [qweight, qzeros, scales] = parts;
        let linear = awq::Linear {
            qweight: self.bytes(qweight)?,
            qzeros: self.bytes(qzeros)?,
            scales: self.bytes(scales)?,
            rows: scales.shape[1],
            cols: matrix.cols,
            group: matrix.cols / scales.shape[0],
        };
        Ok(linear.pack(matrix.rows.clone()))
    }
}

impl Fill<Matrix, Vector> for Loader<'_> {
    type Matrix = Rows;
    type Vector = Vec<f32>;
    type Error = CheckpointError;

    fn matrix(&mut self, matrix: &Matrix) -> Result<Rows, CheckpointError> {
        let (file, packed) = match &matrix.source {
            Source::Plain(entry) => {
                let row_bytes = entry.bytes / entry.shape[0];
                let rows = matrix.rows.start * row_bytes..matrix.rows.end * row_bytes;
                (entry.file, self.bytes(entry)?[rows].to_vec())
            }
            Source::Awq { qweight, qzeros, scales } => {
                (qweight.file, self.awq(matrix, [qweight, qzeros, scales])?)
            }
        };
        Rows::new(matrix.format, matrix.rows.len(), matrix.cols, packed).map_err(|error| {
            malformed(&self.catalogue.files[file], format!("tensor '{}': {error}", matrix.name))
        })
    }

    fn vector(&mut self, vector: &Vector) -> Result<Vec<f32>, CheckpointError> {
        let floats = floats(self.bytes(&vector.entry)?, vector.format);
        let floats = floats.map_err(|error| {
            malformed(&self.catalogue.files[vector.entry.file], error.to_string())
        })?;
        let one = if vector.plus_one { 1.0 } else { 0.0 };
        Ok(floats[vector.elements.clone()].iter().map(|float| float + one).collect())
    }
}

/// Plain numbers as f32.
fn floats(bytes: &[u8], format: Format) -> candle_core::Result<Vec<f32>> {
    let (dtype, size) = match format {
        Format::F16 => (DType::F16, 2),
        Format::Bf16 => (DType::BF16, 2),
        _ => (DType::F32, 4),
    };
    let tensor = Tensor::from_raw_buffer(bytes, dtype, &[bytes.len() / size], &Device::Cpu)?;
    tensor.to_dtype(DType::F32)?.to_vec1()
}
