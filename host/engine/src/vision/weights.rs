//! The shape of a vision tower and its projector: which tensors there are, for the check of what lies
//! where as well as for the loaded weights.

/// All tensors that seeing takes.
#[derive(Debug)]
pub(crate) struct TowerWeights<T> {
    /// (hidden, channels, patch_size, patch_size): a convolution that never overlaps, and so a linear.
    pub(crate) patch: Affine<T>,
    /// (patches, hidden)
    pub(crate) positions: T,
    /// First to last.
    pub(crate) layers: Vec<TowerLayer<T>>,
    /// (hidden)
    pub(crate) final_norm: Affine<T>,
    /// (hidden), around zero
    pub(crate) soft_norm: T,
    /// (hidden, hidden of the language model): inputs by outputs, unlike every other matrix
    pub(crate) projection: T,
}

/// One layer of the tower.
#[derive(Debug)]
pub(crate) struct TowerLayer<T> {
    /// (hidden)
    pub(crate) attention_norm: Affine<T>,
    /// (hidden, hidden)
    pub(crate) query: Affine<T>,
    /// (hidden, hidden)
    pub(crate) key: Affine<T>,
    /// (hidden, hidden)
    pub(crate) value: Affine<T>,
    /// (hidden, hidden)
    pub(crate) output: Affine<T>,
    /// (hidden)
    pub(crate) feed_forward_norm: Affine<T>,
    /// (intermediate, hidden)
    pub(crate) up: Affine<T>,
    /// (hidden, intermediate)
    pub(crate) down: Affine<T>,
}

/// A weight and a bias, one element per output.
#[derive(Debug)]
pub(crate) struct Affine<T> {
    /// (outputs, inputs), or (outputs) of a norm
    pub(crate) weight: T,
    /// (outputs)
    pub(crate) bias: T,
}
