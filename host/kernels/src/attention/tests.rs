//! Attention against the naive formula, and that nothing but its own sequence changes a row.

use std::{ops::Range, sync::Arc};

use super::*;
use crate::{BLOCK_TOKENS, Isa, KvBlock, KvFormat, KvShape, samples::noise};

const FORMATS: [KvFormat; 3] = [KvFormat::F32, KvFormat::F16, KvFormat::Int8];

/// A sequence's queries, keys and values, `(tokens, heads, head_dim)`.
struct Sequence {
    heads: Heads,
    q: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl Sequence {
    fn new(heads: Heads, tokens: usize) -> Self {
        let Heads { heads: query_heads, kv_heads, head_dim } = heads;
        let numbers = |heads: usize, seed| noise(tokens * heads * head_dim, seed);
        let (q, keys) = (numbers(query_heads, 1), numbers(kv_heads, 2));
        Self { heads, q, keys, values: numbers(kv_heads, 3) }
    }

    fn blocks(&self, format: KvFormat) -> Vec<Arc<KvBlock>> {
        let Heads { kv_heads, head_dim, .. } = self.heads;
        let width = kv_heads * head_dim;
        let sides = [&self.keys, &self.values].map(|side| side.chunks(BLOCK_TOKENS * width));
        let [keys, values] = sides;
        let block = |(keys, values): (&[f32], &[f32])| {
            let mut block = KvBlock::new(KvShape { kv_heads, head_dim, format });
            for (at, (key, value)) in keys.chunks(width).zip(values.chunks(width)).enumerate() {
                block.write(at, key, value);
            }
            Arc::new(block)
        };
        keys.zip(values).map(block).collect()
    }

    /// The rows of some tokens, which see what `sees` says of their positions.
    fn attend(
        &self,
        tokens: Range<usize>,
        sees: impl Fn(usize) -> Range<usize>,
        (first, blocks): (usize, &[Arc<KvBlock>]),
        compute: &Compute,
    ) -> Vec<f32> {
        let row = self.heads.heads * self.heads.head_dim;
        let q = &self.q[tokens.start * row..tokens.end * row];
        let sees: Vec<_> = tokens.clone().map(sees).collect();
        let sequence = Attending { rows: 0..tokens.len(), sees, first, blocks };
        let mut out = vec![f32::NAN; q.len()];
        attention(q, &[sequence], self.heads, 0.3, &mut out, compute);
        out
    }

    /// One head of one row by the formula, in f64.
    fn naive(&self, token: usize, head: usize, sees: Range<usize>) -> Vec<f64> {
        let Heads { heads, kv_heads, head_dim } = self.heads;
        let of = |side: &[f32], token: usize, heads: usize, head: usize| {
            let part = &side[(token * heads + head) * head_dim..][..head_dim];
            part.iter().map(|x| f64::from(*x)).collect::<Vec<_>>()
        };
        let shared = head / (heads / kv_heads);
        let q = of(&self.q, token, heads, head);
        let (mut sum, mut out) = (0.0, vec![0.0; head_dim]);
        for token in sees {
            let key = of(&self.keys, token, kv_heads, shared);
            let score: f64 = q.iter().zip(key).map(|(q, k)| q * k).sum();
            let weight = (0.3 * score).exp();
            sum += weight;
            let value = of(&self.values, token, kv_heads, shared);
            out.iter_mut().zip(value).for_each(|(out, value)| *out += weight * value);
        }
        out.into_iter().map(|x| x / sum).collect()
    }
}

fn causal(token: usize) -> Range<usize> {
    0..token + 1
}

fn heads(heads: usize, kv_heads: usize, head_dim: usize) -> Heads {
    Heads { heads, kv_heads, head_dim }
}

#[test]
fn agrees_with_the_naive_formula() {
    let tokens: [usize; 8] = [0, 1, 63, 64, 130, 511, 512, 599];
    for heads in [heads(4, 2, 3), heads(7, 1, 16), heads(12, 2, 48), heads(2, 2, 128)] {
        let sequence = Sequence::new(heads, 600);
        for (format, bound) in FORMATS.into_iter().zip([1e-5, 2e-3, 2e-2]) {
            let blocks = sequence.blocks(format);
            for token in tokens {
                for sees in [0..token + 1, token.saturating_sub(70)..token + 1, 0..600] {
                    let compute = Compute::serving();
                    let cache = (0, &blocks[..]);
                    let out = sequence.attend(token..token + 1, |_| sees.clone(), cache, &compute);
                    for (head, out) in out.chunks(heads.head_dim).enumerate() {
                        let naive = sequence.naive(token, head, sees.clone());
                        for (ours, naive) in out.iter().zip(naive) {
                            let off = (f64::from(*ours) - naive).abs();
                            assert!(off < bound, "{heads:?} {format:?}: {ours} for {naive}");
                        }
                    }
                }
            }
        }
    }
}

/// All rows at once on one thread and on three, in chunks, and one by one.
fn check_order(heads: Heads, format: KvFormat, sees: impl Fn(usize) -> Range<usize> + Copy) {
    const TOKENS: usize = 1100;
    let sequence = Sequence::new(heads, TOKENS);
    let blocks = sequence.blocks(format);
    let cache = (0, &blocks[..]);
    let row = heads.heads * heads.head_dim;
    for isa in Isa::available() {
        let [alone, three] = [1, 3].map(|threads| Compute::new(isa, threads).unwrap());
        let all = sequence.attend(900..TOKENS, sees, cache, &alone);
        assert!(all == sequence.attend(900..TOKENS, sees, cache, &three), "{isa}: threads");
        for size in [1, 7, 90] {
            for (first, all) in (900..TOKENS).step_by(size).zip(all.chunks(size * row)) {
                let tokens = first..TOKENS.min(first + size);
                let part = sequence.attend(tokens, sees, cache, &three);
                assert!(part == all, "{isa} {format:?}: {size} rows from {first}");
            }
        }
    }
}

#[test]
fn neither_rows_nor_threads_nor_chunks_change_a_bit() {
    for format in FORMATS {
        check_order(heads(6, 2, 32), format, causal);
    }
    check_order(heads(3, 3, 16), KvFormat::F16, causal);
    check_order(heads(5, 1, 80), KvFormat::F16, |token| token.saturating_sub(99)..token + 1);
    check_order(heads(2, 1, 24), KvFormat::F16, |token| token.saturating_sub(599)..token + 1);
}

#[test]
fn blocks_that_nobody_sees_may_be_gone() {
    let sequence = Sequence::new(heads(4, 2, 16), 1100);
    let blocks = sequence.blocks(KvFormat::F16);
    let window = |token: usize| token.saturating_sub(69)..token + 1;
    for isa in Isa::available() {
        let compute = Compute::new(isa, 2).unwrap();
        let attend = |first: usize| {
            sequence.attend(1000..1100, window, (64 * first, &blocks[first..]), &compute)
        };
        assert!(attend(14) == attend(0), "{isa}");
    }
}

#[test]
fn sequences_do_not_notice_each_other() {
    let sequence = Sequence::new(heads(4, 2, 16), 700);
    let blocks = sequence.blocks(KvFormat::F16);
    let row = 64;
    let part = |rows: Range<usize>, tokens: Range<usize>| Attending {
        rows,
        sees: tokens.map(causal).collect(),
        first: 0,
        blocks: &blocks,
    };
    let q = &sequence.q[600 * row..640 * row];
    let mut out = vec![f32::NAN; q.len()];
    let parts = [part(30..31, 630..631), part(0..30, 600..630), part(31..40, 631..640)];
    attention(q, &parts, sequence.heads, 0.3, &mut out, &Compute::serving());
    let alone = sequence.attend(600..640, causal, (0, &blocks), &Compute::serving());
    assert!(out == alone);
}

fn ask(sees: Range<usize>, rows: [Range<usize>; 2]) {
    let sequence = Sequence::new(heads(4, 2, 16), 64);
    let blocks = sequence.blocks(KvFormat::F32);
    let parts =
        rows.map(|rows| Attending { rows, sees: vec![sees.clone()], first: 0, blocks: &blocks });
    let mut out = [0.0; 2 * 64];
    attention(&[0.0; 2 * 64], &parts, sequence.heads, 1.0, &mut out, &Compute::serving());
}

#[test]
#[should_panic(expected = "no block holds what a row sees")]
fn refuses_to_look_past_the_cache() {
    ask(0..65, [0..1, 1..2]);
}

#[test]
#[should_panic(expected = "a row sees nothing")]
fn refuses_a_row_that_sees_nothing() {
    ask(3..3, [0..1, 1..2]);
}

#[test]
#[should_panic(expected = "a row is of two sequences")]
fn refuses_a_row_of_two_sequences() {
    ask(0..64, [0..1, 0..1]);
}
