//! The input of fast products: numbers as they are, and in 8 bits where weights are integers, quantised
//! once for all products that have the same input.

mod block;

use std::sync::OnceLock;

use crate::Compute;
pub(crate) use block::{BLOCKS, Block, DEPTH, quantise};

/// What quantising an element costs beside a multiplication.
const COST: usize = 8;

/// A matrix `(rows, cols)` of activations. Products with integer weights take it in 8 bits with a scale for
/// every 128 of a row: the rounding error is at most 1/254 of the largest among them. NaN becomes zero.
#[derive(Debug)]
pub struct Activations<'a> {
    x: &'a [f32],
    cols: usize,
    /// What is beyond `cols` is zero.
    blocks: OnceLock<Vec<Block>>,
}

impl<'a> Activations<'a> {
    /// Takes `x`, which is `(n, cols)`.
    ///
    /// # Panics
    /// When `x` is not whole rows.
    pub fn new(x: &'a [f32], cols: usize) -> Self {
        assert_eq!(x.len() % cols, 0, "x is not whole rows of {cols}");
        Self { x, cols, blocks: OnceLock::new() }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.x.len() / self.cols
    }

    /// Activations of a row.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The numbers, row by row.
    pub(crate) fn numbers(&self) -> &'a [f32] {
        self.x
    }

    /// The numbers in 8 bits: (chunks, rows, [`BLOCKS`]), where a chunk is that many blocks of every row.
    pub(crate) fn blocks(&self, compute: &Compute) -> &[Block] {
        self.blocks.get_or_init(|| {
            let (rows, quantise) = (self.rows(), compute.ops().quantise);
            let runs = self.chunks() * rows;
            let mut blocks = vec![Block::default(); runs * BLOCKS];
            let parts = compute.uneven(runs, self.x.len() * COST);
            compute.split(&mut blocks, BLOCKS, &parts, |part, blocks| {
                for (run, blocks) in part.zip(blocks.chunks_exact_mut(BLOCKS)) {
                    let row = &self.x[run % rows * self.cols..][..self.cols];
                    let first = run / rows * BLOCKS * DEPTH;
                    quantise(&row[first..self.cols.min(first + BLOCKS * DEPTH)], blocks);
                }
            });
            blocks
        })
    }

    /// Chunks that a row has.
    pub(crate) fn chunks(&self) -> usize {
        self.cols.div_ceil(BLOCKS * DEPTH)
    }
}
