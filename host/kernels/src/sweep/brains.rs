//! The meaning of a sweep over weights in bf16 by activations that are rounded to bf16:
//! `out[r][n] += Σ_k x[r][k] * weights[k][n]` with f32 sums.

use crate::{activations::Brains, blocking::ROWS};

/// Bytes of an input: the weights of a strip.
const INPUT: usize = 2 * ROWS;

/// Adds to `out`, for each of its rows, the products of some inputs of a strip of packed weights. Rows of
/// activations come in pairs, of which one begins every `stride` fours.
pub(crate) fn sweep(packed: &[u8], x: &[Brains], stride: usize, out: &mut [[f32; ROWS]]) {
    let single = |brain: u16| f32::from_bits(u32::from(brain) << 16);
    for (row, out) in out.iter_mut().enumerate() {
        for (input, weights) in packed.as_chunks::<INPUT>().0.iter().enumerate() {
            let x = single(x[row / 2 * stride + input / 4][row % 2 * 4 + input % 4]);
            for (out, weight) in out.iter_mut().zip(weights.as_chunks().0) {
                *out += x * single(u16::from_le_bytes(*weight));
            }
        }
    }
}
