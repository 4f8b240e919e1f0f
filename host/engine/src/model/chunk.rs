//! What one sequence feeds in a step.

use std::ops::Range;

use crate::{cache::KvCache, vision::Picture};

/// Prompt tokens fed in one step, all sequences together. Running replies get a token between any
/// two chunks, so a long prompt slows them down but never stops them. A picture is fed whole, however
/// long it is.
pub(crate) const PREFILL_CHUNK: usize = 128;
/// The same while no reply is running: unpacked weights meet more tokens before they are forgotten.
pub(crate) const PREFILL_CHUNK_ALONE: usize = 512;

/// The same when the replies that run are another expert's, or this one's and have to be waited for: the sizes to choose from.
pub(crate) const PREFILL_CHUNKS: [usize; 7] = [8, 16, 32, 48, 64, 96, PREFILL_CHUNK];

/// One sequence's share of a step: `tokens` are appended to `cache` at `cache.len()`.
pub(crate) struct Chunk<'a> {
    /// The sequence so far.
    pub(crate) cache: &'a mut KvCache,
    /// Token ids below the vocabulary size; at least one.
    pub(crate) tokens: &'a [u32],
    /// Of so many of the last tokens the logits are wanted.
    pub(crate) wanted: usize,
    /// Pictures of the sequence; those among `tokens` must be here, and none may begin or end elsewhere.
    pub(crate) pictures: &'a [Picture],
}

impl Chunk<'_> {
    /// Positions of `tokens` in the sequence.
    pub(super) fn positions(&self) -> Range<usize> {
        self.cache.len()..self.cache.len() + self.tokens.len()
    }

    /// The picture that stands at `position`.
    pub(super) fn picture(&self, position: usize) -> Option<&Picture> {
        self.pictures.iter().find(|picture| picture.span.contains(&position))
    }
}
