//! What attention is asked for.

use std::{ops::Range, sync::Arc};

use crate::kv::{BLOCK_TOKENS, KvBlock};

/// How a row of queries, keys or values is divided. `heads` is a multiple of `kv_heads`: neighbouring
/// query heads share a key and value head (grouped-query attention, arXiv 2305.13245).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Elements of a head.
    pub head_dim: usize,
}

/// New tokens of one sequence, and its cache.
#[derive(Debug, Clone)]
pub struct Attending<'a> {
    /// Their rows among the queries.
    pub rows: Range<usize>,
    /// The positions that each of them sees, at least one: a causal mask or a window is a matter of these.
    pub sees: Vec<Range<usize>>,
    /// Position of the first token in the blocks: a multiple of [`BLOCK_TOKENS`].
    pub first: usize,
    /// Keys, already rotated, and values of one layer, oldest first. All that is seen has been written.
    pub blocks: &'a [Arc<KvBlock>],
}

impl Attending<'_> {
    /// # Panics
    /// When anything is not as it says.
    pub(super) fn check(&self, heads: Heads) {
        assert_eq!(self.rows.len(), self.sees.len(), "rows and what they see differ in number");
        assert!(self.first.is_multiple_of(BLOCK_TOKENS), "the cache begins within a block");
        let held = self.first..self.first + self.blocks.len() * BLOCK_TOKENS;
        for sees in &self.sees {
            assert!(!sees.is_empty(), "a row sees nothing");
            assert!(
                held.start <= sees.start && sees.end <= held.end,
                "no block holds what a row sees"
            );
        }
        let fits = |block: &Arc<KvBlock>| {
            (block.shape().kv_heads, block.shape().head_dim) == (heads.kv_heads, heads.head_dim)
        };
        assert!(self.blocks.iter().all(fits), "the cache has other heads");
    }

    /// Tokens that are seen, of all rows together.
    pub(super) fn seen(&self) -> usize {
        self.sees.iter().map(Range::len).sum()
    }
}
