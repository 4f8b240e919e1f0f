//! How large a model may be: larger than any published one, and small enough that no product of two
//! sides overflows.

pub(crate) const LAYERS_MAX: usize = 512;
pub(crate) const HIDDEN_MAX: usize = 1 << 16;
pub(crate) const INTERMEDIATE_MAX: usize = 1 << 20;
pub(crate) const HEADS_MAX: usize = 1 << 10;
pub(crate) const HEAD_DIM_MAX: usize = 1 << 10;
pub(crate) const VOCAB_MAX: usize = 1 << 22;
pub(crate) const CONTEXT_MAX: usize = 1 << 24;
