//! Attention of tiles of query vectors, block by block: products of queries and keys, weights under an online
//! softmax, and the weighted sum of values (FlashAttention, arXiv 2205.14135). Every sum is formed in the order of
//! its elements or tokens, whichever vectors are met at once.

use super::{
    plain::attend_plainly,
    state::State,
    vectors::{TILE, Tile, Vectors, overlap},
};
use crate::{
    exp::exp,
    kv::{BLOCK_TOKENS, HeadOf, Number, Sides},
    simd::{LANES, Simd},
};

/// Registers of a block's tokens.
const REGISTERS: usize = BLOCK_TOKENS / LANES;
/// Tiles for which it pays to make a block f32 once.
const WIDEN_FROM: usize = 3;

/// Weights, or scores before that, of `R` vectors for the tokens of a block.
type Scores<const R: usize> = [[f32; BLOCK_TOKENS]; R];

/// What the vectors make of one span. `room` is for a block in f32.
#[inline(always)]
pub(crate) fn attend<S: Simd>(
    simd: S,
    vectors: &Vectors<'_>,
    span: usize,
    room: &mut Vec<f32>,
    state: &mut State,
) {
    if !vectors.head_dim.is_multiple_of(LANES) {
        return attend_plainly::<true>(vectors, span, room, state);
    }
    state.clear();
    let wide = vectors.tiles.len() >= WIDEN_FROM;
    let mut blocks = vectors.blocks(span).peekable();
    while let Some((begin, block)) = blocks.next() {
        let next = blocks.peek().map(|(_, block)| block.address(vectors.kv_head));
        let meeting = Meeting { vectors, begin, cold: !wide, next: next.filter(|_| !wide) };
        match block.head(vectors.kv_head) {
            HeadOf::F32(sides) => meeting.tiles(simd, sides, state),
            HeadOf::F16(sides) if wide => meeting.tiles(simd, widened(simd, sides, room), state),
            HeadOf::F16(sides) => meeting.tiles(simd, sides, state),
            HeadOf::Int8(sides) if wide => meeting.tiles(simd, widened(simd, sides, room), state),
            HeadOf::Int8(sides) => meeting.tiles(simd, sides, state),
        }
    }
}

/// Vectors and a block.
struct Meeting<'a> {
    vectors: &'a Vectors<'a>,
    /// Position of the block's first token.
    begin: usize,
    /// It comes from memory, so its values are asked for before they are needed.
    cold: bool,
    /// Where the keys of the block after it are; they are asked for as well.
    next: Option<*const u8>,
}

/// The same numbers as f32.
#[inline(always)]
fn widened<'r, S: Simd, N: Number>(
    simd: S,
    sides: Sides<'r, N>,
    room: &'r mut Vec<f32>,
) -> Sides<'r, f32> {
    room.resize(2 * sides.keys.len(), 0.0);
    let (keys, values) = room.split_at_mut(sides.keys.len());
    for (out, from) in [(&mut *keys, sides.keys), (&mut *values, sides.values)] {
        for (out, from) in out.as_chunks_mut().0.iter_mut().zip(from.as_chunks().0) {
            simd.store(N::load(simd, from), out);
        }
    }
    Sides { keys, values, scales: sides.scales }
}

impl Meeting<'_> {
    /// All tiles that see some of the block, each with as many registers of sums as there are.
    #[inline(always)]
    fn tiles<S: Simd, N: Number>(&self, simd: S, sides: Sides<'_, N>, state: &mut State) {
        let Self { begin, cold, next, .. } = *self;
        let mut at = 0;
        for tile in &self.vectors.tiles {
            let reach = tile.reach(begin);
            let part = Part { tile, begin, reach, sides, cold, next, at, state };
            if reach > 0 {
                match tile.sees.len() {
                    TILE if S::WIDE => part.meet::<S, TILE, 4>(simd),
                    TILE => part.meet::<S, TILE, 1>(simd),
                    5 if S::WIDE => part.meet::<S, 5, 4>(simd),
                    5 => part.meet::<S, 5, 1>(simd),
                    4 if S::WIDE => part.meet::<S, 4, 4>(simd),
                    4 => part.meet::<S, 4, 1>(simd),
                    3 if S::WIDE => part.meet::<S, 3, 4>(simd),
                    3 => part.meet::<S, 3, 1>(simd),
                    2 if S::WIDE => part.meet::<S, 2, 4>(simd),
                    2 => part.meet::<S, 2, 2>(simd),
                    _ => part.meet::<S, 1, 4>(simd),
                }
            }
            at += tile.sees.len();
        }
    }
}

