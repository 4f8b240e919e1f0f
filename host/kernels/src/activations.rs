//! The input of fast products: numbers as they are, and in 8 bits where weights are integers, quantised
//! once for all products that have the same input.

mod block;

use std::sync::OnceLock;

use crate::Compute;
pub(crate) use block::{BLOCKS, Block, DEPTH, quantise};

/// What quantising an element costs beside a multiplication.
const COST: usize = 8;

/// How finely activations are rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// To 8 bits: the error is at most 1/254 of the largest of the 32 that share a scale.
    Once,
    /// To 8 bits, and what that lost to 8 bits again: at most 1/64,516, for twice the work.
    Twice,
}

impl Rounding {
    /// Rows of 8 bits that stand for one of numbers.
    fn planes(self) -> usize {
        match self {
            Self::Once => 1,
            Self::Twice => 2,
        }
    }
}

/// A matrix `(rows, cols)` of activations. Products with integer weights take it in 8 bits with a scale for
/// every 32 of a row. NaN becomes zero.
#[derive(Debug)]
pub struct Activations<'a> {
    x: &'a [f32],
    cols: usize,
    rounding: Rounding,
    /// What is beyond `cols` is zero.
    blocks: OnceLock<Vec<Block>>,
}

impl<'a> Activations<'a> {
    /// Takes `x`, which is `(n, cols)`, to be rounded when it meets integers.
    ///
    /// # Panics
    /// When `x` is not whole rows.
    pub fn new(x: &'a [f32], cols: usize, rounding: Rounding) -> Self {
        assert_eq!(x.len() % cols, 0, "x is not whole rows of {cols}");
        Self { x, cols, rounding, blocks: OnceLock::new() }
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
    pub fn numbers(&self) -> &'a [f32] {
        self.x
    }

    /// The numbers in 8 bits: (chunks, rows, planes, [`BLOCKS`]), where a chunk is that many blocks of every
    /// row.
    pub(crate) fn blocks(&self, compute: &Compute) -> &[Block] {
        self.blocks.get_or_init(|| {
            let (rows, quantise) = (self.rows(), compute.ops().quantise);
            let (runs, width) = (self.chunks() * rows, self.planes() * BLOCKS);
            let mut blocks = vec![Block::default(); runs * width];
            let parts = compute.uneven(runs, self.x.len() * COST);
            compute.split(&mut blocks, width, &parts, |part, blocks| {
                for (run, blocks) in part.zip(blocks.chunks_exact_mut(width)) {
                    let row = &self.x[run % rows * self.cols..][..self.cols];
                    let first = run / rows * BLOCKS * DEPTH;
                    let (blocks, lost) = blocks.split_at_mut(BLOCKS);
                    quantise(&row[first..self.cols.min(first + BLOCKS * DEPTH)], blocks, lost);
                }
            });
            blocks
        })
    }

    /// Planes of a row.
    pub(crate) fn planes(&self) -> usize {
        self.rounding.planes()
    }

    /// Chunks that a row has.
    pub(crate) fn chunks(&self) -> usize {
        self.cols.div_ceil(BLOCKS * DEPTH)
    }
}
