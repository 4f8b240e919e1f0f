//! The input of fast products: numbers as they are, and in 8 bits where weights are integers, quantised
//! once for all products that have the same input.

mod block;

use std::{ops::Range, sync::OnceLock};

use crate::{
    Compute,
    blocking::{BLOCKS, DEPTH, STEP},
};
pub(crate) use block::{Block, quantise, quantise_lost};

/// What quantising an element costs beside a multiplication.
const COST: usize = 8;

/// What rounding may lose of a row's energy, each part of the row as much, before a part is rounded twice.
/// Even numbers lose half of that; where a few stand out, the rest of their part loses more.
const LOST_MAX: f32 = 5e-5;

/// How finely activations are rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// To 8 bits: the error is at most 1/254 of the largest of the 32 that share a scale.
    Once,
    /// To 8 bits, and what that lost to 8 bits again in those parts of a row where it is much.
    Outliers,
    /// To 8 bits, and what that lost to 8 bits again: at most 1/64,516, for twice the work.
    Twice,
}

/// Activations in 8 bits. A chunk is [`BLOCKS`] blocks of every row.
#[derive(Debug)]
pub(crate) struct Rounded {
    /// (chunks, rows, [`BLOCKS`])
    pub(crate) blocks: Vec<Block>,
    /// For every chunk; empty where all is rounded once.
    pub(crate) lost: Vec<Lost>,
}

/// What rounding lost of some rows of a chunk, in 8 bits.
#[derive(Debug)]
pub(crate) struct Lost {
    /// Those rows, in order.
    pub(crate) rows: Vec<usize>,
    /// (rows, [`BLOCKS`])
    pub(crate) blocks: Vec<Block>,
}

/// A matrix `(rows, cols)` of activations. Products with integer weights take it in 8 bits with a scale for
/// every 32 of a row. NaN becomes zero.
#[derive(Debug)]
pub struct Activations<'a> {
    x: &'a [f32],
    cols: usize,
    rounding: Rounding,
    /// What is beyond `cols` is zero.
    rounded: OnceLock<Rounded>,
}

impl<'a> Activations<'a> {
    /// Takes `x`, which is `(n, cols)`, to be rounded when it meets integers.
    ///
    /// # Panics
    /// When `x` is not whole rows.
    pub fn new(x: &'a [f32], cols: usize, rounding: Rounding) -> Self {
        assert_eq!(x.len() % cols, 0, "x is not whole rows of {cols}");
        Self { x, cols, rounding, rounded: OnceLock::new() }
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

    /// The numbers in 8 bits.
    pub(crate) fn rounded(&self, compute: &Compute) -> &Rounded {
        self.rounded.get_or_init(|| {
            let (rows, quantise) = (self.rows(), compute.ops().quantise);
            let runs = self.chunks() * rows;
            let mut blocks = vec![Block::default(); runs * BLOCKS];
            let parts = compute.uneven(runs, self.x.len() * COST);
            compute.split(&mut blocks, BLOCKS, &parts, |part, blocks| {
                for (run, blocks) in part.zip(blocks.chunks_exact_mut(BLOCKS)) {
                    quantise(self.run(run / rows, run % rows), blocks);
                }
            });
            let lost = match self.rounding {
                Rounding::Once => Vec::new(),
                Rounding::Outliers => self.lost(&blocks, Some(&self.bounds(compute)), compute),
                Rounding::Twice => self.lost(&blocks, None, compute),
            };
            Rounded { blocks, lost }
        })
    }

    /// The numbers of a row that belong to a chunk.
    fn run(&self, chunk: usize, row: usize) -> &'a [f32] {
        let first = chunk * BLOCKS * DEPTH;
        &self.x[row * self.cols..][first..self.cols.min(first + BLOCKS * DEPTH)]
    }

    /// What rounding may lose of each row in a chunk.
    fn bounds(&self, compute: &Compute) -> Vec<f32> {
        let (share, dot) = (LOST_MAX / self.chunks() as f32, compute.ops().dot);
        self.x.chunks_exact(self.cols).map(|x| share * dot(x, x)).collect()
    }

    /// What the first rounding lost, chunk by chunk: of all rows, or of those that lost more than their bound.
    fn lost(&self, blocks: &[Block], bounds: Option<&[f32]>, compute: &Compute) -> Vec<Lost> {
        let all = self.rows();
        let chunks: Vec<Range<usize>> = (0..self.chunks()).map(|at| at..at + 1).collect();
        compute.spread(&chunks, |chunk| {
            let of = |row: usize| &blocks[(chunk.start * all + row) * BLOCKS..][..BLOCKS];
            let again = |row: &usize| bounds.is_none_or(|max| energy_lost(of(*row)) > max[*row]);
            let rows: Vec<usize> = (0..all).filter(again).collect();
            let mut lost = vec![Block::default(); rows.len() * BLOCKS];
            for (row, lost) in rows.iter().zip(lost.chunks_exact_mut(BLOCKS)) {
                (compute.ops().quantise_lost)(self.run(chunk.start, *row), of(*row), lost);
            }
            Lost { rows, blocks: lost }
        })
    }

    /// Chunks that a row has.
    pub(crate) fn chunks(&self) -> usize {
        self.cols.div_ceil(BLOCKS * DEPTH)
    }
}

/// The energy that rounding loses on average: a twelfth of the square of a quant for each number.
fn energy_lost(blocks: &[Block]) -> f32 {
    let scales = blocks.iter().flat_map(|block| block.scales);
    scales.map(|scale| scale * scale).sum::<f32>() * (STEP as f32 / 12.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::noise;

    #[test]
    fn parts_where_few_stand_out_are_rounded_twice() {
        let cols = 3 * BLOCKS * DEPTH;
        let mut x = noise(2 * cols, 1);
        x[cols + 700] = 50.0;
        let compute = Compute::serving();
        assert!(Activations::new(&x, cols, Rounding::Once).rounded(&compute).lost.is_empty());
        let activations = Activations::new(&x, cols, Rounding::Outliers);
        let lost = activations.rounded(&compute).lost.iter().map(|lost| lost.rows.clone());
        assert_eq!(lost.collect::<Vec<_>>(), [vec![], vec![1], vec![]]);
    }
}
