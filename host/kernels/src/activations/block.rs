//! 128 activations of one row in 8 bits, and single steps of them. Written once in safe code that LLVM
//! vectorises, compiled for every row of the table; all of it is inlined for that.

use crate::blocking::{DEPTH, STEP};

/// Steps of a block.
pub(crate) const STEPS: usize = DEPTH / STEP;
/// The largest quant.
pub(super) const QUANT_MAX: f32 = 127.0;

/// [`DEPTH`] inputs of one row: `x = scale * q`, with `q` in -127..=127 and a scale for every step.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(C, align(64))]
pub(crate) struct Block {
    /// Four signed bytes each, the first in the lowest.
    pub(crate) quads: [i32; DEPTH / 4],
    /// Sums of 16 quants each.
    pub(crate) sums16: [i16; DEPTH / 16],
    /// Sums of the quants of each step.
    pub(crate) sums32: [i16; STEPS],
    /// What a quant of each step is worth.
    pub(crate) scales: [f32; STEPS],
    /// Sums of the inputs of each step, as they are rounded.
    pub(crate) worths: [f32; STEPS],
    /// Sum of all inputs, as they are rounded.
    pub(crate) worth: f32,
}

/// What rounding lost of [`STEP`] inputs of one row of a chunk, in 8 bits.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(C, align(64))]
pub(crate) struct Step {
    /// As in a [`Block`].
    pub(crate) quads: [i32; STEP / 4],
    /// Sums of 16 quants each.
    pub(crate) sums16: [i16; STEP / 16],
    /// Sum of all quants.
    pub(crate) sum: i16,
    /// What a quant is worth.
    pub(crate) scale: f32,
    /// Sum of the inputs, as they are rounded.
    pub(crate) worth: f32,
    /// Which step of the chunk.
    pub(crate) place: u32,
    /// Which row of those that meet weights at once.
    pub(crate) row: u32,
}

/// Writes the largest magnitude of every step of a row and returns the sum of the squares of all inputs. NaN
/// counts as zero.
#[inline(always)]
pub(crate) fn survey(x: &[f32], maxima: &mut [f32]) -> f32 {
    let mut squares = [0.0f32; 16];
    for (x, max) in x.chunks(STEP).zip(maxima) {
        let x = padded::<STEP>(x);
        let mut most = [0.0f32; 16];
        for x in x.as_chunks::<16>().0 {
            for ((most, square), x) in most.iter_mut().zip(&mut squares).zip(x) {
                let size = x.abs();
                *most = if size > *most { size } else { *most };
                *square += if x.is_nan() { 0.0 } else { x * x };
            }
        }
        *max = most.iter().fold(0.0, |a: f32, b| if *b > a { *b } else { a });
    }
    squares.iter().sum()
}

/// Quantises a part of a row; blocks beyond it are zero. `maxima` are those of its steps.
#[inline(always)]
pub(crate) fn quantise(x: &[f32], maxima: &[f32], blocks: &mut [Block]) {
    let (blocks, beyond) = blocks.split_at_mut(x.len().div_ceil(DEPTH));
    beyond.fill(Block::default());
    for ((x, maxima), block) in x.chunks(DEPTH).zip(maxima.chunks(STEPS)).zip(blocks) {
        let mut quants = [0; DEPTH];
        block.scales = [0.0; STEPS];
        let steps = x.chunks(STEP).zip(quants.as_chunks_mut::<STEP>().0);
        for (((x, quants), max), scale) in steps.zip(maxima).zip(&mut block.scales) {
            *scale = match x.first_chunk() {
                Some(x) => quants_of(x, max.abs(), quants),
                None => quants_of(&padded(x), max.abs(), quants),
            };
        }
        block.quads = quads_of(&quants);
        block.sums16 = sums_of(&quants);
        for (sum, pair) in block.sums32.iter_mut().zip(block.sums16.as_chunks::<2>().0) {
            *sum = pair[0] + pair[1];
        }
        let sums = block.sums32.iter().zip(block.scales);
        for (worth, (sum, scale)) in block.worths.iter_mut().zip(sums) {
            *worth = scale * f32::from(*sum);
        }
        block.worth = block.worths.iter().sum();
    }
}

/// Quantises one step to the largest of its inputs, and takes what it is worth off `x`.
#[inline(always)]
pub(crate) fn quantise_step(x: &mut [f32; STEP], step: &mut Step) {
    let mut max = 0.0;
    for x in &*x {
        max = if x.abs() > max { x.abs() } else { max };
    }
    let mut quants = [0; STEP];
    step.scale = quants_of(x, max, &mut quants);
    step.quads = quads_of(&quants);
    step.sums16 = sums_of(&quants);
    step.sum = step.sums16[0] + step.sums16[1];
    step.worth = step.scale * f32::from(step.sum);
    for (x, quant) in x.iter_mut().zip(quants) {
        *x -= step.scale * f32::from(quant as i8);
    }
}

/// With zeros for inputs that are not there.
#[inline(always)]
pub(super) fn padded<const N: usize>(x: &[f32]) -> [f32; N] {
    let mut padded = [0.0; N];
    padded[..x.len()].copy_from_slice(x);
    padded
}

/// Signed bytes of numbers that are at most `max` in size, and what one of them is worth.
#[inline(always)]
fn quants_of<const N: usize>(x: &[f32; N], max: f32, quants: &mut [u8; N]) -> f32 {
    /// Added to a small number, it leaves the nearest integer (ties to even) in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let factor = if max > 0.0 { QUANT_MAX / max } else { 0.0 };
    // The smallest numbers have no reciprocal: they are nothing beside anything else.
    let factor = if factor.is_finite() { factor } else { 0.0 };
    for (quant, x) in quants.iter_mut().zip(x) {
        *quant = (x * factor + ROUND).to_bits() as u8;
    }
    max / QUANT_MAX
}

#[inline(always)]
fn quads_of<const N: usize, const QUADS: usize>(quants: &[u8; N]) -> [i32; QUADS] {
    let mut quads = [0; QUADS];
    for (quad, quants) in quads.iter_mut().zip(quants.as_chunks().0) {
        *quad = i32::from_le_bytes(*quants);
    }
    quads
}

#[inline(always)]
fn sums_of<const N: usize, const SUMS: usize>(quants: &[u8; N]) -> [i16; SUMS] {
    let mut sums = [0; SUMS];
    for (sum, quants) in sums.iter_mut().zip(quants.as_chunks::<16>().0) {
        *sum = quants.iter().map(|quant| i16::from(*quant as i8)).sum();
    }
    sums
}
