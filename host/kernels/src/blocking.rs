//! How a product is cut. Both sides know these sizes, weights when they are packed and activations when they are
//! rounded.

/// Rows of weights that lie interleaved: a strip.
pub(crate) const ROWS: usize = 32;
/// Registers of 16 that a strip has.
pub(crate) const PARTS: usize = ROWS / 16;
/// Inputs of a step, which share a scale of the activations.
pub(crate) const STEP: usize = 32;
/// Inputs of a block.
pub(crate) const DEPTH: usize = 128;
/// Blocks of a row that lie side by side, and meet weights at once: a chunk.
pub(crate) const BLOCKS: usize = 4;
/// Rows of activations that meet unpacked weights before these are forgotten.
pub(crate) const ROWS_AT_ONCE: usize = 512;
