//! The sweep with the matrix products of FEAT_I8MM: SMMLA adds the products of two rows of activations with
//! two rows of weights, eight inputs each, to four sums. A tile of six rows times eight of weights keeps
//! twelve registers of such sums and twelve of what they are worth so far; what else a turn needs fits the
//! other eight. Numbers are rounded in the order of [`super::tile`].
//!
//! Sums of integers begin at [`MAGIC`] and are never converted.
#![expect(unsafe_code, reason = "intrinsics, and instructions that have none yet")]

use std::arch::{aarch64::*, asm};

use super::{
    pairs::{PAIRS, Sums, TILE, gather, scatter},
    tile::{rows_at, sums_of},
};
use crate::{
    activations::{Block, STEPS},
    blocking::{BLOCKS, DEPTH, ROWS},
    packed::Panel,
    simd::neon::{MAGIC, number},
};

/// Eights of a block's inputs.
const EIGHTS: usize = DEPTH / 8;
/// Bytes of eight inputs of a pair of rows.
const PAIR: usize = 16;
/// Pairs of weight rows that meet a tile at once, and how often that is.
const COLUMNS: usize = 4;
const GROUPS: usize = ROWS / 2 / COLUMNS;
/// Scales of a block at most.
const SCALES_MAX: usize = DEPTH / 16;

/// A block's inputs, eight at a time, of pairs of rows.
type Paired<const N: usize> = [[[i8; PAIR]; N]; EIGHTS];
/// A number for each of two rows of activations, or of weights, as the sums of their pairs need it.
type Four = [u64; 2];
/// Numbers for two rows times two rows of weights, of a tile and one group of columns.
type Tile = [[float32x4_t; COLUMNS]; PAIRS];

/// A panel as tiles want it.
struct Weights {
    quants: [Paired<{ ROWS / 2 }>; BLOCKS],
    factors: [[[Four; ROWS / 2]; SCALES_MAX]; BLOCKS],
    minima: [[[Four; ROWS / 2]; SCALES_MAX]; BLOCKS],
}

/// One block of a tile's rows.
struct Inputs {
    quants: Paired<PAIRS>,
    /// Where sums under each scale begin.
    starts: [[Four; PAIRS]; SCALES_MAX],
    scales: [[Four; PAIRS]; STEPS],
    worths: [[Four; PAIRS]; STEPS],
    worth: [Four; PAIRS],
}

/// As [`super::scalar::sweep`].
#[target_feature(enable = "neon,dotprod,i8mm")]
pub(crate) fn sweep(panel: &Panel, blocks: &[Block], stride: usize, out: &mut [[f32; ROWS]]) {
    let weights = arrange(panel);
    for (index, out) in out.chunks_mut(TILE).enumerate() {
        let rows = Rows { blocks: &blocks[index * TILE * stride..], stride, count: out.len() };
        let mut sums = gather(out);
        match (panel.scales, panel.has_minima, panel.is_wide()) {
            (1, _, false) => tile::<1, true, false>(&weights, panel.blocks, rows, &mut sums),
            (1, _, true) => tile::<1, true, true>(&weights, panel.blocks, rows, &mut sums),
            (4, true, false) => tile::<4, true, false>(&weights, panel.blocks, rows, &mut sums),
            (4, true, true) => tile::<4, true, true>(&weights, panel.blocks, rows, &mut sums),
            (4, false, _) => tile::<4, false, false>(&weights, panel.blocks, rows, &mut sums),
            _ => tile::<8, false, false>(&weights, panel.blocks, rows, &mut sums),
        }
        scatter(&sums, out);
    }
}

