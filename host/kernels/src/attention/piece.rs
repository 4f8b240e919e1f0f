//! A part of one call: some query vectors of one sequence that share a key and value head.

use std::ops::Range;

use super::{
    sequence::{Attending, Heads},
    state::State,
    vectors::{TILE, Tile, Vectors, spans},
};
use crate::table::Ops;

/// Vectors of a piece at most: several tiles, which share what a block costs to fetch.
const VECTORS_MAX: usize = 8 * TILE;

/// Query vectors `vectors` of a sequence, counted row by row and in a row head by head.
pub(super) struct Piece<'a> {
    sequence: &'a Attending<'a>,
    heads: Heads,
    kv_head: usize,
    vectors: Range<usize>,
}

/// Cuts sequences into pieces; about `wanted`, if their size allows. No sum depends on how they are cut.
pub(super) fn pieces<'a>(
    sequences: &'a [Attending<'a>],
    heads: Heads,
    wanted: usize,
) -> Vec<Piece<'a>> {
    let group = heads.heads / heads.kv_heads;
    let all: usize = sequences.iter().map(|sequence| sequence.rows.len() * heads.heads).sum();
    let most = (all / wanted.max(1) / TILE * TILE).clamp(TILE, VECTORS_MAX);
    let mut pieces = Vec::new();
    for sequence in sequences {
        let vectors = sequence.rows.len() * group;
        for kv_head in 0..heads.kv_heads {
            pieces.extend((0..vectors).step_by(most).map(|first| {
                let vectors = first..vectors.min(first + most);
                Piece { sequence, heads, kv_head, vectors }
            }));
        }
    }
    pieces
}

impl<'a> Piece<'a> {
    /// The spans that any of its vectors sees.
    pub(super) fn spans(&self) -> Range<usize> {
        let group = self.group();
        let rows = self.vectors.start / group..self.vectors.end.div_ceil(group);
        spans(self.sequence.sees[rows].iter())
    }

    /// It is worth taking apart: few vectors, as when decoding, and many tokens.
    pub(super) fn is_long(&self) -> bool {
        self.sequence.rows.len() * self.group() <= VECTORS_MAX && self.spans().len() > 1
    }

    /// Before its vectors have seen anything.
    pub(super) fn nothing(&self) -> State {
        State::new(self.vectors.len(), self.heads.head_dim)
    }

    /// What its vectors make of some spans.
    pub(super) fn attend(&self, q: &[f32], scale: f32, spans: Range<usize>, ops: &Ops) -> State {
        let vectors = self.gather(q, scale);
        let (mut all, mut one, mut room) = (self.nothing(), self.nothing(), Vec::new());
        for span in spans {
            (ops.attend)(&vectors, span, &mut room, &mut one);
            (ops.absorb)(&mut all, &one);
        }
        all
    }

    /// Where its vectors lie in queries and outputs: row, and elements of the row.
    pub(super) fn places(&self) -> impl Iterator<Item = (usize, Range<usize>)> {
        let Heads { head_dim, .. } = self.heads;
        let (group, first) = (self.group(), self.sequence.rows.start);
        self.vectors.clone().map(move |vector| {
            let head = self.kv_head * group + vector % group;
            (first + vector / group, head * head_dim..(head + 1) * head_dim)
        })
    }

    fn group(&self) -> usize {
        self.heads.heads / self.heads.kv_heads
    }

    fn gather(&self, q: &[f32], scale: f32) -> Vectors<'a> {
        let Heads { heads, head_dim, .. } = self.heads;
        let Attending { rows, sees, first, blocks } = self.sequence;
        let vectors: Vec<_> = self
            .places()
            .map(|(row, elements)| {
                let q = &q[row * heads * head_dim..][elements];
                (q, sees[row - rows.start].clone())
            })
            .collect();
        // Even tiles: seven vectors are four and three rather than six and one.
        let most = vectors.len().div_ceil(vectors.len().div_ceil(TILE).max(1)).max(1);
        let tiles = vectors.chunks(most).map(|vectors| Tile::new(vectors, scale)).collect();
        Vectors { tiles, blocks, first: *first, kv_head: self.kv_head, head_dim }
    }
}
