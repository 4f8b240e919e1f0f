//! Activations as the fast products take them: 8 bits, quantised once and shared by every product that
//! has the same input.

mod block;

use crate::Compute;
pub(crate) use block::{Block, DEPTH, quantise};

/// What an element costs beside a multiplication.
const COST: usize = 8;

/// A matrix `(rows, cols)` of activations in 8 bits with a scale for every 128 of a row: the rounding
/// error is at most 1/254 of the largest among them. NaN becomes zero.
#[derive(Debug, Clone, PartialEq)]
pub struct Activations {
    rows: usize,
    cols: usize,
    /// (rows, cols in whole blocks); what is beyond `cols` is zero.
    blocks: Vec<Block>,
}

impl Activations {
    /// Quantises `x`, which is `(n, cols)`.
    ///
    /// # Panics
    /// When `x` is not whole rows.
    pub fn quantise(x: &[f32], cols: usize, compute: &Compute) -> Self {
        assert_eq!(x.len() % cols, 0, "x is not whole rows of {cols}");
        let (rows, width) = (x.len() / cols, cols.div_ceil(DEPTH));
        let quantise = compute.ops().quantise;
        let mut blocks = vec![Block::default(); rows * width];
        let parts = compute.ranges(rows, 1, x.len() * COST);
        compute.split(&mut blocks, width, &parts, |part, blocks| {
            let x = x[part.start * cols..part.end * cols].chunks_exact(cols);
            x.zip(blocks.chunks_exact_mut(width)).for_each(|(x, blocks)| quantise(x, blocks));
        });
        Self { rows, cols, blocks }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Activations of a row.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The blocks of all rows, and how many a row has.
    pub(crate) fn blocks(&self) -> (&[Block], usize) {
        (&self.blocks, self.cols.div_ceil(DEPTH))
    }
}
