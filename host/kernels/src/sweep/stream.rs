//! The stream, generic in the registers: a few rows of activations against packed weights as they come from
//! memory, unpacked in registers. Every sum is formed in the order of a sweep, so that a row gives the
//! same bits either way.

use super::tile::{add_scale, add_step, add_to, at_whole, load, rows_at, start, store, sums_of};
use crate::{
    activations::{Block, STEPS, Step},
    blocking::{DEPTH, PARTS, ROWS, STEP},
    packed::{Layout, Panel},
    simd::{LANES, Simd},
};

/// Bytes of a quad of a whole strip.
const QUAD: usize = 4 * ROWS;
/// How far ahead of its use a line is asked for, in bytes: 200 ns of one core's share of the memory.
const AHEAD: usize = 8192;

/// Adds to `out` the products of whole units, no more than a panel holds, with as many blocks of each row:
/// at most [`Simd::STREAM`] rows. The panel lends its room for scales.
#[inline(always)]
pub(crate) fn stream<S: Simd>(
    simd: S,
    layout: Layout,
    packed: &[u8],
    panel: &mut Panel,
    blocks: &[Block],
    stride: usize,
    out: &mut [[f32; ROWS]],
) {
    for (index, out) in out.chunks_mut(S::STREAM).enumerate() {
        let blocks = &blocks[index * S::STREAM * stride..];
        let strip = Strip { layout, packed, blocks, stride };
        match out.len() {
            4 if S::STREAM >= 4 => by_layout::<S, 4>(simd, strip, panel, out),
            3 if S::STREAM >= 3 => by_layout::<S, 3>(simd, strip, panel, out),
            2 => by_layout::<S, 2>(simd, strip, panel, out),
            _ => by_layout::<S, 1>(simd, strip, panel, out),
        }
    }
}

/// What is multiplied.
#[derive(Clone, Copy)]
struct Strip<'a> {
    layout: Layout,
    packed: &'a [u8],
    blocks: &'a [Block],
    stride: usize,
}

#[inline(always)]
fn by_layout<S: Simd, const R: usize>(
    simd: S,
    strip: Strip<'_>,
    panel: &mut Panel,
    out: &mut [[f32; ROWS]],
) {
    match (strip.layout.bits, panel.scales, panel.has_minima) {
        (4, 1, _) => units::<S, R, 4, 1, true>(simd, strip, panel, out),
        (4, _, true) => units::<S, R, 4, 4, true>(simd, strip, panel, out),
        (4, _, false) => units::<S, R, 4, 4, false>(simd, strip, panel, out),
        (5, _, true) => units::<S, R, 5, 4, true>(simd, strip, panel, out),
        (5, _, false) => units::<S, R, 5, 4, false>(simd, strip, panel, out),
        (6, ..) => units::<S, R, 6, 8, false>(simd, strip, panel, out),
        (_, 1, _) => units::<S, R, 8, 1, true>(simd, strip, panel, out),
        (_, _, true) => units::<S, R, 8, 4, true>(simd, strip, panel, out),
        (_, _, false) => units::<S, R, 8, 4, false>(simd, strip, panel, out),
    }
}

/// Sums of integers, a register for each row and part of a strip.
type Dots<S, const R: usize> = [[<S as Simd>::Ints; PARTS]; R];

