//! Sums as the matrix products of Arm give them: those of two rows of activations times two of weights in a
//! register, for a tile of six rows times a strip.
#![expect(unsafe_code, reason = "intrinsics")]

use std::arch::aarch64::*;

use crate::blocking::ROWS;

/// Rows of activations in a tile, and pairs of them.
pub(super) const TILE: usize = 6;
pub(super) const PAIRS: usize = TILE / 2;
/// Pairs of weight rows in a strip.
pub(super) const COLUMNS: usize = ROWS / 2;

/// Sums of a tile.
pub(super) type Sums = [[float32x4_t; COLUMNS]; PAIRS];

/// The outputs of the rows that are there; the last one twice where it has no second.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn gather(out: &[[f32; ROWS]]) -> Sums {
    let mut sums = [[vdupq_n_f32(0.0); COLUMNS]; PAIRS];
    for (sums, out) in sums.iter_mut().zip(out.chunks(2)) {
        let rows = out[0].as_chunks::<4>().0.iter().zip(out[out.len() - 1].as_chunks::<4>().0);
        for ((first, second), sums) in rows.zip(sums.as_chunks_mut::<2>().0) {
            // SAFETY: four numbers each.
            let (first, second) =
                unsafe { (vld1q_f32(first.as_ptr()), vld1q_f32(second.as_ptr())) };
            *sums = exchange([first, second]);
        }
    }
    sums
}

/// The way back.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn scatter(sums: &Sums, out: &mut [[f32; ROWS]]) {
    for (sums, out) in sums.iter().zip(out.chunks_mut(2)) {
        for (place, sums) in sums.as_chunks::<2>().0.iter().enumerate() {
            for (row, out) in exchange(*sums).into_iter().zip(&mut *out) {
                // SAFETY: four numbers.
                unsafe { vst1q_f32(out.as_chunks_mut::<4>().0[place].as_mut_ptr(), row) };
            }
        }
    }
}

/// The lower halves of two registers, and the upper ones.
#[inline]
#[target_feature(enable = "neon")]
fn exchange(both: [float32x4_t; 2]) -> [float32x4_t; 2] {
    let (a, b) = (vreinterpretq_f64_f32(both[0]), vreinterpretq_f64_f32(both[1]));
    [vreinterpretq_f32_f64(vzip1q_f64(a, b)), vreinterpretq_f32_f64(vzip2q_f64(a, b))]
}