/// Interleaves a panel. Weights become signed, less the zero that they share; those that have minima stay as
/// they are, or become 128 less where they are bytes.
#[target_feature(enable = "neon")]
fn arrange(panel: &Panel) -> Weights {
    let mut weights = Weights {
        quants: [[[[0; PAIR]; ROWS / 2]; EIGHTS]; BLOCKS],
        factors: [[[[0; 2]; ROWS / 2]; SCALES_MAX]; BLOCKS],
        minima: [[[[0; 2]; ROWS / 2]; SCALES_MAX]; BLOCKS],
    };
    let zero = match (panel.has_minima, panel.is_wide()) {
        (true, wide) => u8::from(wide) << 7,
        (false, _) => panel.zero as u8,
    };
    for block in 0..panel.blocks {
        pair_weights(&panel.quants[block], zero, &mut weights.quants[block]);
        for scale in 0..panel.scales {
            pair_columns(&panel.factors[block][scale], &mut weights.factors[block][scale]);
            pair_columns(&panel.minima[block][scale], &mut weights.minima[block][scale]);
        }
    }
    weights
}

/// Interleaves two quads to eight inputs of each pair of rows.
#[inline]
#[target_feature(enable = "neon")]
fn pair_weights(quants: &[[u8; 4 * ROWS]], zero: u8, out: &mut Paired<{ ROWS / 2 }>) {
    let zero = vdupq_n_u8(zero);
    for (quads, out) in quants.as_chunks::<2>().0.iter().zip(out) {
        let [low, high] = [quads[0].as_chunks::<16>().0, quads[1].as_chunks::<16>().0];
        for ((low, high), out) in low.iter().zip(high).zip(out.as_chunks_mut::<2>().0) {
            // SAFETY: 16 bytes each.
            let (low, high) = unsafe { (vld1q_u8(low.as_ptr()), vld1q_u8(high.as_ptr())) };
            let low = vreinterpretq_s32_u8(vsubq_u8(low, zero));
            let high = vreinterpretq_s32_u8(vsubq_u8(high, zero));
            store(vreinterpretq_s8_s32(vzip1q_s32(low, high)), &mut out[0]);
            store(vreinterpretq_s8_s32(vzip2q_s32(low, high)), &mut out[1]);
        }
    }
}

/// The numbers of pairs of weight rows, each pair twice.
#[inline(always)]
fn pair_columns(numbers: &[f32; ROWS], out: &mut [Four; ROWS / 2]) {
    for (numbers, out) in numbers.as_chunks::<2>().0.iter().zip(out) {
        *out = [u64::from(numbers[0].to_bits()) | u64::from(numbers[1].to_bits()) << 32; 2];
    }
}

/// A number for each of two rows of activations, twice. No business of vectors, whose pipes are busy.
#[inline(always)]
fn two(first: u32, second: u32) -> Four {
    [u64::from(first), u64::from(second)].map(|bits| bits | bits << 32)
}

#[inline(always)]
fn two_of(first: f32, second: f32) -> Four {
    two(first.to_bits(), second.to_bits())
}

/// Some rows of activations, no more than a tile's.
#[derive(Clone, Copy)]
struct Rows<'a> {
    blocks: &'a [Block],
    stride: usize,
    count: usize,
}

