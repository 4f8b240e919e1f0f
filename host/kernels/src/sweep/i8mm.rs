//! The sweep with the matrix products of FEAT_I8MM: SMMLA adds the products of two rows of activations with
//! two rows of weights, eight inputs each, to four sums. A tile of eight rows times eight of weights keeps
//! sixteen registers of such sums. Numbers are rounded in the order of [`super::tile`].
#![expect(unsafe_code, reason = "intrinsics, and an instruction that has none yet")]

use std::arch::{aarch64::*, asm};

use super::tile::{rows_at, sums_of};
use crate::{
    activations::{Block, STEPS},
    blocking::{BLOCKS, DEPTH, ROWS},
    packed::Panel,
};

/// Rows of activations in a tile, and pairs of them.
const TILE: usize = 8;
const PAIRS: usize = TILE / 2;
/// Eights of a block's inputs.
const EIGHTS: usize = DEPTH / 8;
/// Bytes of eight inputs of a pair of rows.
const PAIR: usize = 16;
/// Pairs of weight rows that meet a tile at once, and how often that is.
const COLUMNS: usize = 4;
const GROUPS: usize = ROWS / 2 / COLUMNS;

/// A block's inputs, eight at a time, of pairs of rows.
type Paired<const N: usize> = [[[i8; PAIR]; N]; EIGHTS];
/// Numbers for two rows times two rows of weights, of a tile and one group of columns.
type Tile = [[float32x4_t; COLUMNS]; PAIRS];

/// As [`super::scalar::sweep`].
#[target_feature(enable = "neon,dotprod,i8mm")]
pub(crate) fn sweep(panel: &Panel, blocks: &[Block], stride: usize, out: &mut [[f32; ROWS]]) {
    let mut weights = [[[[0; PAIR]; ROWS / 2]; EIGHTS]; BLOCKS];
    for (weights, quants) in weights.iter_mut().zip(&panel.quants).take(panel.blocks) {
        pair_weights(quants, panel.wide, weights);
    }
    for (index, out) in out.chunks_mut(TILE).enumerate() {
        let blocks = &blocks[index * TILE * stride..];
        match (panel.scales, panel.has_minima) {
            (1, _) => tile::<1, true>(panel, &weights, blocks, stride, out),
            (4, true) => tile::<4, true>(panel, &weights, blocks, stride, out),
            (4, false) => tile::<4, false>(panel, &weights, blocks, stride, out),
            _ => tile::<8, false>(panel, &weights, blocks, stride, out),
        }
    }
}

/// Interleaves two quads to eight inputs of each pair of rows; `wide` weights become signed.
#[inline]
#[target_feature(enable = "neon")]
fn pair_weights(quants: &[[u8; 4 * ROWS]], wide: bool, out: &mut Paired<{ ROWS / 2 }>) {
    let sign = vdupq_n_u8(if wide { 0x80 } else { 0 });
    for (quads, out) in quants.as_chunks::<2>().0.iter().zip(out) {
        let [low, high] = [quads[0].as_chunks::<16>().0, quads[1].as_chunks::<16>().0];
        for ((low, high), out) in low.iter().zip(high).zip(out.as_chunks_mut::<2>().0) {
            // SAFETY: 16 bytes each.
            let (low, high) = unsafe { (vld1q_u8(low.as_ptr()), vld1q_u8(high.as_ptr())) };
            let low = vreinterpretq_s32_u8(veorq_u8(low, sign));
            let high = vreinterpretq_s32_u8(veorq_u8(high, sign));
            store(vreinterpretq_s8_s32(vzip1q_s32(low, high)), &mut out[0]);
            store(vreinterpretq_s8_s32(vzip2q_s32(low, high)), &mut out[1]);
        }
    }
}

/// The same of a tile's activations.
#[inline]
#[target_feature(enable = "neon")]
fn pair_rows(x: [&Block; TILE], out: &mut Paired<PAIRS>) {
    for (pair, x) in x.as_chunks::<2>().0.iter().enumerate() {
        let quads = x[0].quads.as_chunks::<4>().0.iter().zip(x[1].quads.as_chunks::<4>().0);
        for ((first, second), out) in quads.zip(out.as_chunks_mut::<2>().0) {
            // SAFETY: four numbers each.
            let (first, second) =
                unsafe { (vld1q_s32(first.as_ptr()), vld1q_s32(second.as_ptr())) };
            let (first, second) = (vreinterpretq_s64_s32(first), vreinterpretq_s64_s32(second));
            store(vreinterpretq_s8_s64(vzip1q_s64(first, second)), &mut out[0][pair]);
            store(vreinterpretq_s8_s64(vzip2q_s64(first, second)), &mut out[1][pair]);
        }
    }
}

