//! The input of fast products: numbers as they are, and in 8 bits where weights are integers, quantised
//! once for all products that have the same input.

mod block;
mod brains;
mod outliers;

use std::{ops::Range, sync::OnceLock};

use crate::{
    Buffer, Compute,
    blocking::{BLOCKS, DEPTH, ROWS_AT_ONCE, STEP},
};
use block::padded;
pub(crate) use block::{Block, STEPS, Step, quantise, quantise_step, survey};
pub(crate) use brains::Brains;

/// What quantising an element costs beside a multiplication.
const COST: usize = 4;
/// Steps of a chunk.
const PLACES: usize = BLOCKS * STEPS;

/// How finely activations are rounded to 8 bits: what share of a row's energy that may lose on average. Where
/// more would be lost, what the steps with the largest inputs lose is rounded again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// 1 of 22,000: an error of 0.7 % of the row's length. Normally distributed numbers lose half of
    /// that.
    Coarse,
    /// 1 of 67,000: an error of 0.4 %. Of normally distributed numbers a third are rounded again.
    Fine,
}

impl Rounding {
    fn loss_max(self) -> f32 {
        match self {
            Self::Coarse => 4.5e-5,
            Self::Fine => 1.5e-5,
        }
    }
}

/// Activations in 8 bits. A chunk is [`BLOCKS`] blocks of every row.
#[derive(Debug)]
pub(crate) struct Rounded {
    /// (chunks, rows, [`BLOCKS`])
    pub(crate) blocks: Buffer<Block>,
    /// (rows / [`ROWS_AT_ONCE`], chunks): what rounding lost of some steps of some of these rows, by place and
    /// by row, which is counted from their first.
    pub(crate) outliers: Vec<Vec<Step>>,
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
    /// (pairs of rows, fours of a row)
    brains: OnceLock<Vec<Brains>>,
}