#[inline(always)]
fn units<S: Simd, const R: usize, const BITS: usize, const SCALES: usize, const MINIMA: bool>(
    simd: S,
    Strip { layout, packed, blocks, stride }: Strip<'_>,
    panel: &mut Panel,
    out: &mut [[f32; ROWS]],
) {
    let nothing = [[simd.splat(0.0); PARTS]; R];
    let mut total = nothing;
    let mut depth = 0;
    for unit in packed.chunks_exact(layout.unit_bytes()) {
        let (head, steps) = unit.split_at(layout.head_bytes());
        prefetch(simd, head, AHEAD);
        simd.open(layout, head, depth, panel);
        for step in steps.chunks_exact(BITS * QUAD) {
            prefetch(simd, step, AHEAD);
            let (index, place) = (depth / DEPTH, depth % DEPTH / STEP);
            let (x, step) = (rows_at(blocks, stride, index), step.as_chunks().0);
            let quads = x.map(|x| &x.quads.as_chunks().0[place]);
            if SCALES == 1 {
                let start = begin::<S, R, BITS, true>(simd, sums_of::<R, 4>(x, place), 0);
                let dots = multiply::<S, R, BITS>(simd, step, (0, 4), quads, start);
                add_step(simd, &mut total, dots, x, place);
            } else {
                for part in 0..SCALES / STEPS {
                    let scale = place * (SCALES / STEPS) + part;
                    let sums = sums_of::<R, SCALES>(x, scale);
                    let dots = begin::<S, R, BITS, MINIMA>(simd, sums, panel.zero);
                    let eights = eights_of(part, SCALES / STEPS);
                    let dots = multiply::<S, R, BITS>(simd, step, eights, quads, dots);
                    let worth = |row: usize| (x[row].scales[place], x[row].worths[place]);
                    let (factors, minima) =
                        (&panel.factors[index][scale], &panel.minima[index][scale]);
                    add_scale::<S, R, MINIMA>(simd, &mut total, dots, worth, factors, minima);
                }
            }
            depth += STEP;
            if depth.is_multiple_of(DEPTH) {
                if SCALES == 1 {
                    let (factors, minima) = (&panel.factors[index][0], &panel.minima[index][0]);
                    total = at_whole(simd, total, x, factors, minima);
                }
                add_to(simd, total, out);
                total = nothing;
            }
        }
    }
    if !depth.is_multiple_of(DEPTH) {
        add_to(simd, total, out);
    }
}

/// Adds to `out` the products of lost steps, with units whose scales the panel has.
#[inline(always)]
pub(crate) fn stream_steps<S: Simd>(
    simd: S,
    layout: Layout,
    packed: &[u8],
    panel: &Panel,
    steps: &[Step],
    out: &mut [[f32; ROWS]],
) {
    for step in steps {
        let depth = step.place as usize * STEP;
        let unit = &packed[depth / layout.depth * layout.unit_bytes()..][..layout.unit_bytes()];
        let within = depth % layout.depth / STEP * layout.step_bytes();
        let weights = &unit[layout.head_bytes() + within..][..layout.step_bytes()];
        let (weights, out) = (weights.as_chunks().0, &mut out[step.row as usize]);
        match (layout.bits, panel.scales, panel.has_minima) {
            (4, _, true) => one_step::<S, 4, 1, true>(simd, weights, panel, step, out),
            (4, _, false) => one_step::<S, 4, 1, false>(simd, weights, panel, step, out),
            (5, _, true) => one_step::<S, 5, 1, true>(simd, weights, panel, step, out),
            (5, _, false) => one_step::<S, 5, 1, false>(simd, weights, panel, step, out),
            (6, ..) => one_step::<S, 6, 2, false>(simd, weights, panel, step, out),
            (_, _, true) => one_step::<S, 8, 1, true>(simd, weights, panel, step, out),
            (_, _, false) => one_step::<S, 8, 1, false>(simd, weights, panel, step, out),
        }
    }
}

/// A step times a step of weights, which has `SCALES` scales.
#[inline(always)]
fn one_step<S: Simd, const BITS: usize, const SCALES: usize, const MINIMA: bool>(
    simd: S,
    weights: &[[u8; QUAD]],
    panel: &Panel,
    step: &Step,
    out: &mut [f32; ROWS],
) {
    let (index, place) = (step.place as usize / STEPS, step.place as usize % STEPS);
    let mut total = [load(simd, out)];
    for part in 0..SCALES {
        let sum = i32::from(if SCALES == 1 { step.sum } else { step.sums16[part] });
        let dots = begin::<S, 1, BITS, MINIMA>(simd, [sum], panel.zero);
        let eights = eights_of(part, SCALES);
        let dots = multiply::<S, 1, BITS>(simd, weights, eights, [&step.quads], dots);
        let scale = (place * SCALES + part) * panel.scales / (STEPS * SCALES);
        let (factors, minima) = (&panel.factors[index][scale], &panel.minima[index][scale]);
        let worth = |_| (step.scale, step.worth);
        add_scale::<S, 1, MINIMA>(simd, &mut total, dots, worth, factors, minima);
    }
    store(simd, total[0], out);
}

/// The eights of part `part` of `parts` of a step.
#[inline(always)]
fn eights_of(part: usize, parts: usize) -> (usize, usize) {
    (part * 4 / parts, (part + 1) * 4 / parts)
}

