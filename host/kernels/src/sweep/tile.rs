//! The sweep, generic in the registers: a tile of some rows of activations times a strip of weights keeps its
//! sums in them.

use std::ops::Range;

use crate::{
    activations::Block,
    blocking::{DEPTH, PARTS, ROWS, STEP},
    packed::Panel,
    simd::{LANES, Simd},
};

/// Independent sums that hide the latency of a product where a tile has few rows.
const CHAINS: usize = 4;
/// Quads of a step.
const QUADS: usize = STEP / 4;
/// Most rows of a tile.
const ROWS_MAX: usize = 6;

/// As [`super::scalar::sweep`].
#[inline(always)]
pub(crate) fn sweep<S: Simd>(
    simd: S,
    panel: &Panel,
    blocks: &[Block],
    stride: usize,
    out: &mut [[f32; ROWS]],
) {
    match (panel.scales, panel.has_minima, panel.wide) {
        (1, _, false) => tiles::<S, 1, true, false>(simd, panel, blocks, stride, out),
        (1, _, true) => tiles::<S, 1, true, true>(simd, panel, blocks, stride, out),
        (4, true, false) => tiles::<S, 4, true, false>(simd, panel, blocks, stride, out),
        (4, true, true) => tiles::<S, 4, true, true>(simd, panel, blocks, stride, out),
        (4, false, false) => tiles::<S, 4, false, false>(simd, panel, blocks, stride, out),
        (4, false, true) => tiles::<S, 4, false, true>(simd, panel, blocks, stride, out),
        _ => tiles::<S, 8, false, false>(simd, panel, blocks, stride, out),
    }
}

#[inline(always)]
fn tiles<S: Simd, const SCALES: usize, const MINIMA: bool, const WIDE: bool>(
    simd: S,
    panel: &Panel,
    blocks: &[Block],
    stride: usize,
    out: &mut [[f32; ROWS]],
) {
    const { assert!(S::TILE <= ROWS_MAX) }
    for (index, out) in out.chunks_mut(S::TILE).enumerate() {
        let blocks = &blocks[index * S::TILE * stride..];
        let rows = out.len();
        match rows {
            6 if S::TILE >= 6 => {
                tile::<S, 6, SCALES, MINIMA, WIDE>(simd, panel, blocks, stride, out);
            }
            5 if S::TILE >= 5 => {
                tile::<S, 5, SCALES, MINIMA, WIDE>(simd, panel, blocks, stride, out);
            }
            4 if S::TILE >= 4 => {
                tile::<S, 4, SCALES, MINIMA, WIDE>(simd, panel, blocks, stride, out);
            }
            3 if S::TILE >= 3 => {
                tile::<S, 3, SCALES, MINIMA, WIDE>(simd, panel, blocks, stride, out);
            }
            2 => tile::<S, 2, SCALES, MINIMA, WIDE>(simd, panel, blocks, stride, out),
            _ => tile::<S, 1, SCALES, MINIMA, WIDE>(simd, panel, blocks, stride, out),
        }
    }
}