impl<'a> Activations<'a> {
    /// Takes `x`, which is `(n, cols)`, to be rounded when it meets integers.
    ///
    /// # Panics
    /// When `x` is not whole rows.
    pub fn new(x: &'a [f32], cols: usize, rounding: Rounding) -> Self {
        assert_eq!(x.len() % cols, 0, "x is not whole rows of {cols}");
        Self { x, cols, rounding, rounded: OnceLock::new(), brains: OnceLock::new() }
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
            let maxima = self.maxima(compute);
            let (rows, quantise) = (self.rows(), compute.ops().quantise);
            let runs = self.chunks() * rows;
            let mut blocks = compute.blocks(runs * BLOCKS);
            let parts = compute.uneven(runs, self.x.len() * COST);
            compute.split(&mut blocks, BLOCKS, &parts, |part, blocks| {
                for (run, blocks) in part.zip(blocks.chunks_exact_mut(BLOCKS)) {
                    let (chunk, row) = (run / rows, run % rows);
                    quantise(self.run(chunk, row), self.maxima_of(&maxima, chunk, row), blocks);
                }
            });
            Rounded { blocks, outliers: self.outliers(&maxima, compute) }
        })
    }

    /// The numbers in bf16: pairs of rows, each [`Self::fours`] long.
    pub(crate) fn brains(&self, compute: &Compute) -> &[Brains] {
        self.brains.get_or_init(|| {
            let (pairs, fours) = (self.rows().div_ceil(2), self.fours());
            let mut brains = vec![Brains::default(); pairs * fours];
            let parts = compute.uneven(pairs, self.x.len());
            compute.split(&mut brains, fours, &parts, |part, brains| {
                for (pair, brains) in part.zip(brains.chunks_exact_mut(fours)) {
                    let rows = &self.x[2 * pair * self.cols..];
                    brains::pair(&rows[..rows.len().min(2 * self.cols)], self.cols, brains);
                }
            });
            brains
        })
    }

    /// Fours of inputs that a row has.
    pub(crate) fn fours(&self) -> usize {
        self.cols.div_ceil(4)
    }

    /// The largest magnitude of every step, negative where the step is an outlier: (rows, steps).
    fn maxima(&self, compute: &Compute) -> Vec<f32> {
        let (rows, steps) = (self.rows(), self.cols.div_ceil(STEP));
        let mut maxima = vec![0.0; rows * steps];
        let parts = compute.uneven(rows, self.x.len());
        compute.split(&mut maxima, steps, &parts, |part, maxima| {
            for (row, maxima) in part.zip(maxima.chunks_exact_mut(steps)) {
                let x = &self.x[row * self.cols..][..self.cols];
                let energy = (compute.ops().survey)(x, maxima);
                outliers::mark(maxima, energy * self.rounding.loss_max());
            }
        });
        maxima
    }

    /// What [`Self::maxima`] found, of a row in a chunk.
    fn maxima_of<'m>(&self, maxima: &'m [f32], chunk: usize, row: usize) -> &'m [f32] {
        let steps = self.cols.div_ceil(STEP);
        &maxima[row * steps..][chunk * PLACES..steps.min((chunk + 1) * PLACES)]
    }

    /// The numbers of a row that belong to a chunk.
    fn run(&self, chunk: usize, row: usize) -> &'a [f32] {
        let first = chunk * BLOCKS * DEPTH;
        &self.x[row * self.cols..][first..self.cols.min(first + BLOCKS * DEPTH)]
    }

    /// (rows / [`ROWS_AT_ONCE`], chunks)
    fn outliers(&self, maxima: &[f32], compute: &Compute) -> Vec<Vec<Step>> {
        let (rows, chunks) = (self.rows(), self.chunks());
        let all = rows.div_ceil(ROWS_AT_ONCE) * chunks;
        let each: Vec<Range<usize>> = (0..all).map(|at| at..at + 1).collect();
        compute.spread(&each, |each| {
            let (first, chunk) = (each.start / chunks * ROWS_AT_ONCE, each.start % chunks);
            let rows = first..rows.min(first + ROWS_AT_ONCE);
            self.outliers_of(maxima, chunk, rows, compute)
        })
    }

    fn outliers_of(
        &self,
        maxima: &[f32],
        chunk: usize,
        rows: Range<usize>,
        compute: &Compute,
    ) -> Vec<Step> {
        let of = |row| self.maxima_of(maxima, chunk, row);
        let with = rows.clone().filter(|row| of(*row).iter().any(|max| *max < 0.0));
        let with: Vec<usize> = with.collect();
        let mut steps = Vec::new();
        for place in 0..PLACES {
            for row in &with {
                if of(*row).get(place).is_none_or(|max| *max >= 0.0) {
                    continue;
                }
                let run = self.run(chunk, *row);
                let mut x = padded(&run[place * STEP..run.len().min((place + 1) * STEP)]);
                let row = (row - rows.start) as u32;
                let mut step = Step { place: place as u32, row, ..Step::default() };
                let quantise_step = compute.ops().quantise_step;
                quantise_step(&mut x, &mut step); // as in the row's block
                quantise_step(&mut x, &mut step);
                steps.push(step);
            }
        }
        steps
    }

    /// Chunks that a row has.
    pub(crate) fn chunks(&self) -> usize {
        self.cols.div_ceil(BLOCKS * DEPTH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::noise;

    #[test]
    fn what_steps_that_stand_out_lose_is_kept() {
        let cols = 3 * BLOCKS * DEPTH;
        let mut x = noise(2 * cols, 1);
        let compute = Compute::serving();
        let even = Activations::new(&x, cols, Rounding::Coarse);
        assert!(even.rounded(&compute).outliers.iter().all(Vec::is_empty));
        x[cols + 700] = 50.0;
        let activations = Activations::new(&x, cols, Rounding::Coarse);
        let rounded = activations.rounded(&compute);
        assert!(rounded.outliers[0].is_empty() && rounded.outliers[2].is_empty());
        let [lost] = rounded.outliers[1][..] else { unreachable!("one step") };
        assert_eq!((lost.place, lost.row), ((700 - 512) as u32 / 32, 1));
        let block = &rounded.blocks[2 * BLOCKS + BLOCKS + 1]; // chunk 1, row 1
        let place = lost.place as usize % STEPS;
        for (at, x) in x[cols + 512 + 160..][..STEP].iter().enumerate() {
            let quant = |quads: &[i32]| f32::from(quads[at / 4].to_le_bytes()[at % 4] as i8);
            let once = block.scales[place] * quant(&block.quads[place * STEP / 4..]);
            let both = once + lost.scale * quant(&lost.quads);
            assert!((both - x).abs() <= 1e-3, "{both} for {x}");
        }
    }
}
