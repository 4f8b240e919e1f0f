//! Attention one query vector at a time: the meaning of the tiled one, and what serves heads of any length.

use std::ops::Range;

use super::{
    state::State,
    vectors::{Vectors, overlap},
};
use crate::{
    exp::exp,
    kv::{BLOCK_TOKENS, HeadOf, Number, Sides},
    vector::{add_scaled, multiply_add},
};

/// What the vectors make of one span; without `FMA` in the plain way, with the library's exponential.
/// `room` is for scores.
#[inline(always)]
pub(crate) fn attend_plainly<const FMA: bool>(
    vectors: &Vectors<'_>,
    span: usize,
    room: &mut Vec<f32>,
    state: &mut State,
) {
    state.clear();
    let mut index = 0;
    for tile in &vectors.tiles {
        for (row, sees) in tile.sees.iter().enumerate() {
            let q = tile.columns.iter().skip(row).step_by(tile.sees.len());
            let q: Vec<f32> = q.copied().collect();
            room.clear();
            for (begin, block) in vectors.blocks(span) {
                let seen = overlap(sees, begin);
                match block.head(vectors.kv_head) {
                    HeadOf::F32(sides) => score::<f32, FMA>(&q, sides, seen, room),
                    HeadOf::F16(sides) => score::<_, FMA>(&q, sides, seen, room),
                    HeadOf::Int8(sides) => score::<_, FMA>(&q, sides, seen, room),
                }
            }
            weigh::<FMA>(room, index, state);
            let out = &mut state.mixed[index * q.len()..][..q.len()];
            let mut weights = &room[..];
            for (begin, block) in vectors.blocks(span) {
                let (here, rest) = weights.split_at(overlap(sees, begin).len());
                let first = overlap(sees, begin).start;
                match block.head(vectors.kv_head) {
                    HeadOf::F32(sides) => mix::<f32, FMA>(here, sides, first, out),
                    HeadOf::F16(sides) => mix::<_, FMA>(here, sides, first, out),
                    HeadOf::Int8(sides) => mix::<_, FMA>(here, sides, first, out),
                }
                weights = rest;
            }
            index += 1;
        }
    }
}

/// Appends the scores of the tokens that are seen.
#[inline(always)]
fn score<N: Number, const FMA: bool>(
    q: &[f32],
    sides: Sides<'_, N>,
    seen: Range<usize>,
    scores: &mut Vec<f32>,
) {
    let mut sums = [0.0; BLOCK_TOKENS];
    for (x, keys) in q.iter().zip(sides.keys.as_chunks::<BLOCK_TOKENS>().0) {
        for (sum, key) in sums.iter_mut().zip(keys) {
            *sum = multiply_add::<FMA>(*x, key.number(), *sum);
        }
    }
    if let Some([scales, _]) = sides.scales {
        sums.iter_mut().zip(scales).for_each(|(sum, scale)| *sum *= scale);
    }
    scores.extend_from_slice(&sums[seen]);
}

/// Scores to weights under the greatest.
#[inline(always)]
fn weigh<const FMA: bool>(scores: &mut [f32], index: usize, state: &mut State) {
    let mut greatest = state.greatest[index];
    for score in &*scores {
        greatest = if *score > greatest { *score } else { greatest };
    }
    let mut sum = 0.0;
    for score in scores {
        *score = if FMA { exp::<true>(*score - greatest) } else { (*score - greatest).exp() };
        sum += *score;
    }
    state.greatest[index] = greatest;
    state.sums[index][0] = sum;
}

/// `out += weights · values` of the tokens from place `first`.
#[inline(always)]
fn mix<N: Number, const FMA: bool>(
    weights: &[f32],
    sides: Sides<'_, N>,
    first: usize,
    out: &mut [f32],
) {
    let mut numbers = vec![0.0; out.len()];
    let values = sides.values.chunks_exact(out.len()).skip(first);
    for (place, (values, weight)) in values.zip(weights).enumerate() {
        for (number, value) in numbers.iter_mut().zip(values) {
            *number = value.number();
        }
        let scale = sides.scales.map_or(1.0, |[_, scales]| scales[first + place]);
        add_scaled::<FMA>(out, weight * scale, &numbers);
    }
}
