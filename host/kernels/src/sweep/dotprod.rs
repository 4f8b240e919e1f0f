//! The stream with the dot products of FEAT_DotProd: as [`super::stream`] and with its bits, in the shape that
//! 32 registers of 4 numbers ask for. Eight registers of sums are in use at once: the whole strip for one row,
//! parts of it one after the other for more. SDOT takes four inputs of a row out of a register by their place,
//! and loops over a step are unrolled, so that places and shifts are known.
//!
//! Sums of integers begin at [`MAGIC`], as in [`super::i8mm`], and are never converted.
#![expect(unsafe_code, reason = "intrinsics, and instructions that have none yet")]

use std::arch::{aarch64::*, asm};

use super::{
    stream::prefetch,
    tile::{rows_at, sums_of},
};
use crate::{
    activations::Block,
    blocking::{DEPTH, ROWS, STEP},
    packed::{Layout, Panel},
    simd::{
        Simd,
        neon::{Dotprod, MAGIC, number},
    },
};

/// Rows of activations at once at most.
const STREAM: usize = 4;
/// Numbers of a register.
const WIDTH: usize = 4;
/// Bytes of a line: a quad of a whole strip, or as many nibbles of two.
const LINE: usize = 4 * ROWS;
/// How far ahead of its use a line is asked for, in bytes: 200 ns of one core's share of the memory.
const AHEAD: usize = 8192;

