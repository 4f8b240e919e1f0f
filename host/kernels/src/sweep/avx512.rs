//! The sweep with AVX-512 VNNI: a register of bytes is four inputs of 16 weight rows, VPDPBUSD adds their
//! products with four activations to 16 sums. A tile of up to six rows of activations times 32 of weights
//! keeps its sums in registers.
#![expect(unsafe_code, reason = "loads and stores of whole registers")]

mod head;
mod stream;

use std::arch::x86_64::*;

use crate::{
    activations::{Block, DEPTH},
    packed::{Panel, ROWS},
};
pub(crate) use stream::stream;

/// Rows of activations in a tile: with two registers of sums each, and as many of scaled ones, they
/// leave what the weights need of 32.
const TILE: usize = 6;
/// Independent sums that hide the latency of VPDPBUSD where a tile has few rows.
const CHAINS: usize = 4;
/// Weight rows of a register, and registers of a strip.
const LANES: usize = 16;
const PARTS: usize = ROWS / LANES;

/// As [`super::scalar::sweep`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(crate) fn sweep(panel: &Panel, blocks: &[Block], stride: usize, out: &mut [[f32; ROWS]]) {
    match (panel.scales, panel.has_minima) {
        (1, true) => tiles::<1, true>(panel, blocks, stride, out),
        (4, true) => tiles::<4, true>(panel, blocks, stride, out),
        (4, false) => tiles::<4, false>(panel, blocks, stride, out),
        (8, false) => tiles::<8, false>(panel, blocks, stride, out),
        _ => super::scalar::sweep(panel, blocks, stride, out),
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn tiles<const SCALES: usize, const MINIMA: bool>(
    panel: &Panel,
    blocks: &[Block],
    stride: usize,
    out: &mut [[f32; ROWS]],
) {
    for (index, out) in out.chunks_mut(TILE).enumerate() {
        let blocks = &blocks[index * TILE * stride..];
        match out.len() {
            6 => tile::<6, SCALES, MINIMA>(panel, blocks, stride, out),
            5 => tile::<5, SCALES, MINIMA>(panel, blocks, stride, out),
            4 => tile::<4, SCALES, MINIMA>(panel, blocks, stride, out),
            3 => tile::<3, SCALES, MINIMA>(panel, blocks, stride, out),
            2 => tile::<2, SCALES, MINIMA>(panel, blocks, stride, out),
            _ => tile::<1, SCALES, MINIMA>(panel, blocks, stride, out),
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn tile<const R: usize, const SCALES: usize, const MINIMA: bool>(
    panel: &Panel,
    blocks: &[Block],
    stride: usize,
    out: &mut [[f32; ROWS]],
) {
    let mut total = [[_mm512_setzero_ps(); PARTS]; R];
    let places = panel.quants.iter().zip(&panel.factors).zip(&panel.minima);
    for (index, ((quants, factors), minima)) in places.enumerate().take(panel.blocks) {
        let mut x = [&blocks[index]; R];
        for (row, x) in x.iter_mut().enumerate() {
            *x = &blocks[row * stride + index];
        }
        let mut scaled = [[_mm512_setzero_ps(); PARTS]; R];
        for scale in 0..SCALES {
            let quads = DEPTH / 4 / SCALES;
            let first = scale * quads;
            let sums = dots::<R, MINIMA>(&quants[first..first + quads], x, first, panel.zero);
            let factor = load_all(&factors[scale]);
            let minimum = load_all(&minima[scale]);
            for row in 0..R {
                let sum = _mm512_set1_ps(sum_of::<SCALES>(x[row], scale) as f32);
                for part in 0..PARTS {
                    let dot = _mm512_cvtepi32_ps(sums[row][part]);
                    let scaled = &mut scaled[row][part];
                    *scaled = _mm512_fmadd_ps(dot, factor[part], *scaled);
                    if MINIMA {
                        *scaled = _mm512_fnmadd_ps(sum, minimum[part], *scaled);
                    }
                }
            }
        }
        for row in 0..R {
            let scale = _mm512_set1_ps(x[row].scale);
            for part in 0..PARTS {
                total[row][part] = _mm512_fmadd_ps(scaled[row][part], scale, total[row][part]);
            }
        }
    }
    for (total, out) in total.iter().zip(out) {
        add_all(total, out);
    }
}

/// The sum of the activations that share scale `scale` of `SCALES`.
#[inline]
#[target_feature(enable = "avx512f")]
fn sum_of<const SCALES: usize>(block: &Block, scale: usize) -> i32 {
    match SCALES {
        1 => block.sum,
        4 => block.sums32[scale],
        _ => block.sums16[scale],
    }
}

/// Sums of products over the inputs from quad `first` that `quants` hold; without minima, less what the zero
/// of the weights adds to them.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn dots<const R: usize, const MINIMA: bool>(
    quants: &[[u8; 4 * ROWS]],
    x: [&Block; R],
    first: usize,
    zero: i32,
) -> [[__m512i; PARTS]; R] {
    let mut sums = [[[_mm512_setzero_si512(); PARTS]; R]; CHAINS];
    if !MINIMA {
        for row in 0..R {
            let sum = match quants.len() {
                4 => x[row].sums16[first / 4],
                8 => x[row].sums32[first / 8],
                _ => x[row].sum,
            };
            sums[0][row] = [_mm512_set1_epi32(-zero * sum); PARTS];
        }
    }
    for (group, quants) in quants.as_chunks::<CHAINS>().0.iter().enumerate() {
        for (link, quants) in quants.iter().enumerate() {
            let chain = if R <= 2 { link } else { 0 };
            let weights = load_bytes(quants);
            for row in 0..R {
                let four = _mm512_set1_epi32(x[row].quads[first + group * CHAINS + link]);
                for part in 0..PARTS {
                    let sum = &mut sums[chain][row][part];
                    *sum = _mm512_dpbusd_epi32(*sum, weights[part], four);
                }
            }
        }
    }
    let mut result = sums[0];
    if R <= 2 {
        for row in 0..R {
            for part in 0..PARTS {
                let pairs = [
                    _mm512_add_epi32(sums[0][row][part], sums[1][row][part]),
                    _mm512_add_epi32(sums[2][row][part], sums[3][row][part]),
                ];
                result[row][part] = _mm512_add_epi32(pairs[0], pairs[1]);
            }
        }
    }
    result
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_bytes(bytes: &[u8; 4 * ROWS]) -> [__m512i; PARTS] {
    let (first, second) = (&bytes[..4 * LANES], &bytes[4 * LANES..]);
    // SAFETY: either half is the 64 bytes of a register.
    unsafe {
        [_mm512_loadu_si512(first.as_ptr().cast()), _mm512_loadu_si512(second.as_ptr().cast())]
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_all(numbers: &[f32; ROWS]) -> [__m512; PARTS] {
    let (first, second) = (&numbers[..LANES], &numbers[LANES..]);
    // SAFETY: either half is the 16 numbers of a register.
    unsafe { [_mm512_loadu_ps(first.as_ptr()), _mm512_loadu_ps(second.as_ptr())] }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn add_all(sums: &[__m512; PARTS], out: &mut [f32; ROWS]) {
    let before = load_all(out);
    let (first, second) = out.split_at_mut(LANES);
    // SAFETY: either half is the 16 numbers of a register.
    unsafe {
        _mm512_storeu_ps(first.as_mut_ptr(), _mm512_add_ps(before[0], sums[0]));
        _mm512_storeu_ps(second.as_mut_ptr(), _mm512_add_ps(before[1], sums[1]));
    }
}
