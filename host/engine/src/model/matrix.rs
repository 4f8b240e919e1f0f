//! A weight matrix in the form that its products take.

use signalbox_kernels::{
    Activations, Buffer, Bytes, Compute, Format, Isa, Packed, Packing, Rows, ShapeError, matmul,
    product,
};

/// A matrix with fewer inputs is multiplied in f32: there is little to win, and models so small do not
/// bear the rounding of their inputs. The narrowest that people use, small encoders, have as many.
const INPUTS_MIN: usize = 384;

/// The form that a matrix will have in memory, known before its weights are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form {
    /// As it is stored: on the scalar reference path, and where packing would not pay or groups are no
    /// whole steps.
    Stored { format: Format, rows: usize, cols: usize, row_bytes: usize },
    /// Interleaved for fast products.
    Packed(Packing),
}

impl Form {
    /// The form that `compute` multiplies fastest; scalar computing takes weights as they are stored.
    pub(crate) fn new(format: Format, [rows, cols]: [usize; 2], compute: &Compute) -> Self {
        let pays = compute.isa() != Isa::Scalar && cols >= INPUTS_MIN;
        match Packing::new(format, rows, cols) {
            Ok(packing) if pays => Self::Packed(packing),
            _ => {
                let row_bytes = format.row_bytes(cols).unwrap_or_default();
                Self::Stored { format, rows, cols, row_bytes }
            }
        }
    }

    /// The format that it is packed from, if it is.
    pub(crate) fn packed(&self) -> Option<Format> {
        match self {
            Self::Stored { .. } => None,
            Self::Packed(packing) => Some(packing.format()),
        }
    }

    /// Bytes of the matrix.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Stored { rows, row_bytes, .. } => rows * row_bytes,
            Self::Packed(packing) => packing.bytes(),
        }
    }

    /// The rows that are written together at least, and their bytes.
    pub(crate) fn unit(&self) -> (usize, usize) {
        match self {
            Self::Stored { row_bytes, .. } => (1, *row_bytes),
            Self::Packed(packing) => (Packing::ROWS, packing.strip_bytes()),
        }
    }

    /// Writes some rows, whole units but for the last of the matrix, to `out`, which is zero.
    pub(crate) fn write(&self, rows: &Rows, out: &mut [u8]) -> Result<(), ShapeError> {
        match self {
            Self::Stored { .. } => {
                out.copy_from_slice(rows.as_bytes());
                Ok(())
            }
            Self::Packed(packing) => packing.pack(rows, out),
        }
    }

    /// The matrix whose rows were written to `bytes`.
    pub(crate) fn matrix(&self, bytes: Bytes) -> Result<Matrix, ShapeError> {
        Ok(match self {
            Self::Stored { format, rows, cols, .. } => {
                Matrix::Stored(Rows::of(*format, *rows, *cols, bytes)?)
            }
            Self::Packed(packing) => Matrix::Packed(Packed::from_bytes(*packing, bytes)?),
        })
    }
}

/// The weights of one matrix, held once.
#[derive(Debug)]
pub(crate) enum Matrix {
    /// [`Form::Stored`]
    Stored(Rows),
    /// [`Form::Packed`]
    Packed(Packed),
}

impl Matrix {
    /// Outputs.
    pub(crate) fn rows(&self) -> usize {
        match self {
            Self::Stored(rows) => rows.rows(),
            Self::Packed(packed) => packed.rows(),
        }
    }

    /// Inputs.
    pub(crate) fn cols(&self) -> usize {
        match self {
            Self::Stored(rows) => rows.cols(),
            Self::Packed(packed) => packed.cols(),
        }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Stored(rows) => rows.bytes(),
            Self::Packed(packed) => packed.bytes(),
        }
    }

    /// Where the bytes begin: the same for as long as the matrix lives.
    pub(crate) fn address(&self) -> usize {
        match self {
            Self::Stored(rows) => rows.address(),
            Self::Packed(packed) => packed.address(),
        }
    }

    /// Writes row `row` as `(cols)` f32.
    pub(crate) fn decode(&self, row: usize, out: &mut [f32]) {
        match self {
            Self::Stored(rows) => rows.decode(row, out),
            Self::Packed(packed) => packed.decode(row, out),
        }
    }

    /// `x · Wᵀ`: (n, cols) to (n, rows)
    pub(crate) fn product(&self, x: &Activations<'_>, compute: &Compute) -> Buffer<f32> {
        let mut y = compute.buffer(x.rows() * self.rows());
        match self {
            Self::Stored(rows) => matmul(x.numbers(), rows, &mut y, compute),
            Self::Packed(packed) => product(x, packed, &mut y, compute),
        }
        y
    }
}