/// One tile and one block.
struct Part<'a, N> {
    tile: &'a Tile,
    /// Position of the block's first token.
    begin: usize,
    /// Tokens of the block until the last that is seen.
    reach: usize,
    sides: Sides<'a, N>,
    cold: bool,
    next: Option<*const u8>,
    /// Which of the state's vectors is the tile's first.
    at: usize,
    state: &'a mut State,
}

impl<N: Number> Part<'_, N> {
    /// `R` vectors; `C` registers of sums for each.
    #[inline(always)]
    fn meet<S: Simd, const R: usize, const C: usize>(self, simd: S) {
        let Self { tile, begin, reach, sides, cold, next, at, state } = self;
        let head_dim = tile.columns.len() / R;
        let mixed = &mut state.mixed[at * head_dim..][..R * head_dim];
        let mut scores = [[0.0; BLOCK_TOKENS]; R];
        score::<S, N, R, C>(simd, tile.columns.as_chunks().0, sides, cold, &mut scores);
        for row in 0..R {
            let scores = &mut scores[row];
            if let Some([scales, _]) = sides.scales {
                scale(scores, scales);
            }
            let seen = overlap(&tile.sees[row], begin);
            scores[..seen.start].fill(f32::NEG_INFINITY);
            scores[seen.end..].fill(f32::NEG_INFINITY);
            let (before, sums) = (&mut state.greatest[at + row], &mut state.sums[at + row]);
            let after = greatest(scores, *before);
            if after > *before {
                let kept = exp::<true>(*before - after);
                scale(sums, &[kept; LANES]);
                mixed[row * head_dim..][..head_dim].iter_mut().for_each(|x| *x *= kept);
                *before = after;
            }
            weigh(scores, after, sums);
            if let Some([_, scales]) = sides.scales {
                scale(scores, scales);
            }
        }
        mix::<S, N, R, C>(simd, &scores, sides.values, (reach, next), mixed);
    }
}

#[inline(always)]
fn scale<const L: usize>(numbers: &mut [f32; L], scales: &[f32; L]) {
    for (number, scale) in numbers.iter_mut().zip(scales) {
        *number *= scale;
    }
}

/// The greatest of the scores and of what was before.
#[inline(always)]
fn greatest(scores: &[f32; BLOCK_TOKENS], before: f32) -> f32 {
    let mut lanes = [before; LANES];
    for scores in scores.as_chunks::<LANES>().0 {
        for (lane, score) in lanes.iter_mut().zip(scores) {
            *lane = if *score > *lane { *score } else { *lane };
        }
    }
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            let other = lanes[lane + half];
            lanes[lane] = if other > lanes[lane] { other } else { lanes[lane] };
        }
        half /= 2;
    }
    lanes[0]
}

/// Scores to weights under the greatest; adds them to `sums`.
#[inline(always)]
fn weigh(scores: &mut [f32; BLOCK_TOKENS], greatest: f32, sums: &mut [f32; LANES]) {
    for scores in scores.as_chunks_mut::<LANES>().0 {
        for (score, sum) in scores.iter_mut().zip(&mut *sums) {
            *score = exp::<true>(*score - greatest);
            *sum += *score;
        }
    }
}

