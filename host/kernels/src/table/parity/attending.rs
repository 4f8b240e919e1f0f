//! Attention of spans: vectors of every number and head length, caches of every format.

use std::sync::Arc;

use super::{SCALAR, close};
use crate::{
    Isa, KvBlock, KvFormat, KvShape,
    attention::{State, Tile, Vectors},
    samples::noise,
    table::ops::Attend,
};

/// Two spans, the second of them ragged.
const TOKENS: usize = 600;

fn blocks(head_dim: usize, format: KvFormat) -> Vec<Arc<KvBlock>> {
    let shape = KvShape { kv_heads: 2, head_dim, format };
    let block = |seed: u32| {
        let mut block = KvBlock::new(shape);
        for at in 0..64 {
            let side = |side: u32| noise(2 * head_dim, 1 + seed * 128 + 2 * at as u32 + side);
            block.write(at, &side(0), &side(1));
        }
        Arc::new(block)
    };
    (0..TOKENS.div_ceil(64) as u32).map(block).collect()
}

/// What all heads make of both spans, first to last.
fn outputs(
    vectors: &Vectors<'_>,
    count: usize,
    head_dim: usize,
    attend: Attend,
    absorb: fn(&mut State, &State),
) -> Vec<f32> {
    let [mut all, mut one] = [(); 2].map(|()| State::new(count, head_dim));
    for span in 0..2 {
        attend(vectors, span, &mut Vec::new(), &mut one);
        absorb(&mut all, &one);
    }
    let mut out = vec![f32::NAN; count * head_dim];
    for (vector, out) in out.chunks_mut(head_dim).enumerate() {
        all.write(vector, out);
    }
    out
}

/// Sharp scores are among them, and vectors that see little, from the middle on, or all.
pub(super) fn attending(isa: Isa, attend: Attend, absorb: fn(&mut State, &State)) {
    for (count, head_dim) in
        [(1, 64), (2, 128), (3, 16), (4, 80), (5, 96), (6, 32), (20, 24), (20, 48)]
    {
        for format in [KvFormat::F32, KvFormat::F16, KvFormat::Int8] {
            for scale in [0.1, 3.0] {
                let blocks = blocks(head_dim, format);
                let q = noise(count * head_dim, 9);
                let sees = [0..1, 3..70, 500..TOKENS, 0..TOKENS].into_iter().cycle();
                let all: Vec<_> = q.chunks(head_dim).zip(sees).collect();
                let tiles = all.chunks(6).map(|tile| Tile::new(tile, scale)).collect();
                let vectors = Vectors { tiles, blocks: &blocks, first: 0, kv_head: 1, head_dim };
                let ours = outputs(&vectors, count, head_dim, attend, absorb);
                let scalar = outputs(&vectors, count, head_dim, SCALAR.attend, SCALAR.absorb);
                for (ours, scalar) in ours.iter().zip(&scalar) {
                    let what = format!("{isa} attention of {count} by {head_dim}, {format:?}");
                    close(*ours, *scalar, 10.0, &what);
                }
            }
        }
    }
}
