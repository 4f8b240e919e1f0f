//! One to four rows of activations against packed weights as they come from memory, unpacked in
//! registers. Every sum is formed in the order of a sweep, so that a row gives the same bits either way.

use std::arch::x86_64::*;

use super::{PARTS, add_all, head::open, load_all, load_bytes};
use crate::{
    activations::{Block, DEPTH},
    packed::{Layout, Panel, ROWS, STEP},
};

/// Quads of a step: eight times four inputs.
const QUADS: usize = STEP / 4;
/// Bytes of a quad of a whole strip.
const QUAD: usize = 4 * ROWS;
/// How far ahead of its use a line is asked for, in bytes: some 100 ns of one core's share of the memory.
const AHEAD: usize = 4096;

/// Adds to `out` the products of whole units, no more than a panel holds, with as many blocks of each row.
/// The panel lends its room for scales.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(crate) fn stream(
    layout: Layout,
    packed: &[u8],
    panel: &mut Panel,
    blocks: &[Block],
    stride: usize,
    out: &mut [[f32; ROWS]],
) {
    match out.len() {
        1 => by_layout::<1>(layout, packed, panel, blocks, stride, out),
        2 => by_layout::<2>(layout, packed, panel, blocks, stride, out),
        3 => by_layout::<3>(layout, packed, panel, blocks, stride, out),
        _ => by_layout::<4>(layout, packed, panel, blocks, stride, out),
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn by_layout<const R: usize>(
    layout: Layout,
    packed: &[u8],
    panel: &mut Panel,
    blocks: &[Block],
    stride: usize,
    out: &mut [[f32; ROWS]],
) {
    match (layout.bits, panel.scales, panel.has_minima) {
        (4, 1, _) => units::<R, 4, 1, true>(layout, packed, panel, blocks, stride, out),
        (4, _, true) => units::<R, 4, 4, true>(layout, packed, panel, blocks, stride, out),
        (4, _, false) => units::<R, 4, 4, false>(layout, packed, panel, blocks, stride, out),
        (5, _, true) => units::<R, 5, 4, true>(layout, packed, panel, blocks, stride, out),
        (5, _, false) => units::<R, 5, 4, false>(layout, packed, panel, blocks, stride, out),
        (6, ..) => units::<R, 6, 8, false>(layout, packed, panel, blocks, stride, out),
        (_, 1, _) => units::<R, 8, 1, true>(layout, packed, panel, blocks, stride, out),
        (_, _, true) => units::<R, 8, 4, true>(layout, packed, panel, blocks, stride, out),
        (_, _, false) => units::<R, 8, 4, false>(layout, packed, panel, blocks, stride, out),
    }
}

/// Sums of integers, a register for each row and part of a strip.
type Dots<const R: usize> = [[__m512i; PARTS]; R];
/// The same of numbers.
type Sums<const R: usize> = [[__m512; PARTS]; R];

/// What is summed up on the way: products of integers under one scale, of a block, of all blocks.
struct State<const R: usize> {
    dots: Dots<R>,
    scaled: Sums<R>,
    total: Sums<R>,
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn units<const R: usize, const BITS: usize, const SCALES: usize, const MINIMA: bool>(
    layout: Layout,
    packed: &[u8],
    panel: &mut Panel,
    blocks: &[Block],
    stride: usize,
    out: &mut [[f32; ROWS]],
) {
    let nothing = [[_mm512_setzero_ps(); PARTS]; R];
    let dots = [[_mm512_setzero_si512(); PARTS]; R];
    let mut state = State { dots, scaled: nothing, total: nothing };
    let mut depth = 0;
    for unit in packed.chunks_exact(layout.unit_bytes()) {
        let (head, steps) = unit.split_at(layout.head_bytes());
        open(layout, head, depth, panel);
        for step in steps.chunks_exact(BITS * QUAD) {
            prefetch(step);
            let x = rows_at(blocks, stride, depth / DEPTH);
            add_step::<R, BITS, SCALES, MINIMA>(&mut state, step, x, depth, panel);
            depth += STEP;
            if depth.is_multiple_of(DEPTH) {
                finish(&mut state, x);
            }
        }
    }
    if !depth.is_multiple_of(DEPTH) {
        finish(&mut state, rows_at(blocks, stride, depth / DEPTH));
    }
    for (total, out) in state.total.iter().zip(out) {
        add_all(total, out);
    }
}

/// Block `index` of each row.
#[inline]
#[target_feature(enable = "avx512f")]
fn rows_at<const R: usize>(blocks: &[Block], stride: usize, index: usize) -> [&Block; R] {
    let mut x = [&blocks[index]; R];
    for (row, x) in x.iter_mut().enumerate() {
        *x = &blocks[row * stride + index];
    }
    x
}

/// Adds the products of the 32 inputs from `depth`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn add_step<const R: usize, const BITS: usize, const SCALES: usize, const MINIMA: bool>(
    state: &mut State<R>,
    step: &[u8],
    x: [&Block; R],
    depth: usize,
    panel: &Panel,
) {
    let (index, place, step) = (depth / DEPTH, depth % DEPTH / STEP, step.as_chunks().0);
    let (factors, minima) = (&panel.factors[index], &panel.minima[index]);
    let first = place * QUADS;
    match SCALES {
        1 => {
            state.dots = multiply::<R, BITS>(step, (0, 4), x, first, state.dots);
            if place == DEPTH / STEP - 1 {
                let sums = x.map(|x| x.sum);
                add::<R, MINIMA>(&mut state.scaled, state.dots, sums, &factors[0], &minima[0]);
                state.dots = [[_mm512_setzero_si512(); PARTS]; R];
            }
        }
        4 => {
            let sums = x.map(|x| x.sums32[place]);
            let zero = if MINIMA { state.dots } else { zeros(sums, panel.zero) };
            let dots = multiply::<R, BITS>(step, (0, 4), x, first, zero);
            add::<R, MINIMA>(&mut state.scaled, dots, sums, &factors[place], &minima[place]);
        }
        _ => {
            for scale in 2 * place..2 * place + 2 {
                let sums = x.map(|x| x.sums16[scale]);
                let (from, zero) = (scale % 2 * 2, zeros(sums, panel.zero));
                let dots = multiply::<R, BITS>(step, (from, from + 2), x, first, zero);
                add::<R, MINIMA>(&mut state.scaled, dots, sums, &factors[scale], &minima[scale]);
            }
        }
    }
}

/// Asks for the lines that come [`AHEAD`] of a step.
#[inline]
#[target_feature(enable = "avx512f")]
fn prefetch(step: &[u8]) {
    for line in step.as_chunks::<64>().0 {
        // A prefetch reads nothing that the program sees: any address will do.
        _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().wrapping_add(AHEAD).cast());
    }
}

/// What the zero of the weights takes from each sum.
#[inline]
#[target_feature(enable = "avx512f")]
fn zeros<const R: usize>(sums: [i32; R], zero: i32) -> Dots<R> {
    let mut zeros = [[_mm512_setzero_si512(); PARTS]; R];
    for (zeros, sum) in zeros.iter_mut().zip(sums) {
        *zeros = [_mm512_set1_epi32(-zero * sum); PARTS];
    }
    zeros
}

/// `dots` and the products of the eights `from..to` of a step with their inputs, of which the first of the
/// step is quad `first`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn multiply<const R: usize, const BITS: usize>(
    step: &[[u8; QUAD]],
    (from, to): (usize, usize),
    x: [&Block; R],
    first: usize,
    mut dots: Dots<R>,
) -> Dots<R> {
    let mut others = [[_mm512_setzero_si512(); PARTS]; R];
    for eight in from..to {
        let [low, high] = unpack::<BITS>(step, eight);
        for row in 0..R {
            let quads = &x[row].quads[first + 2 * eight..][..2];
            let (first, second) = (_mm512_set1_epi32(quads[0]), _mm512_set1_epi32(quads[1]));
            for part in 0..PARTS {
                let dot = &mut dots[row][part];
                *dot = _mm512_dpbusd_epi32(*dot, low[part], first);
                // One chain of sums alone would wait for itself.
                let dot = if R == 1 { &mut others[row][part] } else { dot };
                *dot = _mm512_dpbusd_epi32(*dot, high[part], second);
            }
        }
    }
    if R == 1 {
        for part in 0..PARTS {
            dots[0][part] = _mm512_add_epi32(dots[0][part], others[0][part]);
        }
    }
    dots
}