/// As [`super::scalar::stream`].
#[target_feature(enable = "neon,dotprod")]
pub(crate) fn stream(
    simd: Dotprod,
    layout: Layout,
    packed: &[u8],
    panel: &mut Panel,
    blocks: &[Block],
    stride: usize,
    out: &mut [[f32; ROWS]],
) {
    for (index, out) in out.chunks_mut(STREAM).enumerate() {
        let strip = Strip { layout, packed, blocks: &blocks[index * STREAM * stride..], stride };
        match out.len() {
            4 => by_layout::<4, 2>(simd, strip, panel, out),
            3 => by_layout::<3, 2>(simd, strip, panel, out),
            2 => by_layout::<2, 4>(simd, strip, panel, out),
            _ => by_layout::<1, 8>(simd, strip, panel, out),
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

/// Numbers of `R` rows times a part of a strip that is `N` registers wide.
type Part<const R: usize, const N: usize> = [[float32x4_t; N]; R];

#[target_feature(enable = "neon,dotprod")]
fn by_layout<const R: usize, const N: usize>(
    simd: Dotprod,
    strip: Strip<'_>,
    panel: &mut Panel,
    out: &mut [[f32; ROWS]],
) {
    match (strip.layout.bits, panel.scales, panel.has_minima) {
        (4, 1, _) => units::<R, N, 4, 1, true>(simd, strip, panel, out),
        (4, _, true) => units::<R, N, 4, 4, true>(simd, strip, panel, out),
        (4, _, false) => units::<R, N, 4, 4, false>(simd, strip, panel, out),
        (5, _, true) => units::<R, N, 5, 4, true>(simd, strip, panel, out),
        (5, _, false) => units::<R, N, 5, 4, false>(simd, strip, panel, out),
        (6, ..) => units::<R, N, 6, 8, false>(simd, strip, panel, out),
        (_, 1, _) => units::<R, N, 8, 1, true>(simd, strip, panel, out),
        (_, _, true) => units::<R, N, 8, 4, true>(simd, strip, panel, out),
        (_, _, false) => units::<R, N, 8, 4, false>(simd, strip, panel, out),
    }
}

/// Not inlined, so that its registers are its own.
#[inline(never)]
#[target_feature(enable = "neon,dotprod")]
fn units<
    const R: usize,
    const N: usize,
    const BITS: usize,
    const SCALES: usize,
    const MINIMA: bool,
>(
    simd: Dotprod,
    strip: Strip<'_>,
    panel: &mut Panel,
    out: &mut [[f32; ROWS]],
) {
    let nothing: Part<R, N> = [[vdupq_n_f32(0.0); N]; R];
    let mut totals = [nothing; 4];
    let totals = &mut totals[..ROWS / WIDTH / N];
    let layout = strip.layout;
    let mut depth = 0;
    for unit in strip.packed.chunks_exact(layout.unit_bytes()) {
        let (head, steps) = unit.split_at(layout.head_bytes());
        prefetch(simd, head, AHEAD);
        simd.open(layout, head, depth, panel);
        for (part, total) in totals.iter_mut().enumerate() {
            for (index, step) in steps.chunks_exact(BITS * LINE).enumerate() {
                if part == 0 {
                    prefetch(simd, step, AHEAD);
                }
                let depth = depth + index * STEP;
                let x = rows_at::<R>(strip.blocks, strip.stride, depth / DEPTH);
                let at = At { panel, block: depth / DEPTH, step: depth % DEPTH / STEP, part };
                add_step::<R, N, BITS, SCALES, MINIMA>(total, step.as_chunks().0, x, at);
                if (depth + STEP).is_multiple_of(DEPTH) {
                    if SCALES == 1 {
                        at_whole(total, x, at);
                    }
                    add_to(total, part, out);
                    *total = nothing;
                }
            }
        }
        depth += layout.depth;
    }
    if !depth.is_multiple_of(DEPTH) {
        for (part, total) in totals.iter().enumerate() {
            add_to(total, part, out);
        }
    }
}

/// Where a step lies: in a block of the panel, and a part of a strip that is `N` registers wide.
#[derive(Clone, Copy)]
struct At<'a> {
    panel: &'a Panel,
    block: usize,
    step: usize,
    part: usize,
}

impl At<'_> {
    fn factors<const N: usize>(self, scale: usize) -> [float32x4_t; N] {
        load(&self.panel.factors[self.block][scale], self.part)
    }

    fn minima<const N: usize>(self, scale: usize) -> [float32x4_t; N] {
        load(&self.panel.minima[self.block][scale], self.part)
    }
}

/// Adds what a step is worth; where all of a block share a factor, before it meets that.
#[inline(always)]
fn add_step<
    const R: usize,
    const N: usize,
    const BITS: usize,
    const SCALES: usize,
    const MINIMA: bool,
>(
    total: &mut Part<R, N>,
    lines: &[[u8; LINE]],
    x: [&Block; R],
    at: At<'_>,
) {
    // SAFETY: NEON is part of aarch64.
    let mut inputs = unsafe { [[vdupq_n_s8(0); 2]; R] };
    for (inputs, x) in inputs.iter_mut().zip(x) {
        *inputs = quads(x, at.step);
    }
    match SCALES {
        1 => {
            let start = starts::<R, BITS, true>(sums_of::<R, 4>(x, at.step), at.panel.zero);
            let dots = dots::<R, N, BITS, true, true>(lines, at.part, inputs, start);
            for row in 0..R {
                // SAFETY: NEON is part of aarch64.
                let scale = unsafe { vdupq_n_f32(x[row].scales[at.step]) };
                for (total, dots) in total[row].iter_mut().zip(dots[row]) {
                    // SAFETY: as above.
                    *total = unsafe { vfmaq_f32(*total, dots, scale) };
                }
            }
        }
        4 => {
            let start = starts::<R, BITS, MINIMA>(sums_of::<R, 4>(x, at.step), at.panel.zero);
            let dots = dots::<R, N, BITS, true, true>(lines, at.part, inputs, start);
            add_scale::<R, N, MINIMA>(total, dots, x, at, at.step);
        }
        _ => {
            let [first, second] = [2 * at.step, 2 * at.step + 1];
            let start = starts::<R, BITS, MINIMA>(sums_of::<R, 8>(x, first), at.panel.zero);
            let dots_of_first = dots::<R, N, BITS, true, false>(lines, at.part, inputs, start);
            add_scale::<R, N, MINIMA>(total, dots_of_first, x, at, first);
            let start = starts::<R, BITS, MINIMA>(sums_of::<R, 8>(x, second), at.panel.zero);
            let dots = dots::<R, N, BITS, false, true>(lines, at.part, inputs, start);
            add_scale::<R, N, MINIMA>(total, dots, x, at, second);
        }
    }
}

/// The signed bytes of a step.
#[inline(always)]
fn quads(x: &Block, step: usize) -> [int8x16_t; 2] {
    let bytes = |half: &[i32; 4]| {
        // SAFETY: four integers.
        unsafe { vreinterpretq_s8_s32(vld1q_s32(half.as_ptr())) }
    };
    let quads = x.quads.as_chunks::<{ STEP / 4 }>().0[step].as_chunks::<4>().0;
    [bytes(&quads[0]), bytes(&quads[1])]
}

/// Where sums of integers begin: less what the zero of the weights adds to them, and more what bytes lack that
/// are taken as signed.
#[inline(always)]
fn starts<const R: usize, const BITS: usize, const MINIMA: bool>(
    sums: [i32; R],
    zero: i32,
) -> [i32; R] {
    let lift = if BITS == 8 { 128 } else { 0 };
    let zero = if MINIMA { 0 } else { zero };
    sums.map(|sum| MAGIC + (lift - zero) * sum)
}

/// Sums of products over the first half of a step, the second, or both.
#[inline(always)]
fn dots<
    const R: usize,
    const N: usize,
    const BITS: usize,
    const FIRST: bool,
    const SECOND: bool,
>(
    lines: &[[u8; LINE]],
    part: usize,
    x: [[int8x16_t; 2]; R],
    starts: [i32; R],
) -> Part<R, N> {
    // SAFETY: NEON is part of aarch64.
    let (mut sums, mut dots) = unsafe { ([[vdupq_n_s32(0); N]; R], [[vdupq_n_f32(0.0); N]; R]) };
    for (sums, start) in sums.iter_mut().zip(starts) {
        for sum in sums {
            *sum = begin(start);
        }
    }
    if FIRST {
        add_eight::<R, N, BITS, 0>(&mut sums, lines, part, x);
        add_eight::<R, N, BITS, 1>(&mut sums, lines, part, x);
    }
    if SECOND {
        add_eight::<R, N, BITS, 2>(&mut sums, lines, part, x);
        add_eight::<R, N, BITS, 3>(&mut sums, lines, part, x);
    }
    for (dots, sums) in dots.iter_mut().zip(sums) {
        for (dot, sum) in dots.iter_mut().zip(sums) {
            *dot = number(sum);
        }
    }
    dots
}

/// Adds the products of the eight inputs from `8 * EIGHT` of a step.
#[inline(always)]
fn add_eight<const R: usize, const N: usize, const BITS: usize, const EIGHT: usize>(
    sums: &mut [[int32x4_t; N]; R],
    lines: &[[u8; LINE]],
    part: usize,
    x: [[int8x16_t; 2]; R],
) {
    for register in 0..N {
        let [low, high] = unpack::<BITS, EIGHT>(lines, part * N + register);
        for (sums, x) in sums.iter_mut().zip(x) {
            let (sum, x) = (&mut sums[register], x[EIGHT / 2]);
            // SAFETY: this is inlined into functions compiled for the instruction.
            unsafe {
                *sum = sdot::<EIGHT, 0>(*sum, low, x);
                *sum = sdot::<EIGHT, 1>(*sum, high, x);
            }
        }
    }
}

/// Two quads of four rows of weights, a byte for a weight: the eight inputs from `8 * EIGHT` of a step.
#[inline(always)]
fn unpack<const BITS: usize, const EIGHT: usize>(
    lines: &[[u8; LINE]],
    register: usize,
) -> [uint8x16_t; 2] {
    // SAFETY: 16 bytes.
    let load =
        |line: usize| unsafe { vld1q_u8(lines[line].as_chunks::<16>().0[register].as_ptr()) };
    // SAFETY: NEON is part of aarch64.
    unsafe {
        if BITS == 8 {
            let sign = vdupq_n_u8(0x80);
            return [veorq_u8(load(2 * EIGHT), sign), veorq_u8(load(2 * EIGHT + 1), sign)];
        }
        let bytes = load(BITS - 4 + EIGHT);
        let [low, high] = [vandq_u8(bytes, vdupq_n_u8(15)), vshrq_n_u8::<4>(bytes)];
        match BITS {
            5 => {
                let (bits, from) = (load(0), 2 * EIGHT);
                [raise(low, bits, from, 0x10), raise(high, bits, from + 1, 0x10)]
            }
            6 => {
                let (bits, from) = (load(EIGHT / 2), EIGHT % 2 * 4);
                [raise(low, bits, from, 0x30), raise(high, bits, from + 2, 0x30)]
            }
            _ => [low, high],
        }
    }
}

/// `nibbles`, and the bits of `mask` above them: of `bits`, from bit `from`.
#[inline(always)]
fn raise(nibbles: uint8x16_t, bits: uint8x16_t, from: usize, mask: u8) -> uint8x16_t {
    let mut nibbles = nibbles;
    // SAFETY: registers alone, and NEON is part of aarch64. LLVM makes two instructions of `vbslq_u8`.
    unsafe {
        asm!(
            "bit {nibbles:v}.16b, {bits:v}.16b, {mask:v}.16b",
            nibbles = inout(vreg) nibbles,
            bits = in(vreg) vshlq_u8(bits, vdupq_n_s8(4 - from as i8)),
            mask = in(vreg) vdupq_n_u8(mask),
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    nibbles
}

/// Four times the same integer, by an instruction of its own: a copy of a register would take a turn of the
/// pipes that multiply.
#[inline(always)]
fn begin(start: i32) -> int32x4_t {
    let sums;
    // SAFETY: registers alone, and NEON is part of aarch64.
    unsafe {
        asm!(
            "dup {sums:v}.4s, {start:w}",
            sums = out(vreg) sums,
            start = in(reg) start,
            options(nomem, nostack, preserves_flags),
        );
    }
    sums
}

/// Adds to each of four sums the products of four signed bytes of `weights` with four of `x`: those of half
/// `HALF` of eight `EIGHT % 2`.
///
/// # Safety
/// The machine has FEAT_DotProd.
#[inline(always)]
unsafe fn sdot<const EIGHT: usize, const HALF: usize>(
    sums: int32x4_t,
    weights: uint8x16_t,
    x: int8x16_t,
) -> int32x4_t {
    let mut sums = sums;
    // SAFETY: the caller's promise; registers alone.
    unsafe {
        asm!(
            ".arch_extension dotprod",
            "sdot {sums:v}.4s, {weights:v}.16b, {x:v}.4b[{quad}]",
            sums = inout(vreg) sums,
            weights = in(vreg) weights,
            x = in(vreg) x,
            quad = const 2 * (EIGHT % 2) + HALF,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}

/// Adds what the integers of one scale are worth.
#[inline(always)]
fn add_scale<const R: usize, const N: usize, const MINIMA: bool>(
    total: &mut Part<R, N>,
    dots: Part<R, N>,
    x: [&Block; R],
    at: At<'_>,
    scale: usize,
) {
    let (factors, minima) = (at.factors::<N>(scale), at.minima::<N>(scale));
    for row in 0..R {
        // SAFETY: NEON is part of aarch64.
        unsafe {
            let scale = vdupq_n_f32(x[row].scales[at.step]);
            let worth = vdupq_n_f32(x[row].worths[at.step]);
            for register in 0..N {
                let total = &mut total[row][register];
                let dots = vmulq_f32(dots[row][register], scale);
                *total = vfmaq_f32(*total, dots, factors[register]);
                if MINIMA {
                    *total = vfmsq_f32(*total, worth, minima[register]);
                }
            }
        }
    }
}

/// The worth of a block whose steps share a factor.
#[inline(always)]
fn at_whole<const R: usize, const N: usize>(whole: &mut Part<R, N>, x: [&Block; R], at: At<'_>) {
    let (factors, minima) = (at.factors::<N>(0), at.minima::<N>(0));
    for (whole, x) in whole.iter_mut().zip(x) {
        for ((whole, factor), minimum) in whole.iter_mut().zip(factors).zip(minima) {
            // SAFETY: NEON is part of aarch64.
            unsafe {
                *whole = vfmsq_f32(vmulq_f32(*whole, factor), vdupq_n_f32(x.worth), minimum);
            }
        }
    }
}

/// `out += total`, for a part of it.
#[inline(always)]
fn add_to<const R: usize, const N: usize>(
    total: &Part<R, N>,
    part: usize,
    out: &mut [[f32; ROWS]],
) {
    for (total, out) in total.iter().zip(out) {
        let out = &mut out.as_chunks_mut::<WIDTH>().0[part * N..][..N];
        for (total, out) in total.iter().zip(out) {
            // SAFETY: four numbers.
            unsafe { vst1q_f32(out.as_mut_ptr(), vaddq_f32(vld1q_f32(out.as_ptr()), *total)) };
        }
    }
}

/// Part `part` of the numbers of a strip.
#[inline(always)]
fn load<const N: usize>(numbers: &[f32; ROWS], part: usize) -> [float32x4_t; N] {
    // SAFETY: NEON is part of aarch64.
    let mut out = unsafe { [vdupq_n_f32(0.0); N] };
    for (out, numbers) in out.iter_mut().zip(&numbers.as_chunks::<WIDTH>().0[part * N..][..N]) {
        // SAFETY: four numbers.
        *out = unsafe { vld1q_f32(numbers.as_ptr()) };
    }
    out
}