/// A function of its own, so that `loops` finds it.
#[inline(never)]
#[target_feature(enable = "neon,dotprod,i8mm")]
fn tile<const SCALES: usize, const MINIMA: bool>(
    panel: &Panel,
    weights: &[Paired<{ ROWS / 2 }>; BLOCKS],
    blocks: &[Block],
    stride: usize,
    out: &mut [[f32; ROWS]],
) {
    let mut paired = [[[0; PAIR]; PAIRS]; EIGHTS];
    let lift = if panel.wide { 128 } else { 0 };
    let zero = if MINIMA { lift } else { lift - panel.zero };
    for (index, weights) in weights.iter().enumerate().take(panel.blocks) {
        let x = padded(blocks, stride, index, out.len());
        pair_rows(x, &mut paired);
        for group in 0..GROUPS {
            let mut total: Tile = [[vdupq_n_f32(0.0); COLUMNS]; PAIRS];
            for step in 0..STEPS {
                let parts = (SCALES / STEPS).max(1);
                for part in step * parts..(step + 1) * parts {
                    let eights = EIGHTS / (STEPS * parts);
                    let eights = part * eights..(part + 1) * eights;
                    let start = sums_of::<TILE, SCALES>(x, part).map(|sum| zero * sum);
                    let dots = dots(&paired[eights.clone()], &weights[eights], group, start);
                    if SCALES == 1 {
                        add_step(&mut total, dots, x, step);
                        continue;
                    }
                    let factors = pairs(&panel.factors[index][part], group);
                    let minima = pairs(&panel.minima[index][part], group);
                    add_scale::<MINIMA>(&mut total, dots, x, step, factors, minima);
                }
            }
            if SCALES == 1 {
                let factors = pairs(&panel.factors[index][0], group);
                total = at_whole(total, x, factors, pairs(&panel.minima[index][0], group));
            }
            add_to(&total, group, out);
        }
    }
}

/// Block `index` of each row of a tile; the first stands in for those that are not there.
#[inline(always)]
fn padded(blocks: &[Block], stride: usize, index: usize, rows: usize) -> [&Block; TILE] {
    let mut x = rows_at::<1>(blocks, stride, index).map(|x| [x; TILE])[0];
    for (row, x) in x.iter_mut().enumerate().take(rows) {
        *x = &blocks[row * stride + index];
    }
    x
}

/// Sums of products over some eights, which begin at `start` for each row.
#[inline]
#[target_feature(enable = "neon,i8mm")]
fn dots(
    x: &[[[i8; PAIR]; PAIRS]],
    weights: &[[[i8; PAIR]; ROWS / 2]],
    group: usize,
    start: [i32; TILE],
) -> [[int32x4_t; COLUMNS]; PAIRS] {
    let mut sums = [[vdupq_n_s32(0); COLUMNS]; PAIRS];
    for (sums, start) in sums.iter_mut().zip(start.as_chunks::<2>().0) {
        *sums = [vcombine_s32(vdup_n_s32(start[0]), vdup_n_s32(start[1])); COLUMNS];
    }
    for (x, weights) in x.iter().zip(weights) {
        let weights = weights.as_chunks::<COLUMNS>().0[group];
        let weights = [load(&weights[0]), load(&weights[1]), load(&weights[2]), load(&weights[3])];
        for (sums, x) in sums.iter_mut().zip(x) {
            let x = load(x);
            for (sum, weights) in sums.iter_mut().zip(weights) {
                // SAFETY: this function is compiled for the instruction.
                *sum = unsafe { smmla(*sum, x, weights) };
            }
        }
    }
    sums
}