/// Adds what the integers of one scale are worth.
#[inline]
#[target_feature(enable = "avx512f")]
fn add<const R: usize, const MINIMA: bool>(
    scaled: &mut Sums<R>,
    dots: Dots<R>,
    sums: [i32; R],
    factors: &[f32; ROWS],
    minima: &[f32; ROWS],
) {
    let (factors, minima) = (load_all(factors), load_all(minima));
    for row in 0..R {
        let sum = _mm512_set1_ps(sums[row] as f32);
        for part in 0..PARTS {
            let scaled = &mut scaled[row][part];
            let dot = _mm512_cvtepi32_ps(dots[row][part]);
            *scaled = _mm512_fmadd_ps(dot, factors[part], *scaled);
            if MINIMA {
                *scaled = _mm512_fnmadd_ps(sum, minima[part], *scaled);
            }
        }
    }
}

/// Adds a finished block to the total, at the worth of its activations.
#[inline]
#[target_feature(enable = "avx512f")]
fn finish<const R: usize>(state: &mut State<R>, x: [&Block; R]) {
    for (row, x) in x.iter().enumerate() {
        let scale = _mm512_set1_ps(x.scale);
        for part in 0..PARTS {
            let (scaled, total) = (&mut state.scaled[row][part], &mut state.total[row][part]);
            *total = _mm512_fmadd_ps(*scaled, scale, *total);
            *scaled = _mm512_setzero_ps();
        }
    }
}

/// Two quads of a step, a byte for a weight: the eight inputs from `8 * eight`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn unpack<const BITS: usize>(step: &[[u8; QUAD]], eight: usize) -> [[__m512i; PARTS]; 2] {
    if BITS == 8 {
        return [load_bytes(&step[2 * eight]), load_bytes(&step[2 * eight + 1])];
    }
    let (mask, nibbles) = (_mm512_set1_epi8(15), load_bytes(&step[BITS - 4 + eight]));
    let (mut low, mut high) = (nibbles, nibbles);
    for part in 0..PARTS {
        low[part] = _mm512_and_si512(nibbles[part], mask);
        high[part] = _mm512_and_si512(_mm512_srli_epi16::<4>(nibbles[part]), mask);
    }
    if BITS > 4 {
        // Bits above the fourth are moved to the bottom of their byte, and from there into their place.
        let (bits, width) = if BITS == 5 { (&step[0], 1) } else { (&step[eight / 2], 2) };
        let from = if BITS == 5 { 2 * eight } else { eight % 2 * 4 };
        let mask = _mm512_set1_epi8((1 << width) - 1);
        let bits = load_bytes(bits);
        for part in 0..PARTS {
            for (nibbles, from) in [(&mut low, from), (&mut high, from + width)] {
                let bits = _mm512_srl_epi16(bits[part], _mm_cvtsi32_si128(from as i32));
                let bits = _mm512_slli_epi16::<4>(_mm512_and_si512(bits, mask));
                nibbles[part] = _mm512_or_si512(nibbles[part], bits);
            }
        }
    }
    [low, high]
}
