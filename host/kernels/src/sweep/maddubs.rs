//! Sweep of AVX2, which multiplies bytes into sums of 16 bits: VPMADDUBSW adds up two products, and as many of
//! these are summed up in 16 bits as fit there, before they become 32. Eight weight rows times a step lie in
//! registers and meet every row of a tile.
#![expect(unsafe_code, reason = "intrinsics")]

use std::arch::x86_64::*;

use super::tile::{rows_at, sums_of};
use crate::{
    activations::{Block, STEPS},
    blocking::{DEPTH, ROWS},
    packed::Panel,
};

/// Rows of activations that meet weights in registers.
const TILE: usize = 8;
/// Numbers of a register, and registers that a strip has.
const WIDTH: usize = 8;
const COLUMNS: usize = ROWS / WIDTH;
/// Quads of a step.
const QUADS: usize = DEPTH / STEPS / 4;
/// Most scales of a block.
const SCALES_MAX: usize = 8;

/// As [`super::scalar::sweep`].
#[target_feature(enable = "avx2,fma")]
pub(crate) fn sweep(panel: &Panel, blocks: &[Block], stride: usize, out: &mut [[f32; ROWS]]) {
    for (index, out) in out.chunks_mut(TILE).enumerate() {
        let rows = Rows { blocks: &blocks[index * TILE * stride..], stride };
        match (panel.scales, panel.has_minima, panel.bits) {
            (1, _, 8) => tile::<1, true, 8, 4>(panel, rows, out),
            (1, ..) => tile::<1, true, 4, 8>(panel, rows, out),
            (4, true, 8) => tile::<4, true, 8, 4>(panel, rows, out),
            (4, true, 5) => tile::<4, true, 5, 8>(panel, rows, out),
            (4, true, _) => tile::<4, true, 4, 8>(panel, rows, out),
            (4, false, 8) => tile::<4, false, 8, 4>(panel, rows, out),
            (4, false, 5) => tile::<4, false, 5, 8>(panel, rows, out),
            (4, false, _) => tile::<4, false, 4, 8>(panel, rows, out),
            _ => tile::<8, false, 6, 4>(panel, rows, out),
        }
    }
}

/// Rows of activations, as many as there are outputs for.
#[derive(Clone, Copy)]
struct Rows<'a> {
    blocks: &'a [Block],
    stride: usize,
}

impl<'a> Rows<'a> {
    fn block(self, row: usize, index: usize) -> &'a Block {
        rows_at::<1>(self.blocks, self.stride, row * self.stride + index)[0]
    }
}

/// A tile times a strip, of which a block has `SCALES` scales, `GROUP` quads of weights at a time. Not inlined,
/// so that its registers are its own.
#[inline(never)]
#[target_feature(enable = "avx2,fma")]
fn tile<const SCALES: usize, const MINIMA: bool, const BITS: usize, const GROUP: usize>(
    panel: &Panel,
    rows: Rows<'_>,
    out: &mut [[f32; ROWS]],
) {
    // Less what the zero of the weights adds to the sums of integers.
    let mut starts = [[0; TILE]; SCALES_MAX];
    for index in 0..panel.blocks {
        if !MINIMA {
            for (row, _) in out.iter().enumerate() {
                for (scale, starts) in starts.iter_mut().enumerate().take(SCALES) {
                    let [sum] = sums_of::<1, SCALES>([rows.block(row, index)], scale);
                    starts[row] = -panel.zero * sum;
                }
            }
        }
        for column in 0..COLUMNS {
            block::<SCALES, MINIMA, BITS, GROUP>(panel, rows, (index, column), &starts, out);
        }
    }
}

/// Block `index` of each row times a column: eight weight rows.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn block<const SCALES: usize, const MINIMA: bool, const BITS: usize, const GROUP: usize>(
    panel: &Panel,
    rows: Rows<'_>,
    (index, column): (usize, usize),
    starts: &[[i32; TILE]; SCALES_MAX],
    out: &mut [[f32; ROWS]],
) {
    let groups = QUADS / GROUP;
    let (factors, minima) = (&panel.factors[index], &panel.minima[index]);
    let mut sums = [_mm256_setzero_si256(); TILE];
    let mut total = [_mm256_setzero_ps(); TILE];
    for group in 0..STEPS * groups {
        let step = group / groups;
        let scale = if SCALES == 8 { group } else { step };
        let (begins, ends) = if SCALES == 8 {
            (true, true)
        } else {
            (group % groups == 0, (group + 1) % groups == 0)
        };
        let weights =
            Weights::<GROUP, BITS>::load(&panel.quants[index].as_chunks().0[group], column);
        let (factor, minimum) = (load(&factors[scale], column), load(&minima[scale], column));
        for row in 0..out.len().min(TILE) {
            let x = rows.block(row, index);
            let mut dots = weights.dots(&x.quads.as_chunks().0[group]);
            if !begins {
                dots = _mm256_add_epi32(dots, sums[row]);
            } else if !MINIMA {
                dots = _mm256_add_epi32(dots, _mm256_set1_epi32(starts[scale][row]));
            }
            if !ends {
                sums[row] = dots;
                continue;
            }
            let by = (x.scales[step], x.worths[step]);
            total[row] = add_worth::<SCALES, MINIMA>(total[row], dots, by, (factor, minimum));
        }
    }
    for (row, (out, total)) in out.iter_mut().zip(total).enumerate() {
        let whole = if SCALES == 1 {
            let product = _mm256_mul_ps(total, load(&factors[0], column));
            let worth = _mm256_set1_ps(rows.block(row, index).worth);
            _mm256_fnmadd_ps(worth, load(&minima[0], column), product)
        } else {
            total
        };
        store(_mm256_add_ps(load(out, column), whole), column, out);
    }
}

