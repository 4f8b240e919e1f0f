//! A weight matrix in the form that its products take, and what is multiplied with it.

use std::cell::OnceCell;

use signalbox_kernels::{Activations, Compute, Isa, Packed, Rows, matmul, product};

/// The weights of one matrix, held once.
#[derive(Debug)]
pub(crate) enum Matrix {
    /// As they are stored: plain numbers, and all formats on the scalar reference path.
    Stored(Rows),
    /// Interleaved for products with 8-bit activations.
    Packed(Packed),
}

impl Matrix {
    /// In the form that `compute` multiplies fastest; scalar computing takes weights as they are stored.
    pub(crate) fn new(rows: Rows, compute: &Compute) -> Self {
        if compute.isa() == Isa::Scalar {
            return Self::Stored(rows);
        }
        match Packed::new(&rows, compute) {
            Ok(packed) => Self::Packed(packed),
            // Plain numbers, and groups that are no whole steps.
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
    pub(crate) fn decode(&self, row: usize, out: &mut [f32], compute: &Compute) {
        match self {
            Self::Stored(rows) => rows.decode(row, out),
            Self::Packed(packed) => packed.decode(row, out, compute),
        }
    }

    /// `x · Wᵀ`: (n, cols) to (n, rows)
    pub(crate) fn product(&self, x: &Input<'_>, compute: &Compute) -> Vec<f32> {
        let mut y = vec![0.0; x.x.len() / self.cols() * self.rows()];
        match self {
            Self::Stored(rows) => matmul(x.x, rows, &mut y, compute),
            Self::Packed(packed) => product(x.quantised(compute), packed, &mut y, compute),
        }
        y
    }
}

/// Activations that several matrices are multiplied with: rounded to 8 bits once, and only if one of them
/// wants that.
pub(crate) struct Input<'a> {
    x: &'a [f32],
    cols: usize,
    quantised: OnceCell<Activations>,
}

impl<'a> Input<'a> {
    /// (n, cols)
    pub(crate) fn new(x: &'a [f32], cols: usize) -> Self {
        Self { x, cols, quantised: OnceCell::new() }
    }

    fn quantised(&self, compute: &Compute) -> &Activations {
        self.quantised.get_or_init(|| Activations::quantise(self.x, self.cols, compute))
    }
}
