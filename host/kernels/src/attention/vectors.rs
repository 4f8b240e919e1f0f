//! Query vectors that share a key and value head, and what they see of its cache.

use std::{ops::Range, sync::Arc};

use crate::kv::{BLOCK_TOKENS, KvBlock};

/// Query vectors whose sums fit the registers.
pub(super) const TILE: usize = 6;
/// Blocks of a span. What vectors see is summed up span by span, counted from the first token of the sequence,
/// and then over the spans in their order, whichever threads took them: so the result is always the same.
const SPAN_BLOCKS: usize = 8;
const SPAN_TOKENS: usize = SPAN_BLOCKS * BLOCK_TOKENS;

/// Some query vectors that are computed together.
#[derive(Debug)]
pub(crate) struct Tile {
    /// Scaled, `(head_dim, vectors)`.
    pub(super) columns: Vec<f32>,
    /// The positions that each of them sees.
    pub(super) sees: Vec<Range<usize>>,
}

/// Query vectors of one key and value head.
#[derive(Debug)]
pub(crate) struct Vectors<'a> {
    pub(crate) tiles: Vec<Tile>,
    /// Blocks of the cache, and the position of the first token in them.
    pub(crate) blocks: &'a [Arc<KvBlock>],
    pub(crate) first: usize,
    pub(crate) kv_head: usize,
    pub(crate) head_dim: usize,
}

impl Tile {
    /// At most [`TILE`] vectors `(head_dim)`, and what each of them sees.
    pub(crate) fn new(vectors: &[(&[f32], Range<usize>)], scale: f32) -> Self {
        let head_dim = vectors.first().map_or(0, |(q, _)| q.len());
        let mut columns = vec![0.0; vectors.len() * head_dim];
        for (index, (q, _)) in vectors.iter().enumerate() {
            for (column, x) in columns.chunks_exact_mut(vectors.len()).zip(*q) {
                column[index] = x * scale;
            }
        }
        Self { columns, sees: vectors.iter().map(|(_, sees)| sees.clone()).collect() }
    }

    /// Where the last of the tokens that any of its vectors sees ends in the block that begins at `begin`:
    /// zero where none sees any.
    pub(super) fn reach(&self, begin: usize) -> usize {
        self.sees.iter().map(|sees| overlap(sees, begin).end).max().unwrap_or(0)
    }
}

impl Vectors<'_> {
    /// The blocks of a span that any vector sees, each with the position where it begins.
    pub(super) fn blocks(&self, span: usize) -> impl Iterator<Item = (usize, &KvBlock)> {
        let sees = self.tiles.iter().flat_map(|tile| &tile.sees);
        let (start, end) = bounds(sees);
        let start = start.max(span * SPAN_TOKENS).max(self.first) - self.first;
        let end = end.min((span + 1) * SPAN_TOKENS).max(self.first) - self.first;
        let indices = start / BLOCK_TOKENS..end.div_ceil(BLOCK_TOKENS);
        indices.map(|index| (self.first + index * BLOCK_TOKENS, &*self.blocks[index]))
    }
}

/// Places of a block that begins at `begin` which are in `sees`.
pub(super) fn overlap(sees: &Range<usize>, begin: usize) -> Range<usize> {
    let place = |position: usize| position.saturating_sub(begin).min(BLOCK_TOKENS);
    if place(sees.start) < place(sees.end) { place(sees.start)..place(sees.end) } else { 0..0 }
}

/// The spans in which any of these begins to end.
pub(super) fn spans<'r>(sees: impl Iterator<Item = &'r Range<usize>> + Clone) -> Range<usize> {
    let (start, end) = bounds(sees);
    start / SPAN_TOKENS..end.div_ceil(SPAN_TOKENS)
}

/// From the first to the last position that any sees.
fn bounds<'r>(sees: impl Iterator<Item = &'r Range<usize>> + Clone) -> (usize, usize) {
    let start = sees.clone().map(|sees| sees.start).min().unwrap_or(0);
    (start, sees.map(|sees| sees.end).max().unwrap_or(0))
}
