//! The sweep over weights in bf16 by activations rounded to bf16, of which `brains.rs` is the meaning, with the
//! matrix products of FEAT_BF16: BFMMLA adds the products of two rows of activations with two rows of weights,
//! four inputs each, to four sums. Six rows times half a strip keep 24 registers of such sums: its latency is
//! six times its four pipes.
//!
//! A row's sums are formed input by input in fours, whatever rows it meets weights with.
#![expect(unsafe_code, reason = "intrinsics, and an instruction that has none yet")]

use std::arch::{aarch64::*, asm};

use super::{
    pairs::{COLUMNS, Sums, TILE, gather, scatter},
    stream::prefetch,
};
use crate::{activations::Brains, blocking::ROWS, simd::neon::Dotprod};

/// Bytes of four inputs of a strip.
const FOUR: usize = 4 * 2 * ROWS;
/// Fours that are interleaved at once: what the nearest cache holds beside activations.
const FOURS: usize = 64;
/// How far ahead of its use a line is asked for, in bytes.
const AHEAD: usize = 8192;

/// Four inputs of pairs of weight rows.
type Paired = [Brains; COLUMNS];

/// Adds to `out`, for each of its rows, the products of some inputs of a strip of packed weights. Rows of
/// activations come in pairs, of which one begins every `stride` fours.
#[target_feature(enable = "neon,bf16")]
pub(crate) fn sweep(
    simd: Dotprod,
    packed: &[u8],
    x: &[Brains],
    stride: usize,
    out: &mut [[f32; ROWS]],
) {
    let mut weights = [[[0; 8]; COLUMNS]; FOURS];
    for (index, packed) in packed.chunks(FOURS * FOUR).enumerate() {
        let fours = packed.len().div_ceil(FOUR);
        for (packed, weights) in packed.chunks(FOUR).zip(&mut weights) {
            prefetch(simd, packed, AHEAD);
            match packed.first_chunk() {
                Some(four) => interleave(four, weights),
                None => {
                    let mut four = [0; FOUR];
                    four[..packed.len()].copy_from_slice(packed);
                    interleave(&four, weights);
                }
            }
        }
        let x = &x[index * FOURS..];
        for (tile, out) in out.chunks_mut(TILE).enumerate() {
            let x = &x[tile * TILE / 2 * stride..];
            let mut sums = gather(out);
            match out.len() {
                1 | 2 => add::<1, 16>(&weights[..fours], x, stride, &mut sums),
                3 | 4 => add::<2, 8>(&weights[..fours], x, stride, &mut sums),
                _ => add::<3, 8>(&weights[..fours], x, stride, &mut sums),
            }
            scatter(&sums, out);
        }
    }
}

/// Interleaves four inputs of a strip: those of a row of weights come to lie side by side.
#[inline]
#[target_feature(enable = "neon")]
fn interleave(four: &[u8; FOUR], out: &mut Paired) {
    let inputs = four.as_chunks::<{ 2 * ROWS }>().0;
    for (eight, out) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        // SAFETY: 16 bytes.
        let load = |input: usize| unsafe {
            vreinterpretq_u16_u8(vld1q_u8(inputs[input].as_chunks::<16>().0[eight].as_ptr()))
        };
        let zip = |a, b| {
            [vreinterpretq_u32_u16(vzip1q_u16(a, b)), vreinterpretq_u32_u16(vzip2q_u16(a, b))]
        };
        let [first, second] = [zip(load(0), load(1)), zip(load(2), load(3))];
        for (half, out) in out.as_chunks_mut::<2>().0.iter_mut().enumerate() {
            store(vzip1q_u32(first[half], second[half]), &mut out[0]);
            store(vzip2q_u32(first[half], second[half]), &mut out[1]);
        }
    }
}

/// Adds to `N` columns of pairs at a time the products of `P` pairs of rows.
#[inline]
#[target_feature(enable = "neon,bf16")]
fn add<const P: usize, const N: usize>(
    weights: &[Paired],
    x: &[Brains],
    stride: usize,
    sums: &mut Sums,
) {
    let mut rows = [&x[..weights.len()]; P];
    for (pair, row) in rows.iter_mut().enumerate() {
        *row = &x[pair * stride..][..weights.len()];
    }
    for part in 0..COLUMNS / N {
        let mut total = [[vdupq_n_f32(0.0); N]; P];
        for (total, sums) in total.iter_mut().zip(&*sums) {
            *total = sums.as_chunks::<N>().0[part];
        }
        for (index, weights) in weights.iter().enumerate() {
            let mut x = [vdupq_n_u16(0); P];
            for (x, row) in x.iter_mut().zip(rows) {
                *x = load(&row[index]);
            }
            for (column, weights) in weights.as_chunks::<N>().0[part].iter().enumerate() {
                let weights = load(weights);
                for (total, x) in total.iter_mut().zip(x) {
                    // SAFETY: this function is compiled for the instruction.
                    total[column] = unsafe { bfmmla(total[column], x, weights) };
                }
            }
        }
        for (sums, total) in sums.iter_mut().zip(total) {
            sums.as_chunks_mut::<N>().0[part] = total;
        }
    }
}

/// Adds to four sums the products of two times four bf16 with two times four.
///
/// # Safety
/// The machine has FEAT_BF16.
#[inline(always)]
unsafe fn bfmmla(sums: float32x4_t, a: uint16x8_t, b: uint16x8_t) -> float32x4_t {
    let mut sums = sums;
    // SAFETY: the caller's promise; registers alone.
    unsafe {
        asm!(
            ".arch_extension bf16",
            "bfmmla {sums:v}.4s, {a:v}.8h, {b:v}.8h",
            sums = inout(vreg) sums,
            a = in(vreg) a,
            b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}

#[inline]
#[target_feature(enable = "neon")]
fn load(brains: &Brains) -> uint16x8_t {
    // SAFETY: eight numbers.
    unsafe { vld1q_u16(brains.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn store(brains: uint32x4_t, out: &mut Brains) {
    // SAFETY: eight numbers.
    unsafe { vst1q_u16(out.as_mut_ptr(), vreinterpretq_u16_u32(brains)) }
}