/// Adds to four sums the products of two times eight signed bytes with two times eight.
///
/// # Safety
/// The machine has FEAT_I8MM.
#[inline(always)]
unsafe fn smmla(sums: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    let mut sums = sums;
    // SAFETY: the caller's promise; registers alone.
    unsafe {
        asm!(
            ".arch_extension i8mm",
            "smmla {sums:v}.4s, {a:v}.16b, {b:v}.16b",
            sums = inout(vreg) sums,
            a = in(vreg) a,
            b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}

/// Adds what the integers of one scale of step `step` are worth.
#[inline]
#[target_feature(enable = "neon")]
fn add_scale<const MINIMA: bool>(
    total: &mut Tile,
    dots: [[int32x4_t; COLUMNS]; PAIRS],
    x: [&Block; TILE],
    step: usize,
    factors: [float32x4_t; COLUMNS],
    minima: [float32x4_t; COLUMNS],
) {
    for pair in 0..PAIRS {
        let [first, second] = [x[2 * pair], x[2 * pair + 1]];
        let scale = two(first.scales[step], second.scales[step]);
        let worth = two(first.worths[step], second.worths[step]);
        for column in 0..COLUMNS {
            let total = &mut total[pair][column];
            let dots = vmulq_f32(vcvtq_f32_s32(dots[pair][column]), scale);
            *total = vfmaq_f32(*total, dots, factors[column]);
            if MINIMA {
                *total = vfmsq_f32(*total, worth, minima[column]);
            }
        }
    }
}

/// Adds the integers of a step that shares the factor of its block, by the scales of the rows.
#[inline]
#[target_feature(enable = "neon")]
fn add_step(total: &mut Tile, dots: [[int32x4_t; COLUMNS]; PAIRS], x: [&Block; TILE], step: usize) {
    for pair in 0..PAIRS {
        let scale = two(x[2 * pair].scales[step], x[2 * pair + 1].scales[step]);
        for column in 0..COLUMNS {
            let total = &mut total[pair][column];
            *total = vfmaq_f32(*total, vcvtq_f32_s32(dots[pair][column]), scale);
        }
    }
}

/// The worth of a block whose steps share a factor.
#[inline]
#[target_feature(enable = "neon")]
fn at_whole(
    mut whole: Tile,
    x: [&Block; TILE],
    factors: [float32x4_t; COLUMNS],
    minima: [float32x4_t; COLUMNS],
) -> Tile {
    for pair in 0..PAIRS {
        let worth = two(x[2 * pair].worth, x[2 * pair + 1].worth);
        for column in 0..COLUMNS {
            let whole = &mut whole[pair][column];
            *whole = vfmsq_f32(vmulq_f32(*whole, factors[column]), worth, minima[column]);
        }
    }
    whole
}

/// A number for each of two rows, twice.
#[inline]
#[target_feature(enable = "neon")]
fn two(first: f32, second: f32) -> float32x4_t {
    vcombine_f32(vdup_n_f32(first), vdup_n_f32(second))
}

/// The numbers of a group's pairs of weight rows, each pair twice.
#[inline]
#[target_feature(enable = "neon")]
fn pairs(numbers: &[f32; ROWS], group: usize) -> [float32x4_t; COLUMNS] {
    let mut out = [vdupq_n_f32(0.0); COLUMNS];
    let numbers = numbers.as_chunks::<2>().0.as_chunks::<COLUMNS>().0[group];
    for (out, numbers) in out.iter_mut().zip(&numbers) {
        // SAFETY: two numbers.
        let pair = unsafe { vld1_f32(numbers.as_ptr()) };
        *out = vcombine_f32(pair, pair);
    }
    out
}

/// Adds what a block gives to the rows that are there.
#[inline]
#[target_feature(enable = "neon")]
fn add_to(total: &Tile, group: usize, out: &mut [[f32; ROWS]]) {
    for (total, out) in total.iter().zip(out.chunks_mut(2)) {
        for (column, total) in total.iter().enumerate() {
            let halves = [vget_low_f32(*total), vget_high_f32(*total)];
            for (half, out) in halves.into_iter().zip(&mut *out) {
                let out = &mut out[2 * (group * COLUMNS + column)..][..2];
                // SAFETY: two numbers.
                unsafe { vst1_f32(out.as_mut_ptr(), vadd_f32(vld1_f32(out.as_ptr()), half)) };
            }
        }
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn load(bytes: &[i8; PAIR]) -> int8x16_t {
    // SAFETY: 16 bytes.
    unsafe { vld1q_s8(bytes.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn store(bytes: int8x16_t, out: &mut [i8; PAIR]) {
    // SAFETY: 16 bytes.
    unsafe { vst1q_s8(out.as_mut_ptr(), bytes) }
}
