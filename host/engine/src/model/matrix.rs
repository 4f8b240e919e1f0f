//! A weight matrix in the form that its products take.

use signalbox_kernels::{Activations, Buffer, Compute, Isa, Packed, Rows, matmul, product};

/// A matrix with fewer inputs is multiplied in f32: there is little to win, and models so small do not
/// bear the rounding of their inputs.
const INPUTS_MIN: usize = 512;

/// The weights of one matrix, held once.
#[derive(Debug)]
pub(crate) enum Matrix {
    /// As they are stored: on the scalar reference path, and where packing would not pay.
    Stored(Rows),
    /// Interleaved for fast products.
    Packed(Packed),
}

impl Matrix {
    /// In the form that `compute` multiplies fastest; scalar computing takes weights as they are stored.
    pub(crate) fn new(rows: Rows, compute: &Compute) -> Self {
        if compute.isa() == Isa::Scalar || rows.cols() < INPUTS_MIN {
            return Self::Stored(rows);
        }
        match Packed::new(&rows, compute) {
            Ok(packed) => Self::Packed(packed),
            // Groups that are no whole steps.
            Err(_) => Self::Stored(rows),
        }
    }

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