/// As [`start`], for weights of `BITS` bits.
#[inline(always)]
fn begin<S: Simd, const R: usize, const BITS: usize, const MINIMA: bool>(
    simd: S,
    sums: [i32; R],
    zero: i32,
) -> Dots<S, R> {
    if BITS == 8 {
        start::<S, R, MINIMA, true>(simd, sums, zero)
    } else {
        start::<S, R, MINIMA, false>(simd, sums, zero)
    }
}

/// Asks for the lines of memory that come `ahead` bytes behind those of `bytes`.
#[inline(always)]
pub(crate) fn prefetch<S: Simd>(simd: S, bytes: &[u8], ahead: usize) {
    for line in bytes.as_chunks::<64>().0 {
        simd.prefetch(line.as_ptr().wrapping_add(ahead));
    }
}

/// `dots` and the products of the eights `from..to` of a step.
#[inline(always)]
fn multiply<S: Simd, const R: usize, const BITS: usize>(
    simd: S,
    step: &[[u8; QUAD]],
    (from, to): (usize, usize),
    x: [&[i32; STEP / 4]; R],
    mut dots: Dots<S, R>,
) -> Dots<S, R> {
    let mut others = [[simd.splat_int(0); PARTS]; R];
    for eight in from..to {
        let [low, high] = unpack::<S, BITS>(simd, step, eight);
        for row in 0..R {
            let quads = &x[row][2 * eight..][..2];
            for part in 0..PARTS {
                let dot = &mut dots[row][part];
                *dot = if BITS == 8 {
                    simd.dot::<true>(*dot, low[part], quads[0])
                } else {
                    simd.dot::<false>(*dot, low[part], quads[0])
                };
                // One chain of sums alone would wait for itself.
                let dot = if R == 1 { &mut others[row][part] } else { dot };
                *dot = if BITS == 8 {
                    simd.dot::<true>(*dot, high[part], quads[1])
                } else {
                    simd.dot::<false>(*dot, high[part], quads[1])
                };
            }
        }
    }
    if R == 1 {
        for part in 0..PARTS {
            dots[0][part] = simd.add_ints(dots[0][part], others[0][part]);
        }
    }
    dots
}

/// Two quads of a step, a byte for a weight: the eight inputs from `8 * eight`.
#[inline(always)]
fn unpack<S: Simd, const BITS: usize>(
    simd: S,
    step: &[[u8; QUAD]],
    eight: usize,
) -> [[S::Bytes; PARTS]; 2] {
    if BITS == 8 {
        let load = |quad: &[u8; QUAD]| {
            let parts = quad.as_chunks::<{ 4 * LANES }>().0;
            [simd.bytes::<true>(&parts[0]), simd.bytes::<true>(&parts[1])]
        };
        return [load(&step[2 * eight]), load(&step[2 * eight + 1])];
    }
    let halves = step[BITS - 4 + eight].as_chunks::<{ 4 * LANES }>().0;
    let [first, second] = [&halves[0], &halves[1]];
    let [mut low, mut high] = simd.nibbles(simd.bytes::<false>(first));
    let [mut low2, mut high2] = simd.nibbles(simd.bytes::<false>(second));
    if BITS > 4 {
        // Bits above the fourth are moved to the bottom of their byte, and from there into their place.
        let (bits, from) = match BITS {
            5 => (&step[0], 2 * eight),
            _ => (&step[eight / 2], eight % 2 * 4),
        };
        let parts = bits.as_chunks::<{ 4 * LANES }>().0;
        let bits = [simd.bytes::<false>(&parts[0]), simd.bytes::<false>(&parts[1])];
        if BITS == 5 {
            low = simd.raise::<1>(low, bits[0], from);
            high = simd.raise::<1>(high, bits[0], from + 1);
            low2 = simd.raise::<1>(low2, bits[1], from);
            high2 = simd.raise::<1>(high2, bits[1], from + 1);
        } else {
            low = simd.raise::<2>(low, bits[0], from);
            high = simd.raise::<2>(high, bits[0], from + 2);
            low2 = simd.raise::<2>(low2, bits[1], from);
            high2 = simd.raise::<2>(high2, bits[1], from + 2);
        }
    }
    [[low, low2], [high, high2]]
}
