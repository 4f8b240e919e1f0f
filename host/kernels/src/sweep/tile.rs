//! The sweep, generic in the registers: a tile of some rows of activations times a strip of weights keeps its
//! sums in them.

use crate::{
    activations::{Block, STEPS},
    blocking::{DEPTH, PARTS, ROWS},
    packed::Panel,
    simd::{LANES, Simd},
};

/// Independent sums that hide the latency of a product where a tile has few rows.
const CHAINS: usize = 4;
/// Quads of a block.
const QUADS: usize = DEPTH / 4;
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
    match (panel.scales, panel.has_minima, panel.is_wide()) {
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
    let places = panel.quants.iter().zip(&panel.factors).zip(&panel.minima);
    for (index, ((quants, factors), minima)) in places.enumerate().take(panel.blocks) {
        let x = rows_at(blocks, stride, index);
        let mut total = [[simd.splat(0.0); PARTS]; R];
        for step in 0..STEPS {
            let sums = |scale| sums_of::<R, SCALES>(x, scale);
            let worth = |row: usize| (x[row].scales[step], x[row].worths[step]);
            match SCALES {
                1 => {
                    let start = start::<S, R, true, WIDE>(simd, sums(step), 0);
                    let dots =
                        dots::<S, R, 8, WIDE>(simd, quads(quants, step), x_quads(x, step), start);
                    add_step(simd, &mut total, dots, x, step);
                }
                4 => {
                    let start = start::<S, R, MINIMA, WIDE>(simd, sums(step), panel.zero);
                    let dots =
                        dots::<S, R, 8, WIDE>(simd, quads(quants, step), x_quads(x, step), start);
                    let (factors, minima) = (&factors[step], &minima[step]);
                    add_scale::<S, R, MINIMA>(simd, &mut total, dots, worth, factors, minima);
                }
                _ => {
                    for half in [2 * step, 2 * step + 1] {
                        let start = start::<S, R, MINIMA, WIDE>(simd, sums(half), panel.zero);
                        let dots = dots::<S, R, 4, WIDE>(
                            simd,
                            quads(quants, half),
                            x_quads(x, half),
                            start,
                        );
                        let (factors, minima) = (&factors[half], &minima[half]);
                        add_scale::<S, R, MINIMA>(simd, &mut total, dots, worth, factors, minima);
                    }
                }
            }
        }
        if SCALES == 1 {
            total = at_whole(simd, total, x, &factors[0], &minima[0]);
        }
        add_to(simd, total, out);
    }
}

/// Part `part` of the weights of a block, `N` quads long.
#[inline(always)]
fn quads<const N: usize>(quants: &[[u8; 4 * ROWS]; QUADS], part: usize) -> &[[u8; 4 * ROWS]; N] {
    &quants.as_chunks().0[part]
}

