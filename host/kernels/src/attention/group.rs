//! The query heads of one row that share a key and value head, over the tokens that the row sees.

use crate::{
    exp, plain,
    simd::{LANES, Simd},
    vector::{add_scaled, dot},
};

/// Keys that are met at once.
const KEYS: usize = 4;
/// Registers of an output that are summed up at once.
const WIDTH: usize = 4;

/// Consecutive tokens of a KV cache, both `(tokens, kv_heads, head_dim)`.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// Keys, already rotated.
    pub keys: &'a [f32],
    /// Values.
    pub values: &'a [f32],
}

/// What a group of heads reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group<'a> {
    /// (heads, head_dim)
    pub(crate) q: &'a [f32],
    pub(crate) pages: &'a [Page<'a>],
    /// Elements of a token's keys.
    pub(crate) width: usize,
    /// Where the group's part of them begins.
    pub(crate) offset: usize,
    pub(crate) head_dim: usize,
    pub(crate) scale: f32,
}

impl<'a> Group<'a> {
    /// Tokens that the row sees.
    pub(crate) fn tokens(&self) -> usize {
        self.pages.iter().map(|page| page.keys.len() / self.width).sum()
    }

    /// The group's part of a token.
    #[inline(always)]
    fn part(&self, side: &'a [f32], token: usize) -> &'a [[f32; LANES]] {
        side[token * self.width + self.offset..][..self.head_dim].as_chunks().0
    }
}

/// `out = softmax(scale * q · Kᵀ) · V`, with `scores` for room. A sum is formed in the order of its elements
/// or tokens, whichever heads and tokens are met at once.
#[inline(always)]
pub(crate) fn attend<S: Simd>(simd: S, group: &Group<'_>, scores: &mut Vec<f32>, out: &mut [f32]) {
    let tokens = group.tokens();
    if !group.head_dim.is_multiple_of(LANES) {
        return attend_by_token::<true>(group, scores, out);
    }
    scores.clear();
    scores.resize(tokens * out.len() / group.head_dim, 0.0);
    let queries = group.q.chunks(S::HEADS * group.head_dim);
    for (q, scores) in queries.zip(scores.chunks_mut(S::HEADS * tokens)) {
        match q.len() / group.head_dim {
            3 if S::HEADS >= 3 => score::<S, 3>(simd, group, q, scores),
            2 if S::HEADS >= 2 => score::<S, 2>(simd, group, q, scores),
            _ => score::<S, 1>(simd, group, q, scores),
        }
    }
    // A loop, for what an iterator calls is not compiled for the instructions.
    for scores in scores.chunks_exact_mut(tokens) {
        exp::softmax::<true>(scores);
    }
    let outs = out.chunks_mut(S::HEADS * group.head_dim);
    for (out, weights) in outs.zip(scores.chunks(S::HEADS * tokens)) {
        match out.len() / group.head_dim {
            3 if S::HEADS >= 3 => mix::<S, 3>(simd, group, weights, out),
            2 if S::HEADS >= 2 => mix::<S, 2>(simd, group, weights, out),
            _ => mix::<S, 1>(simd, group, weights, out),
        }
    }
}

/// The same for heads of any length, one head and one token at a time; without `FMA` in the plain way.
#[inline(always)]
pub(crate) fn attend_by_token<const FMA: bool>(
    group: &Group<'_>,
    scores: &mut Vec<f32>,
    out: &mut [f32],
) {
    let Group { q, pages, width, offset, head_dim, scale } = *group;
    for (q, out) in q.chunks_exact(head_dim).zip(out.chunks_exact_mut(head_dim)) {
        scores.clear();
        for keys in pages.iter().flat_map(|page| page.keys.chunks_exact(width)) {
            scores.push(dot::<FMA>(q, &keys[offset..offset + head_dim]) * scale);
        }
        if FMA {
            exp::softmax::<true>(scores)
        } else {
            plain::softmax(scores)
        }
        out.fill(0.0);
        let values = pages.iter().flat_map(|page| page.values.chunks_exact(width));
        for (values, weight) in values.zip(&*scores) {
            add_scaled::<FMA>(out, *weight, &values[offset..offset + head_dim]);
        }
    }
}

/// `scores = scale * q · Kᵀ` for `H` heads: `(H, tokens)`.
#[inline(always)]
fn score<S: Simd, const H: usize>(simd: S, group: &Group<'_>, q: &[f32], scores: &mut [f32]) {
    let tokens = scores.len() / H;
    let mut queries = [q.as_chunks::<LANES>().0; H];
    for (query, q) in queries.iter_mut().zip(q.chunks_exact(group.head_dim)) {
        *query = q.as_chunks().0;
    }
    let mut first = 0;
    for page in group.pages {
        let count = page.keys.len() / group.width;
        for token in (0..count).step_by(KEYS) {
            // Beyond the page the last token stands in.
            let mut keys = [group.part(page.keys, token); KEYS];
            for (index, key) in keys.iter_mut().enumerate() {
                *key = group.part(page.keys, (token + index).min(count - 1));
            }
            let dots = dots::<S, H>(simd, queries, keys);
            for (head, dots) in dots.into_iter().enumerate() {
                let at = head * tokens + first + token;
                for (score, dot) in scores[at..].iter_mut().zip(dots).take(count - token) {
                    *score = dot * group.scale;
                }
            }
        }
        first += count;
    }
}

/// Products of `H` queries and four keys.
#[inline(always)]
fn dots<S: Simd, const H: usize>(
    simd: S,
    queries: [&[[f32; LANES]]; H],
    keys: [&[[f32; LANES]]; KEYS],
) -> [[f32; KEYS]; H] {
    let mut sums = [[simd.splat(0.0); KEYS]; H];
    let [a, b, c, d] = keys;
    for (index, (((a, b), c), d)) in a.iter().zip(b).zip(c).zip(d).enumerate() {
        let keys = [simd.load(a), simd.load(b), simd.load(c), simd.load(d)];
        for (sums, query) in sums.iter_mut().zip(queries) {
            let query = simd.load(&query[index]);
            for (sum, key) in sums.iter_mut().zip(keys) {
                *sum = simd.multiply_add(query, key, *sum);
            }
        }
    }
    let mut out = [[0.0; KEYS]; H];
    for (out, sums) in out.iter_mut().zip(sums) {
        *out = simd.sums(sums);
    }
    out
}

/// `out = weights · V` for `H` heads: `(H, tokens)` to `(H, head_dim)`.
#[inline(always)]
fn mix<S: Simd, const H: usize>(simd: S, group: &Group<'_>, weights: &[f32], out: &mut [f32]) {
    let registers = group.head_dim / LANES;
    let (wide, rest) = (registers / WIDTH * WIDTH, registers % WIDTH);
    for first in (0..wide).step_by(WIDTH) {
        mix_part::<S, H, WIDTH>(simd, group, weights, first, out);
    }
    match rest {
        3 => mix_part::<S, H, 3>(simd, group, weights, wide, out),
        2 => mix_part::<S, H, 2>(simd, group, weights, wide, out),
        1 => mix_part::<S, H, 1>(simd, group, weights, wide, out),
        _ => {}
    }
}

/// `W` registers of each output, from register `first`.
#[inline(always)]
fn mix_part<S: Simd, const H: usize, const W: usize>(
    simd: S,
    group: &Group<'_>,
    weights: &[f32],
    first: usize,
    out: &mut [f32],
) {
    let tokens = weights.len() / H;
    let mut heads = [weights; H];
    for (head, weights) in heads.iter_mut().zip(weights.chunks_exact(tokens)) {
        *head = weights;
    }
    let mut sums = [[simd.splat(0.0); W]; H];
    let mut at = 0;
    for page in group.pages {
        for token in 0..page.values.len() / group.width {
            let values = &group.part(page.values, token)[first..first + W];
            let mut registers = [simd.splat(0.0); W];
            for (register, value) in registers.iter_mut().zip(values) {
                *register = simd.load(value);
            }
            for (sums, weights) in sums.iter_mut().zip(heads) {
                let weight = simd.splat(weights[at]);
                for (sum, value) in sums.iter_mut().zip(registers) {
                    *sum = simd.multiply_add(weight, value, *sum);
                }
            }
            at += 1;
        }
    }
    for (sums, out) in sums.into_iter().zip(out.chunks_exact_mut(group.head_dim)) {
        for (sum, out) in sums.into_iter().zip(&mut out.as_chunks_mut().0[first..first + W]) {
            simd.store(sum, out);
        }
    }
}
