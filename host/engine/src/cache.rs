//! Keys and values of one sequence, grown block by block and never recomputed. Sequences that begin alike share
//! blocks; who writes into a shared one gets a copy of it.

use std::sync::Arc;

use signalbox_kernels::{BLOCK_TOKENS, Compute, KvBlock, KvPool};

/// The KV cache of one sequence. Clones share what they hold.
#[derive(Clone)]
pub(crate) struct KvCache {
    pool: Arc<KvPool>,
    /// Tokens that every layer holds, or held.
    len: usize,
    /// The rotary regime the keys were written in; see [`crate::spec::Rope::angles`].
    long: bool,
    layers: Vec<LayerCache>,
}

/// The part of one layer.
#[derive(Clone)]
struct LayerCache {
    /// Where there is a window, older tokens are seen no more; their blocks stay until they are
    /// [forgotten](KvCache::forget_unseen), for a sequence that begins alike may end within them.
    window: Option<usize>,
    /// Blocks that are gone.
    gone: usize,
    blocks: Vec<Arc<KvBlock>>,
}

impl KvCache {
    /// An empty cache, for layers with these windows.
    pub(crate) fn new(
        pool: &Arc<KvPool>,
        windows: impl Iterator<Item = Option<usize>>,
        long: bool,
    ) -> Self {
        let layer = |window| LayerCache { window, gone: 0, blocks: Vec::new() };
        Self { pool: Arc::clone(pool), len: 0, long, layers: windows.map(layer).collect() }
    }

    /// Tokens of the sequence so far.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether keys are rotated for long contexts.
    pub(crate) fn is_long(&self) -> bool {
        self.long
    }

    /// Blocks that `tokens` more tokens take at most.
    pub(crate) fn needs(&self, tokens: usize) -> usize {
        let end = (self.len + tokens).div_ceil(BLOCK_TOKENS);
        self.layers.iter().map(|layer| layer.needs(end, self.len)).sum()
    }

    /// Writes one layer's keys and values, `(tokens, kv_heads, head_dim)`, of the tokens from `position`, which is at
    /// most one past the last one written. Positions that are not yet [advanced](Self::advance) over can be read
    /// already.
    pub(crate) fn write(
        &mut self,
        layer: usize,
        position: usize,
        keys: &[f32],
        values: &[f32],
        compute: &Compute,
    ) {
        /// What an element costs beside a multiplication.
        const COST: usize = 8;
        let shape = self.pool.shape();
        let width = shape.kv_heads * shape.head_dim;
        let layer = &mut self.layers[layer];
        let end = position + keys.len() / width;
        while (layer.gone + layer.blocks.len()) * BLOCK_TOKENS < end {
            layer.blocks.push(Arc::new(KvBlock::of(&self.pool)));
        }
        let first = position / BLOCK_TOKENS;
        let blocks = &mut layer.blocks[first - layer.gone..end.div_ceil(BLOCK_TOKENS) - layer.gone];
        compute.rows(blocks, 1, COST * BLOCK_TOKENS * width, |index, block| {
            let begin = (first + index) * BLOCK_TOKENS;
            let block = block.iter_mut().map(Arc::make_mut);
            block.for_each(|block| {
                for at in begin.max(position)..end.min(begin + BLOCK_TOKENS) {
                    let row = (at - position) * width..(at - position + 1) * width;
                    block.write(at - begin, &keys[row.clone()], &values[row]);
                }
            });
        });
    }

    /// Says that every layer has been written for `tokens` more tokens.
    pub(crate) fn advance(&mut self, tokens: usize) {
        self.len += tokens;
    }

    /// One layer's blocks, and the position of the first token in them.
    pub(crate) fn blocks(&self, layer: usize) -> (usize, &[Arc<KvBlock>]) {
        let LayerCache { gone, blocks, .. } = &self.layers[layer];
        (gone * BLOCK_TOKENS, blocks)
    }

    /// Forgets all tokens but the first `len`, which it has.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = len;
        for layer in &mut self.layers {
            layer.blocks.truncate(len.div_ceil(BLOCK_TOKENS).saturating_sub(layer.gone));
        }
    }

    /// The cache of a sequence that has the first `len` tokens in common with this one; `None` where some of
    /// what its next token sees is gone.
    pub(crate) fn prefix(&self, len: usize) -> Option<Self> {
        if len > self.len || self.layers.iter().any(|layer| layer.oldest_seen(len) < layer.gone) {
            return None;
        }
        let mut prefix = self.clone();
        prefix.truncate(len);
        Some(prefix)
    }

    /// Lets go of the blocks that no further token sees.
    pub(crate) fn forget_unseen(&mut self) {
        for layer in &mut self.layers {
            let unseen = layer.oldest_seen(self.len).saturating_sub(layer.gone);
            let unseen = unseen.min(layer.blocks.len());
            layer.gone += unseen;
            layer.blocks.drain(..unseen);
        }
    }
}