impl Rows<'_> {
    /// Interleaves block `index` of each row; the first row stands in for those that are not there.
    #[inline]
    #[target_feature(enable = "neon")]
    fn interleave<const SCALES: usize, const MINIMA: bool, const LIFTED: bool>(
        self,
        index: usize,
        out: &mut Inputs,
    ) {
        let mut x = [rows_at::<1>(self.blocks, self.stride, index)[0]; TILE];
        for (row, x) in x.iter_mut().enumerate().take(self.count) {
            *x = &self.blocks[row * self.stride + index];
        }
        for (pair, [first, second]) in x.as_chunks::<2>().0.iter().enumerate() {
            pair_rows(first, second, pair, &mut out.quants);
            for step in 0..STEPS {
                out.scales[step][pair] = two_of(first.scales[step], second.scales[step]);
                if MINIMA && SCALES > 1 {
                    out.worths[step][pair] = two_of(first.worths[step], second.worths[step]);
                }
            }
            if SCALES == 1 {
                out.worth[pair] = two_of(first.worth, second.worth);
            }
        }
        if LIFTED {
            for (scale, starts) in out.starts.iter_mut().enumerate().take(SCALES.max(STEPS)) {
                let sums = sums_of::<TILE, SCALES>(x, scale);
                for (start, sums) in starts.iter_mut().zip(sums.as_chunks::<2>().0) {
                    *start = two((MAGIC + 128 * sums[0]) as u32, (MAGIC + 128 * sums[1]) as u32);
                }
            }
        }
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn pair_rows(first: &Block, second: &Block, pair: usize, out: &mut Paired<PAIRS>) {
    let quads = first.quads.as_chunks::<4>().0.iter().zip(second.quads.as_chunks::<4>().0);
    for ((first, second), out) in quads.zip(out.as_chunks_mut::<2>().0) {
        // SAFETY: four numbers each.
        let (first, second) = unsafe { (vld1q_s32(first.as_ptr()), vld1q_s32(second.as_ptr())) };
        let (first, second) = (vreinterpretq_s64_s32(first), vreinterpretq_s64_s32(second));
        store(vreinterpretq_s8_s64(vzip1q_s64(first, second)), &mut out[0][pair]);
        store(vreinterpretq_s8_s64(vzip2q_s64(first, second)), &mut out[1][pair]);
    }
}

/// Not inlined, so that its registers are its own.
#[inline(never)]
#[target_feature(enable = "neon,dotprod,i8mm")]
fn tile<const SCALES: usize, const MINIMA: bool, const LIFTED: bool>(
    weights: &Weights,
    blocks: usize,
    rows: Rows<'_>,
    sums: &mut Sums,
) {
    let mut x = Inputs {
        quants: [[[0; PAIR]; PAIRS]; EIGHTS],
        starts: [[two(MAGIC as u32, MAGIC as u32); PAIRS]; SCALES_MAX],
        scales: [[[0; 2]; PAIRS]; STEPS],
        worths: [[[0; 2]; PAIRS]; STEPS],
        worth: [[0; 2]; PAIRS],
    };
    for index in 0..blocks {
        rows.interleave::<SCALES, MINIMA, LIFTED>(index, &mut x);
        for group in 0..GROUPS {
            let columns = |numbers: &[Four; ROWS / 2]| {
                let numbers = &numbers.as_chunks::<COLUMNS>().0[group];
                [load(&numbers[0]), load(&numbers[1]), load(&numbers[2]), load(&numbers[3])]
            };
            let (factors, minima) = (&weights.factors[index], &weights.minima[index]);
            let mut total: Tile = [[vdupq_n_f32(0.0); COLUMNS]; PAIRS];
            for part in 0..SCALES.max(STEPS) {
                let parts = (SCALES / STEPS).max(1);
                let eights = EIGHTS / (STEPS * parts);
                let eights = part * eights..(part + 1) * eights;
                let quants = &weights.quants[index][eights.clone()];
                let dots = dots(&x.quants[eights], quants, group, &x.starts[part]);
                let step = part / parts;
                if SCALES == 1 {
                    add_step(&mut total, dots, &x.scales[step]);
                } else {
                    let scales = (&x.scales[step], &x.worths[step]);
                    let minima = columns(&minima[part]);
                    add_scale::<MINIMA>(&mut total, dots, scales, columns(&factors[part]), minima);
                }
            }
            if SCALES == 1 {
                total = at_whole(total, &x.worth, columns(&factors[0]), columns(&minima[0]));
            }
            for (sums, total) in sums.iter_mut().zip(total) {
                for (sum, total) in sums.as_chunks_mut::<COLUMNS>().0[group].iter_mut().zip(total) {
                    *sum = vaddq_f32(*sum, total);
                }
            }
        }
    }
}

/// Sums of products over some eights.
#[inline(always)]
fn dots(
    x: &[[[i8; PAIR]; PAIRS]],
    weights: &[[[i8; PAIR]; ROWS / 2]],
    group: usize,
    starts: &[Four; PAIRS],
) -> Tile {
    // SAFETY: this is inlined into functions compiled for the instructions.
    unsafe {
        let mut sums = [[vdupq_n_s32(0); COLUMNS]; PAIRS];
        for (sums, start) in sums.iter_mut().zip(starts) {
            *sums = [begin(start), begin(start), begin(start), begin(start)];
        }
        for (x, weights) in x.iter().zip(weights) {
            let weights = weights.as_chunks::<COLUMNS>().0[group];
            let load = |pair: &[i8; PAIR]| vld1q_s8(pair.as_ptr());
            let weights =
                [load(&weights[0]), load(&weights[1]), load(&weights[2]), load(&weights[3])];
            for (sums, x) in sums.iter_mut().zip(x) {
                let x = vld1q_s8(x.as_ptr());
                for (sum, weights) in sums.iter_mut().zip(weights) {
                    *sum = smmla(*sum, x, weights);
                }
            }
        }
        let mut dots = [[vdupq_n_f32(0.0); COLUMNS]; PAIRS];
        for (dots, sums) in dots.iter_mut().zip(sums) {
            *dots = [number(sums[0]), number(sums[1]), number(sums[2]), number(sums[3])];
        }
        dots
    }
}

/// Four numbers by a load of their own: a copy of a register would take a turn of the pipes that multiply.
#[inline(always)]
unsafe fn begin(start: &Four) -> int32x4_t {
    let sums;
    // SAFETY: 16 bytes.
    unsafe {
        asm!(
            "ldr {sums:q}, [{start}]",
            sums = out(vreg) sums,
            start = in(reg) start,
            options(nostack, preserves_flags, readonly),
        );
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

/// Adds what the integers of one scale are worth, by the scales and worths of the rows.
#[inline]
#[target_feature(enable = "neon")]
fn add_scale<const MINIMA: bool>(
    total: &mut Tile,
    dots: Tile,
    (scales, worths): (&[Four; PAIRS], &[Four; PAIRS]),
    factors: [float32x4_t; COLUMNS],
    minima: [float32x4_t; COLUMNS],
) {
    for pair in 0..PAIRS {
        let (scale, worth) = (load(&scales[pair]), load(&worths[pair]));
        for column in 0..COLUMNS {
            let total = &mut total[pair][column];
            *total = vfmaq_f32(*total, vmulq_f32(dots[pair][column], scale), factors[column]);
            if MINIMA {
                *total = vfmsq_f32(*total, worth, minima[column]);
            }
        }
    }
}

/// Adds the integers of a step that shares the factor of its block, by the scales of the rows.
#[inline]
#[target_feature(enable = "neon")]
fn add_step(total: &mut Tile, dots: Tile, scales: &[Four; PAIRS]) {
    for ((total, dots), scale) in total.iter_mut().zip(dots).zip(scales) {
        let scale = load(scale);
        for (total, dots) in total.iter_mut().zip(dots) {
            *total = vfmaq_f32(*total, dots, scale);
        }
    }
}

/// The worth of a block whose steps share a factor.
#[inline]
#[target_feature(enable = "neon")]
fn at_whole(
    mut whole: Tile,
    worth: &[Four; PAIRS],
    factors: [float32x4_t; COLUMNS],
    minima: [float32x4_t; COLUMNS],
) -> Tile {
    for (whole, worth) in whole.iter_mut().zip(worth) {
        let worth = load(worth);
        for ((whole, factor), minimum) in whole.iter_mut().zip(factors).zip(minima) {
            *whole = vfmsq_f32(vmulq_f32(*whole, factor), worth, minimum);
        }
    }
    whole
}

#[inline]
#[target_feature(enable = "neon")]
fn load(numbers: &Four) -> float32x4_t {
    // SAFETY: 16 bytes.
    unsafe { vreinterpretq_f32_u64(vld1q_u64(numbers.as_ptr())) }
}

#[inline]
#[target_feature(enable = "neon")]
fn store(bytes: int8x16_t, out: &mut [i8; PAIR]) {
    // SAFETY: 16 bytes.
    unsafe { vst1q_s8(out.as_mut_ptr(), bytes) }
}