#[inline(always)]
fn tile<S: Simd, const R: usize, const SCALES: usize, const MINIMA: bool, const WIDE: bool>(
    simd: S,
    panel: &Panel,
    blocks: &[Block],
    stride: usize,
    out: &mut [[f32; ROWS]],
) {
    let mut total = [[simd.splat(0.0); PARTS]; R];
    let places = panel.quants.iter().zip(&panel.factors).zip(&panel.minima);
    for (index, ((quants, factors), minima)) in places.enumerate().take(panel.blocks) {
        let x = rows_at(blocks, stride, index);
        let mut whole = [[simd.splat(0.0); PARTS]; R];
        for step in 0..DEPTH / STEP {
            if SCALES == 1 {
                let start = start::<S, R, true, WIDE>(simd, sums_of::<R, 4>(x, step), 0);
                let dots =
                    dots::<S, R, WIDE>(simd, quants, x, step * QUADS..(step + 1) * QUADS, start);
                add_step(simd, &mut whole, floats(simd, dots), x, step);
                continue;
            }
            let mut scaled = [[simd.splat(0.0); PARTS]; R];
            let parts = SCALES * STEP / DEPTH;
            for scale in step * parts..(step + 1) * parts {
                let sums = sums_of::<R, SCALES>(x, scale);
                let numbers = numbers_of::<R, SCALES>(x, scale);
                let start = start::<S, R, MINIMA, WIDE>(simd, sums, panel.zero);
                let from = scale * QUADS / parts;
                let dots = dots::<S, R, WIDE>(simd, quants, x, from..from + QUADS / parts, start);
                let (factors, minima) = (&factors[scale], &minima[scale]);
                add_scale::<S, R, MINIMA>(simd, &mut scaled, dots, numbers, factors, minima);
            }
            add_step(simd, &mut total, scaled, x, step);
        }
        if SCALES == 1 {
            add_whole(simd, &mut total, whole, x, &factors[0], &minima[0]);
        }
    }
    for (total, out) in total.iter().zip(out) {
        add_to(simd, *total, out);
    }
}

/// Block `index` of each row.
#[inline(always)]
pub(super) fn rows_at<const R: usize>(
    blocks: &[Block],
    stride: usize,
    index: usize,
) -> [&Block; R] {
    let mut x = [&blocks[index]; R];
    for (row, x) in x.iter_mut().enumerate() {
        *x = &blocks[row * stride + index];
    }
    x
}

/// The sums of the activations that share scale `scale` of `SCALES`, 4 or 8, of a block.
#[inline(always)]
pub(super) fn sums_of<const R: usize, const SCALES: usize>(
    x: [&Block; R],
    scale: usize,
) -> [i32; R] {
    let mut sums = [0; R];
    for (sum, x) in sums.iter_mut().zip(x) {
        *sum = if SCALES == 4 { x.sums32[scale] } else { i32::from(x.sums16[scale]) };
    }
    sums
}

/// The same as numbers, where there are up to four scales.
#[inline(always)]
pub(super) fn numbers_of<const R: usize, const SCALES: usize>(
    x: [&Block; R],
    scale: usize,
) -> [f32; R] {
    let mut numbers = [0.0; R];
    for (number, x) in numbers.iter_mut().zip(x) {
        *number = if SCALES == 4 { x.numbers32[scale] } else { f32::from(x.sums16[scale]) };
    }
    numbers
}

/// Where the sums of integers begin: less what the zero of the weights adds to them, and more what
/// weights lack that are taken as signed.
#[inline(always)]
pub(super) fn start<S: Simd, const R: usize, const MINIMA: bool, const WIDE: bool>(
    simd: S,
    sums: [i32; R],
    zero: i32,
) -> [[S::Ints; PARTS]; R] {
    let mut start = [[simd.splat_int(0); PARTS]; R];
    let lift = if S::SIGNED && WIDE { 128 } else { 0 };
    let zero = if MINIMA { 0 } else { zero };
    if !MINIMA || lift != 0 {
        for (start, sum) in start.iter_mut().zip(sums) {
            *start = [simd.splat_int((lift - zero) * sum); PARTS];
        }
    }
    start
}

/// Adds the products over the inputs of some quads of a block.
#[inline(always)]
fn dots<S: Simd, const R: usize, const WIDE: bool>(
    simd: S,
    quants: &[[u8; 4 * ROWS]; DEPTH / 4],
    x: [&Block; R],
    quads: Range<usize>,
    start: [[S::Ints; PARTS]; R],
) -> [[S::Ints; PARTS]; R] {
    let mut sums = [[[simd.splat_int(0); PARTS]; R]; CHAINS];
    sums[0] = start;
    let (first, quants) = (quads.start, &quants[quads]);
    for (group, quants) in quants.as_chunks::<CHAINS>().0.iter().enumerate() {
        for (link, quants) in quants.iter().enumerate() {
            let chain = if R <= 2 && S::TILE > 2 { link } else { 0 };
            let parts = quants.as_chunks::<{ 4 * LANES }>().0;
            let weights = [simd.bytes::<WIDE>(&parts[0]), simd.bytes::<WIDE>(&parts[1])];
            for row in 0..R {
                let quad = x[row].quads[first + group * CHAINS + link];
                for part in 0..PARTS {
                    let sum = &mut sums[chain][row][part];
                    *sum = simd.dot::<WIDE>(*sum, weights[part], quad);
                }
            }
        }
    }
    let mut result = sums[0];
    if R <= 2 && S::TILE > 2 {
        for row in 0..R {
            for part in 0..PARTS {
                let first = simd.add_ints(sums[0][row][part], sums[1][row][part]);
                let second = simd.add_ints(sums[2][row][part], sums[3][row][part]);
                result[row][part] = simd.add_ints(first, second);
            }
        }
    }
    result
}

