//! 128 activations of one row in 8 bits.

use crate::blocking::{DEPTH, STEP};

/// [`DEPTH`] inputs of one row: `x = scale * q`, with `q` in -127..=127.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(C, align(64))]
pub(crate) struct Block {
    /// Four signed bytes each, the first in the lowest.
    pub(crate) quads: [i32; DEPTH / 4],
    /// Sums of 16 quants each.
    pub(crate) sums16: [i16; DEPTH / 16],
    /// Sums of 32 quants each.
    pub(crate) sums32: [i32; DEPTH / STEP],
    /// The same as numbers.
    pub(crate) numbers32: [f32; DEPTH / STEP],
    /// What a quant is worth.
    pub(crate) scales: [f32; DEPTH / STEP],
    /// Sum of all inputs, as they are rounded.
    pub(crate) sum: f32,
}

/// Quantises a part of a row into blocks that were zero.
#[inline(always)]
pub(crate) fn quantise(x: &[f32], blocks: &mut [Block]) {
    for (x, block) in x.chunks(DEPTH).zip(blocks) {
        quantise_block(&padded(x), block);
    }
}

/// Quantises what `blocks` lost of a part of a row, into as many that were zero.
#[inline(always)]
pub(crate) fn quantise_lost(x: &[f32], blocks: &[Block], lost: &mut [Block]) {
    for ((x, block), lost) in x.chunks(DEPTH).zip(blocks).zip(lost) {
        let mut rest = [0.0; DEPTH];
        take_off(&padded(x), block, &mut rest);
        quantise_block(&rest, lost);
    }
}

/// With zeros for inputs that are not there.
#[inline(always)]
fn padded(x: &[f32]) -> [f32; DEPTH] {
    let mut padded = [0.0; DEPTH];
    padded[..x.len()].copy_from_slice(x);
    padded
}

/// `lost = x - block`
#[inline(always)]
fn take_off(x: &[f32; DEPTH], block: &Block, lost: &mut [f32; DEPTH]) {
    for (quad, (lost, x)) in
        lost.as_chunks_mut::<4>().0.iter_mut().zip(x.as_chunks::<4>().0).enumerate()
    {
        let (quants, scale) = (block.quads[quad].to_le_bytes(), block.scales[quad * 4 / STEP]);
        for (lost, (x, quant)) in lost.iter_mut().zip(x.iter().zip(quants)) {
            *lost = x - scale * f32::from(quant as i8);
        }
    }
}

#[inline(always)]
fn quantise_block(x: &[f32; DEPTH], block: &mut Block) {
    /// Added to a small number, it leaves the nearest integer (ties to even) in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let mut quants = [0i32; DEPTH];
    let steps = x.as_chunks::<STEP>().0.iter().zip(quants.as_chunks_mut::<STEP>().0);
    for ((x, quants), scale) in steps.zip(&mut block.scales) {
        let mut maxima = [0.0f32; 16];
        for x in x.as_chunks::<16>().0 {
            for (max, x) in maxima.iter_mut().zip(x) {
                *max = if x.abs() > *max { x.abs() } else { *max };
            }
        }
        let max = maxima.iter().copied().fold(0.0, f32::max);
        let factor = if max > 0.0 { 127.0 / max } else { 0.0 };
        // The smallest numbers have no reciprocal: they are nothing beside anything else.
        let factor = if factor.is_finite() { factor } else { 0.0 };
        *scale = max / 127.0;
        for (quant, x) in quants.iter_mut().zip(x) {
            *quant = (x * factor + ROUND).to_bits() as i32 - ROUND.to_bits() as i32;
        }
    }
    for (quad, q) in block.quads.iter_mut().zip(quants.as_chunks::<4>().0) {
        *quad = q[0] & 255 | (q[1] & 255) << 8 | (q[2] & 255) << 16 | q[3] << 24;
    }
    for (sum, quants) in block.sums16.iter_mut().zip(quants.as_chunks::<16>().0) {
        *sum = quants.iter().sum::<i32>() as i16;
    }
    for (sum, pair) in block.sums32.iter_mut().zip(block.sums16.as_chunks::<2>().0) {
        *sum = i32::from(pair[0]) + i32::from(pair[1]);
    }
    block.numbers32 = block.sums32.map(|sum| sum as f32);
    block.sum = 0.0;
    for (number, scale) in block.numbers32.iter().zip(block.scales) {
        block.sum += number * scale;
    }
}
