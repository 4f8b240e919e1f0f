//! The input of fast products: numbers as they are, and in 8 bits where weights are integers, quantised
//! once for all products that have the same input.

mod block;

use std::{ops::Range, sync::OnceLock};

use crate::{
    Compute,
    blocking::{BLOCKS, DEPTH, STEP},
};
pub(crate) use block::{Block, quantise};

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

impl Rounding {
    /// What it may lose of a row's energy before a part is rounded twice; `None` where none is.
    fn lost_max(self) -> Option<f32> {
        match self {
            Self::Once => None,
            Self::Outliers => Some(LOST_MAX),
            Self::Twice => Some(-1.0),
        }
    }
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
                    quantise(self.run(run / rows, run % rows), blocks, &mut []);
                }
            });
            let lost_max = self.rounding.lost_max();
            let lost = lost_max.map(|max| self.lost(max, &blocks, compute)).unwrap_or_default();
            Rounded { blocks, lost }
        })
    }

    /// The numbers of a row that belong to a chunk.
    fn run(&self, chunk: usize, row: usize) -> &'a [f32] {
        let first = chunk * BLOCKS * DEPTH;
        &self.x[row * self.cols..][first..self.cols.min(first + BLOCKS * DEPTH)]
    }

    /// What the first rounding lost, chunk by chunk, where it is more than `max` of a row's energy.
    fn lost(&self, max: f32, blocks: &[Block], compute: &Compute) -> Vec<Lost> {
        let (rows, ops) = (self.rows(), compute.ops());
        let share = max / self.chunks() as f32;
        let bounds: Vec<f32> =
            self.x.chunks_exact(self.cols).map(|x| share * (ops.dot)(x, x)).collect();
        let chunks: Vec<Range<usize>> = (0..self.chunks()).map(|at| at..at + 1).collect();
        compute.spread(&chunks, |chunk| {
            let blocks = &blocks[chunk.start * rows * BLOCKS..][..rows * BLOCKS];
            let energies = blocks.chunks_exact(BLOCKS).map(energy_lost);
            let much = energies.zip(&bounds).map(|(energy, bound)| max < 0.0 || energy > *bound);
            let rows: Vec<usize> =
                much.enumerate().filter_map(|(row, much)| much.then_some(row)).collect();
            let mut lost = vec![Block::default(); rows.len() * BLOCKS];
            for (row, lost) in rows.iter().zip(lost.chunks_exact_mut(BLOCKS)) {
                let mut first = [Block::default(); BLOCKS];
                (ops.quantise)(self.run(chunk.start, *row), &mut first, lost);
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