/// Adds what the integers of one scale are worth.
#[inline(always)]
pub(super) fn add_scale<S: Simd, const R: usize, const MINIMA: bool>(
    simd: S,
    scaled: &mut [[S::Floats; PARTS]; R],
    dots: [[S::Ints; PARTS]; R],
    sums: [f32; R],
    factors: &[f32; ROWS],
    minima: &[f32; ROWS],
) {
    let (factors, minima) = (load(simd, factors), load(simd, minima));
    for row in 0..R {
        let sum = simd.splat(sums[row]);
        for part in 0..PARTS {
            let scaled = &mut scaled[row][part];
            *scaled = simd.multiply_add(simd.to_floats(dots[row][part]), factors[part], *scaled);
            if MINIMA {
                *scaled = simd.multiply_subtract(sum, minima[part], *scaled);
            }
        }
    }
}

#[inline(always)]
pub(super) fn floats<S: Simd, const R: usize>(
    simd: S,
    dots: [[S::Ints; PARTS]; R],
) -> [[S::Floats; PARTS]; R] {
    let mut floats = [[simd.splat(0.0); PARTS]; R];
    for row in 0..R {
        for part in 0..PARTS {
            floats[row][part] = simd.to_floats(dots[row][part]);
        }
    }
    floats
}

/// Adds a finished step, at the worth of its activations.
#[inline(always)]
pub(super) fn add_step<S: Simd, const R: usize>(
    simd: S,
    total: &mut [[S::Floats; PARTS]; R],
    scaled: [[S::Floats; PARTS]; R],
    x: [&Block; R],
    step: usize,
) {
    for row in 0..R {
        let scale = simd.splat(x[row].scales[step]);
        for part in 0..PARTS {
            total[row][part] = simd.multiply_add(scaled[row][part], scale, total[row][part]);
        }
    }
}

/// Adds a finished block whose steps share a factor.
#[inline(always)]
pub(super) fn add_whole<S: Simd, const R: usize>(
    simd: S,
    total: &mut [[S::Floats; PARTS]; R],
    whole: [[S::Floats; PARTS]; R],
    x: [&Block; R],
    factors: &[f32; ROWS],
    minima: &[f32; ROWS],
) {
    let (factors, minima) = (load(simd, factors), load(simd, minima));
    for row in 0..R {
        let sum = simd.splat(x[row].sum);
        for part in 0..PARTS {
            let total = &mut total[row][part];
            *total = simd.multiply_add(whole[row][part], factors[part], *total);
            *total = simd.multiply_subtract(sum, minima[part], *total);
        }
    }
}

#[inline(always)]
fn load<S: Simd>(simd: S, numbers: &[f32; ROWS]) -> [S::Floats; PARTS] {
    let parts = numbers.as_chunks::<LANES>().0;
    [simd.load(&parts[0]), simd.load(&parts[1])]
}

/// `out += sums`
#[inline(always)]
pub(super) fn add_to<S: Simd>(simd: S, sums: [S::Floats; PARTS], out: &mut [f32; ROWS]) {
    for (sum, out) in sums.into_iter().zip(out.as_chunks_mut::<LANES>().0) {
        simd.store(simd.add(simd.load(out), sum), out);
    }
}
