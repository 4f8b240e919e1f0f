//! Keys and values of one sequence, grown block by block and never recomputed.

use signalbox_kernels::{BLOCK_TOKENS, KvBlock, KvShape};

/// The KV cache of one sequence.
pub(crate) struct KvCache {
    shape: KvShape,
    /// Tokens that every layer holds, or held.
    len: usize,
    /// The rotary regime the keys were written in; see [`crate::spec::Rope::angles`].
    long: bool,
    layers: Vec<LayerCache>,
}

/// The part of one layer: where there is a window, of the tokens that are still seen.
struct LayerCache {
    window: Option<usize>,
    /// Blocks that are gone.
    gone: usize,
    blocks: Vec<KvBlock>,
}

impl KvCache {
    /// An empty cache, for layers with these windows.
    pub(crate) fn new(
        shape: KvShape,
        windows: impl Iterator<Item = Option<usize>>,
        long: bool,
    ) -> Self {
        let layer = |window| LayerCache { window, gone: 0, blocks: Vec::new() };
        Self { shape, len: 0, long, layers: windows.map(layer).collect() }
    }

    /// Tokens of the sequence so far.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether keys are rotated for long contexts.
    pub(crate) fn is_long(&self) -> bool {
        self.long
    }

    /// Bytes held, unused room in the last blocks included.
    pub(crate) fn bytes(&self) -> u64 {
        let blocks: usize = self.layers.iter().map(|layer| layer.blocks.len()).sum();
        (blocks * BLOCK_TOKENS * self.shape.token_bytes()) as u64
    }

    /// Writes one layer's key and value rows of the token at `position`, which is at most one past the
    /// last one written. Positions that are not yet [advanced](Self::advance) over can be read already.
    pub(crate) fn write(&mut self, layer: usize, position: usize, key: &[f32], value: &[f32]) {
        let layer = &mut self.layers[layer];
        if position / BLOCK_TOKENS == layer.gone + layer.blocks.len() {
            let block = layer.outlived(self.len).unwrap_or_else(|| KvBlock::new(self.shape));
            layer.blocks.push(block);
        }
        let block = &mut layer.blocks[position / BLOCK_TOKENS - layer.gone];
        block.write(position % BLOCK_TOKENS, key, value);
    }

    /// Says that every layer has been written for `tokens` more tokens.
    pub(crate) fn advance(&mut self, tokens: usize) {
        self.len += tokens;
    }

    /// One layer's blocks, and the position of the first token in them.
    pub(crate) fn blocks(&self, layer: usize) -> (usize, &[KvBlock]) {
        let LayerCache { gone, blocks, .. } = &self.layers[layer];
        (gone * BLOCK_TOKENS, blocks)
    }
}

impl LayerCache {
    /// Takes out the blocks that no token from `position` on sees, and returns one of them.
    fn outlived(&mut self, position: usize) -> Option<KvBlock> {
        let oldest = (position + 1).saturating_sub(self.window?);
        let count = (oldest / BLOCK_TOKENS).saturating_sub(self.gone).min(self.blocks.len());
        self.gone += count;
        self.blocks.drain(..count).next_back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use signalbox_kernels::KvFormat;

    fn shape(kv_heads: usize) -> KvShape {
        KvShape { kv_heads, head_dim: 3, format: KvFormat::F16 }
    }

    #[test]
    fn bytes_are_those_of_whole_blocks() {
        let mut cache = KvCache::new(shape(1), [None].into_iter(), false);
        assert_eq!(cache.bytes(), 0);
        cache.write(0, 0, &[0.0; 3], &[0.0; 3]);
        assert_eq!(cache.bytes(), 64 * 3 * 2 * 2);
    }

    #[test]
    fn a_window_keeps_what_is_still_seen() {
        let mut cache = KvCache::new(shape(1), [None, Some(100)].into_iter(), false);
        let mut longest = 0;
        for chunk in [64, 1, 1, 128, 6, 128, 128, 1, 200, 1, 1, 70] {
            for layer in 0..2 {
                for position in cache.len()..cache.len() + chunk {
                    cache.write(layer, position, &[0.0; 3], &[0.0; 3]);
                }
                let (first, blocks) = cache.blocks(layer);
                let held = first..first + blocks.len() * BLOCK_TOKENS;
                let oldest = if layer == 0 { 0 } else { (cache.len() + 1).saturating_sub(100) };
                assert!(held.start <= oldest && cache.len() + chunk <= held.end, "{held:?}");
            }
            longest = longest.max(cache.blocks(1).1.len());
            cache.advance(chunk);
        }
        assert_eq!(cache.blocks(0).0, 0);
        assert_eq!((cache.blocks(0).1.len(), cache.blocks(1).1.len()), (12, 4));
        assert!(longest * BLOCK_TOKENS <= 100 + 200 + 2 * BLOCK_TOKENS, "{longest} blocks");
    }
}