/// `total`, and what the integers of one scale are worth by the scale and the worth of a row; or of a step that
/// shares the factor of its block.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn add_worth<const SCALES: usize, const MINIMA: bool>(
    total: __m256,
    dots: __m256i,
    (scale, worth): (f32, f32),
    (factor, minimum): (__m256, __m256),
) -> __m256 {
    let (dots, scale) = (_mm256_cvtepi32_ps(dots), _mm256_set1_ps(scale));
    if SCALES == 1 {
        return _mm256_fmadd_ps(dots, scale, total);
    }
    let total = _mm256_fmadd_ps(_mm256_mul_ps(dots, scale), factor, total);
    if MINIMA { _mm256_fnmadd_ps(_mm256_set1_ps(worth), minimum, total) } else { total }
}

/// `N` quads of eight weight rows, a byte each. Those of eight bits are two of four.
struct Weights<const N: usize, const BITS: usize> {
    low: [__m256i; N],
    high: [__m256i; N],
}

impl<const N: usize, const BITS: usize> Weights<N, BITS> {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(quants: &[[u8; 4 * ROWS]; N], column: usize) -> Self {
        let nothing = [_mm256_setzero_si256(); N];
        let mut weights = Self { low: nothing, high: nothing };
        let planes = weights.low.iter_mut().zip(&mut weights.high);
        for ((low, high), quants) in planes.zip(quants) {
            let bytes = &quants.as_chunks::<{ 4 * WIDTH }>().0[column];
            // SAFETY: 32 bytes.
            *low = unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) };
            if BITS == 8 {
                let mask = _mm256_set1_epi8(15);
                *high = _mm256_and_si256(_mm256_srli_epi16::<4>(*low), mask);
                *low = _mm256_and_si256(*low, mask);
            }
        }
        weights
    }

    /// The sums of the products with `x`.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn dots(&self, x: &[i32; N]) -> __m256i {
        if BITS == 8 {
            let high = _mm256_slli_epi32::<4>(sum::<N, 4>(&self.high, x));
            _mm256_add_epi32(sum::<N, 4>(&self.low, x), high)
        } else {
            sum::<N, BITS>(&self.low, x)
        }
    }
}

/// How many quads of weights of so many bits have sums that fit 16 bits: a sum is of two products for each, and
/// these are at most 128 times the largest weight.
const fn quads_of_16_bits(bits: usize) -> usize {
    [8, 4, 2][bits - 4]
}

/// The sums of products of weights of so many bits.
#[inline]
#[target_feature(enable = "avx2")]
fn sum<const N: usize, const BITS: usize>(weights: &[__m256i; N], x: &[i32; N]) -> __m256i {
    let mut sums = _mm256_setzero_si256();
    let mut shorts = _mm256_setzero_si256();
    for (index, (weights, x)) in weights.iter().zip(x).enumerate() {
        let products = _mm256_maddubs_epi16(*weights, _mm256_set1_epi32(*x));
        shorts = _mm256_add_epi16(shorts, products);
        if (index + 1) % quads_of_16_bits(BITS) == 0 || index + 1 == N {
            sums = _mm256_add_epi32(sums, _mm256_madd_epi16(shorts, _mm256_set1_epi16(1)));
            shorts = _mm256_setzero_si256();
        }
    }
    sums
}

/// Eight numbers of a strip.
#[inline]
#[target_feature(enable = "avx2")]
fn load(numbers: &[f32; ROWS], column: usize) -> __m256 {
    // SAFETY: eight numbers.
    unsafe { _mm256_loadu_ps(numbers.as_chunks::<WIDTH>().0[column].as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(numbers: __m256, column: usize, out: &mut [f32; ROWS]) {
    // SAFETY: as above.
    unsafe { _mm256_storeu_ps(out.as_chunks_mut::<WIDTH>().0[column].as_mut_ptr(), numbers) }
}