/// The same of activations.
#[inline(always)]
fn x_quads<const R: usize, const N: usize>(x: [&Block; R], part: usize) -> [&[i32; N]; R] {
    let mut quads = [&x[0].quads.as_chunks().0[part]; R];
    for (quads, x) in quads.iter_mut().zip(x) {
        *quads = &x.quads.as_chunks().0[part];
    }
    quads
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

/// The sums of the activations that share scale `scale` of `SCALES`, or of a step where all of a block do.
#[inline(always)]
pub(super) fn sums_of<const R: usize, const SCALES: usize>(
    x: [&Block; R],
    scale: usize,
) -> [i32; R] {
    x.map(|x| i32::from(if SCALES == 8 { x.sums16[scale] } else { x.sums32[scale] }))
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

/// Adds the products over the inputs of `N` quads.
#[inline(always)]
pub(super) fn dots<S: Simd, const R: usize, const N: usize, const WIDE: bool>(
    simd: S,
    quants: &[[u8; 4 * ROWS]; N],
    x: [&[i32; N]; R],
    start: [[S::Ints; PARTS]; R],
) -> [[S::Ints; PARTS]; R] {
    let mut sums = [[[simd.splat_int(0); PARTS]; R]; CHAINS];
    sums[0] = start;
    for (index, quants) in quants.iter().enumerate() {
        let chain = if R <= 2 && S::TILE > 2 { index % CHAINS } else { 0 };
        let parts = quants.as_chunks::<{ 4 * LANES }>().0;
        let weights = [simd.bytes::<WIDE>(&parts[0]), simd.bytes::<WIDE>(&parts[1])];
        for row in 0..R {
            for part in 0..PARTS {
                let sum = &mut sums[chain][row][part];
                *sum = simd.dot::<WIDE>(*sum, weights[part], x[row][index]);
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

/// Adds what the integers of one scale are worth: those of each row by the row's scale and that of the weights,
/// less the sum of its inputs by the minimum of the weights. `worth` gives a row's scale and that sum: arrays of
/// them would be put together in registers, number by number.
#[inline(always)]
pub(super) fn add_scale<S: Simd, const R: usize, const MINIMA: bool>(
    simd: S,
    total: &mut [[S::Floats; PARTS]; R],
    dots: [[S::Ints; PARTS]; R],
    worth: impl Fn(usize) -> (f32, f32),
    factors: &[f32; ROWS],
    minima: &[f32; ROWS],
) {
    let (factors, minima) = (load(simd, factors), load(simd, minima));
    for row in 0..R {
        let (scale, worth) = worth(row);
        let (scale, worth) = (simd.splat(scale), simd.splat(worth));
        for part in 0..PARTS {
            let total = &mut total[row][part];
            let dots = simd.multiply(simd.to_floats(dots[row][part]), scale);
            *total = simd.multiply_add(dots, factors[part], *total);
            if MINIMA {
                *total = simd.multiply_subtract(worth, minima[part], *total);
            }
        }
    }
}

/// Adds the integers of a step that shares the factor of its block, by the scales of the rows.
#[inline(always)]
pub(super) fn add_step<S: Simd, const R: usize>(
    simd: S,
    total: &mut [[S::Floats; PARTS]; R],
    dots: [[S::Ints; PARTS]; R],
    x: [&Block; R],
    step: usize,
) {
    for row in 0..R {
        let scale = simd.splat(x[row].scales[step]);
        for part in 0..PARTS {
            let dots = simd.to_floats(dots[row][part]);
            total[row][part] = simd.multiply_add(dots, scale, total[row][part]);
        }
    }
}

/// The worth of a block whose steps share a factor.
#[inline(always)]
pub(super) fn at_whole<S: Simd, const R: usize>(
    simd: S,
    whole: [[S::Floats; PARTS]; R],
    x: [&Block; R],
    factors: &[f32; ROWS],
    minima: &[f32; ROWS],
) -> [[S::Floats; PARTS]; R] {
    let (factors, minima) = (load(simd, factors), load(simd, minima));
    let mut total = whole;
    for row in 0..R {
        let worth = simd.splat(x[row].worth);
        for part in 0..PARTS {
            let product = simd.multiply(whole[row][part], factors[part]);
            total[row][part] = simd.multiply_subtract(worth, minima[part], product);
        }
    }
    total
}

/// `out += total`
#[inline(always)]
pub(super) fn add_to<S: Simd, const R: usize>(
    simd: S,
    total: [[S::Floats; PARTS]; R],
    out: &mut [[f32; ROWS]],
) {
    for row in 0..R {
        let mut sums = load(simd, &out[row]);
        for part in 0..PARTS {
            sums[part] = simd.add(sums[part], total[row][part]);
        }
        store(simd, sums, &mut out[row]);
    }
}

#[inline(always)]
pub(super) fn load<S: Simd>(simd: S, numbers: &[f32; ROWS]) -> [S::Floats; PARTS] {
    let parts = numbers.as_chunks::<LANES>().0;
    [simd.load(&parts[0]), simd.load(&parts[1])]
}

#[inline(always)]
pub(super) fn store<S: Simd>(simd: S, numbers: [S::Floats; PARTS], out: &mut [f32; ROWS]) {
    for (numbers, out) in numbers.into_iter().zip(out.as_chunks_mut::<LANES>().0) {
        simd.store(numbers, out);
    }
}