/// `scores = q · Kᵀ` for queries `(head_dim, R)` and keys `(head_dim, tokens)`; asks for the values of a cold
/// block.
#[inline(always)]
fn score<S: Simd, N: Number, const R: usize, const C: usize>(
    simd: S,
    queries: &[[f32; R]],
    sides: Sides<'_, N>,
    cold: bool,
    scores: &mut Scores<R>,
) {
    let keys = sides.keys.as_chunks::<LANES>().0.as_chunks::<REGISTERS>().0;
    let values = sides.values.as_chunks::<BLOCK_TOKENS>().0;
    for first in (0..REGISTERS).step_by(C) {
        let mut sums = [[simd.splat(0.0); C]; R];
        for ((query, keys), values) in queries.iter().zip(keys).zip(values) {
            if cold && first == 0 {
                ask(simd, values.as_ptr().cast(), size_of_val(values));
            }
            let mut registers = [simd.splat(0.0); C];
            for column in 0..C {
                registers[column] = N::load(simd, &keys[first + column]);
            }
            for row in 0..R {
                let x = simd.splat(query[row]);
                for column in 0..C {
                    sums[row][column] = simd.multiply_add(x, registers[column], sums[row][column]);
                }
            }
        }
        for row in 0..R {
            let out = scores[row].as_chunks_mut::<LANES>().0;
            for column in 0..C {
                simd.store(sums[row][column], &mut out[first + column]);
            }
        }
    }
}

/// Asks for some bytes, which need not be there.
#[inline(always)]
fn ask<S: Simd>(simd: S, start: *const u8, bytes: usize) {
    const LINE: usize = 64;
    for offset in (0..bytes).step_by(LINE) {
        simd.prefetch(start.wrapping_add(offset));
    }
}

/// `mixed += weights · V` over the first `reach` tokens, for values `(tokens, head_dim)`; asks for what comes
/// next.
#[inline(always)]
fn mix<S: Simd, N: Number, const R: usize, const C: usize>(
    simd: S,
    weights: &Scores<R>,
    values: &[N],
    (reach, next): (usize, Option<*const u8>),
    mixed: &mut [f32],
) {
    let (values, mixed) = (values.as_chunks::<LANES>().0, mixed.as_chunks_mut::<LANES>().0);
    let registers = mixed.len() / R;
    let whole = registers / C * C;
    for first in (0..whole).step_by(C) {
        let next = next.filter(|_| first == 0);
        mix_columns::<S, N, R, C>(simd, weights, values, (reach, next), first, mixed);
    }
    for first in whole..registers {
        mix_columns::<S, N, R, 1>(simd, weights, values, (reach, None), first, mixed);
    }
}

/// `C` registers of each vector, from register `first`.
#[inline(always)]
fn mix_columns<S: Simd, N: Number, const R: usize, const C: usize>(
    simd: S,
    weights: &Scores<R>,
    values: &[[N; LANES]],
    (reach, next): (usize, Option<*const u8>),
    first: usize,
    mixed: &mut [[f32; LANES]],
) {
    let registers = mixed.len() / R;
    let mut sums = [[simd.splat(0.0); C]; R];
    for row in 0..R {
        for column in 0..C {
            sums[row][column] = simd.load(&mixed[row * registers + first + column]);
        }
    }
    for (token, values) in values.chunks_exact(registers).take(reach.min(BLOCK_TOKENS)).enumerate()
    {
        if let Some(next) = next {
            ask(simd, next.wrapping_add(token * size_of_val(values)), size_of_val(values));
        }
        let values = &values[first..first + C];
        let mut loaded = [simd.splat(0.0); C];
        for column in 0..C {
            loaded[column] = N::load(simd, &values[column]);
        }
        for row in 0..R {
            let weight = simd.splat(weights[row][token]);
            for column in 0..C {
                sums[row][column] = simd.multiply_add(weight, loaded[column], sums[row][column]);
            }
        }
    }
    for row in 0..R {
        for column in 0..C {
            simd.store(sums[row][column], &mut mixed[row * registers + first + column]);
        }
    }
}
