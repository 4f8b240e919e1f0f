//! Keys and values of one sequence, grown block by block and never recomputed.

use std::ops::Range;

use signalbox_kernels::Page;

/// Tokens of a block.
const BLOCK_TOKENS: usize = 64;

/// The KV cache of one sequence.
pub(crate) struct KvCache {
    /// Elements of a key row or of a value row.
    width: usize,
    /// Tokens that every layer holds.
    len: usize,
    /// The rotary regime the keys were written in; see [`crate::spec::Rope::angles`].
    long: bool,
    layers: Vec<Vec<Block>>,
}

/// Room for [`BLOCK_TOKENS`] tokens of one layer; both sides are `(tokens, width)`.
struct Block {
    keys: Box<[f32]>,
    values: Box<[f32]>,
}

impl KvCache {
    /// An empty cache.
    pub(crate) fn new(layers: usize, width: usize, long: bool) -> Self {
        Self { width, len: 0, long, layers: (0..layers).map(|_| Vec::new()).collect() }
    }

    /// Tokens held.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether keys are rotated for long contexts.
    pub(crate) fn is_long(&self) -> bool {
        self.long
    }

    /// Bytes held, unused room in the last blocks included.
    pub(crate) fn bytes(&self) -> u64 {
        let blocks: usize = self.layers.iter().map(Vec::len).sum();
        (blocks * BLOCK_TOKENS * self.width * 2 * size_of::<f32>()) as u64
    }

    /// Writes one layer's key and value rows of the token at `position`, which is at most one past the
    /// last one written. Positions that are not yet [advanced](Self::advance) over can be read already.
    pub(crate) fn write(&mut self, layer: usize, position: usize, key: &[f32], value: &[f32]) {
        let room = || vec![0.0; BLOCK_TOKENS * self.width].into_boxed_slice();
        let blocks = &mut self.layers[layer];
        if position / BLOCK_TOKENS == blocks.len() {
            blocks.push(Block { keys: room(), values: room() });
        }
        let block = &mut blocks[position / BLOCK_TOKENS];
        let row = position % BLOCK_TOKENS * self.width..(position % BLOCK_TOKENS + 1) * self.width;
        block.keys[row.clone()].copy_from_slice(key);
        block.values[row].copy_from_slice(value);
    }

    /// Says that every layer has been written for `tokens` more tokens.
    pub(crate) fn advance(&mut self, tokens: usize) {
        self.len += tokens;
    }

    /// One layer's keys and values at `positions`, which have been written.
    pub(crate) fn pages(
        &self,
        layer: usize,
        positions: Range<usize>,
    ) -> impl Iterator<Item = Page<'_>> + Clone {
        let first = positions.start / BLOCK_TOKENS;
        let last = positions.end.div_ceil(BLOCK_TOKENS);
        self.layers[layer][first..last].iter().enumerate().map(move |(index, block)| {
            let begin = (first + index) * BLOCK_TOKENS;
            let from = positions.start.saturating_sub(begin) * self.width;
            let to = (positions.end - begin).min(BLOCK_TOKENS) * self.width;
            Page { keys: &block.keys[from..to], values: &block.values[from..to] }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_hold_exactly_the_positions_asked_for() {
        let mut cache = KvCache::new(2, 1, false);
        for position in 0..200 {
            let value = position as f32;
            cache.write(1, position, &[value], &[-value]);
        }
        for positions in [0..1, 0..64, 63..65, 64..128, 10..200, 199..200] {
            let keys = cache.pages(1, positions.clone()).flat_map(|page| page.keys.to_vec());
            let expect: Vec<f32> = positions.map(|position| position as f32).collect();
            assert_eq!(keys.collect::<Vec<_>>(), expect);
        }
    }

    #[test]
    fn bytes_are_those_of_whole_blocks() {
        let mut cache = KvCache::new(1, 3, false);
        assert_eq!(cache.bytes(), 0);
        cache.write(0, 0, &[0.0; 3], &[0.0; 3]);
        assert_eq!(cache.bytes(), 64 * 3 * 2 * 4);
    }
}