impl LayerCache {
    /// The first block that the token at `position` sees.
    fn oldest_seen(&self, position: usize) -> usize {
        let oldest = self.window.map_or(0, |window| (position + 1).saturating_sub(window));
        oldest / BLOCK_TOKENS
    }

    /// Blocks that it takes to hold those up to `end`, when writing begins at `position`.
    fn needs(&self, end: usize, position: usize) -> usize {
        let shared = |block: &Arc<KvBlock>| Arc::strong_count(block) > 1;
        let begun = self.blocks.get((position / BLOCK_TOKENS).saturating_sub(self.gone));
        let copied = !position.is_multiple_of(BLOCK_TOKENS) && begun.is_some_and(shared);
        end.saturating_sub(self.gone + self.blocks.len()) + usize::from(copied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use signalbox_kernels::{KvFormat, KvShape};

    const SHAPE: KvShape = KvShape { kv_heads: 1, head_dim: 3, format: KvFormat::F32 };

    fn cache(pool: &Arc<KvPool>, windows: &[Option<usize>]) -> KvCache {
        KvCache::new(pool, windows.iter().copied(), false)
    }

    /// Feeds so many tokens, each of which writes `mark`.
    fn feed(cache: &mut KvCache, tokens: usize, mark: f32) {
        for layer in 0..cache.layers.len() {
            let marks = vec![mark; 3 * tokens];
            cache.write(layer, cache.len(), &marks, &marks, &Compute::scalar());
        }
        cache.advance(tokens);
    }

    /// Everything that is written, as text.
    fn words(cache: &KvCache) -> String {
        cache.layers.iter().map(|layer| format!("{:?}", layer.blocks)).collect()
    }

    #[test]
    fn blocks_are_counted_before_they_are_taken() {
        let pool = KvPool::new(SHAPE);
        let mut cache = cache(&pool, &[None, None]);
        for tokens in [1, 63, 1, 64, 200] {
            let (needs, before) = (cache.needs(tokens), pool.in_use());
            feed(&mut cache, tokens, 1.0);
            assert_eq!(pool.in_use() - before, needs, "{tokens} more");
        }
        let mut shares = cache.prefix(300).unwrap();
        let (needs, before) = (shares.needs(30), pool.in_use());
        assert_eq!(needs, 4, "a copy and another block in each layer");
        feed(&mut shares, 30, 2.0);
        assert_eq!(pool.in_use() - before, needs);
    }

    #[test]
    fn sequences_that_share_blocks_do_not_see_what_the_other_writes() {
        let pool = KvPool::new(SHAPE);
        let mut first = cache(&pool, &[None]);
        feed(&mut first, 100, 1.0);
        let before = words(&first);
        let mut second = first.prefix(70).unwrap();
        assert_eq!((second.len(), pool.in_use()), (70, 2));
        feed(&mut second, 30, 2.0);
        assert_eq!((words(&first), pool.in_use()), (before, 3));
        second.truncate(70);
        feed(&mut second, 30, 1.0);
        assert_eq!(words(&second), words(&first));
    }

    #[test]
    fn a_window_keeps_what_is_seen_and_forgets_the_rest_when_asked() {
        let pool = KvPool::new(SHAPE);
        let mut cache = cache(&pool, &[None, Some(100)]);
        for chunk in [64, 1, 1, 128, 6, 128, 128, 1, 200, 1, 1, 70] {
            cache.forget_unseen();
            feed(&mut cache, chunk, 1.0);
            let (first, blocks) = cache.blocks(1);
            let oldest = (cache.len() + 1 - chunk).saturating_sub(100);
            let held = first..first + blocks.len() * BLOCK_TOKENS;
            assert!(held.start <= oldest && cache.len() <= held.end, "{held:?}");
            assert!(blocks.len() * BLOCK_TOKENS <= 100 + chunk + 2 * BLOCK_TOKENS);
        }
        assert_eq!((cache.blocks(0).0, cache.blocks(0).1.len()), (0, 12));
    }

    #[test]
    fn a_prefix_within_what_is_gone_can_not_be_continued() {
        let pool = KvPool::new(SHAPE);
        let mut cache = cache(&pool, &[None, Some(100)]);
        feed(&mut cache, 500, 1.0);
        assert!(cache.prefix(200).is_some());
        cache.forget_unseen();
        assert!(cache.prefix(200).is_none() && cache.prefix(501).is_none());
        assert_eq!(cache.prefix(490).map(|prefix| prefix.len()), Some(490));
    }
}
