//! The shape of a model: which tensors a decoder has. Generic in what stands for a matrix and for a
//! vector, so that the same list serves as a plan of what lies where and as the loaded weights.

use super::Matrix;

/// The weights themselves.
pub(crate) type Loaded = Weights<Matrix, Vec<f32>>;

/// All tensors of a decoder.
#[derive(Debug)]
pub(crate) struct Weights<M, V> {
    /// (vocab, hidden)
    pub(crate) embedding: M,
    /// First to last.
    pub(crate) layers: Vec<Layer<M, V>>,
    /// (hidden)
    pub(crate) final_norm: V,
    /// (vocab, hidden); absent where the embedding serves.
    pub(crate) head: Option<M>,
}

/// One decoder layer.
#[derive(Debug)]
pub(crate) struct Layer<M, V> {
    /// (hidden)
    pub(crate) attention_norm: V,
    /// (heads * head_dim, hidden)
    pub(crate) query: Linear<M, V>,
    /// (kv_heads * head_dim, hidden)
    pub(crate) key: Linear<M, V>,
    /// (kv_heads * head_dim, hidden)
    pub(crate) value: Linear<M, V>,
    /// (head_dim) or (heads, head_dim)
    pub(crate) query_norm: Option<V>,
    /// (head_dim) or (kv_heads, head_dim)
    pub(crate) key_norm: Option<V>,
    /// (hidden, heads * head_dim)
    pub(crate) output: Linear<M, V>,
    /// (hidden), behind attention
    pub(crate) post_attention_norm: Option<V>,
    /// (hidden); absent where the attention norm serves.
    pub(crate) feed_forward_norm: Option<V>,
    /// (intermediate, hidden)
    pub(crate) gate: M,
    /// (intermediate, hidden)
    pub(crate) up: M,
    /// (hidden, intermediate)
    pub(crate) down: M,
    /// (hidden), behind the feed-forward block
    pub(crate) post_feed_forward_norm: Option<V>,
}

/// A matrix and perhaps a bias, one element per row.
#[derive(Debug)]
pub(crate) struct Linear<M, V> {
    /// (outputs, inputs)
    pub(crate) weight: M,
    /// (outputs)
    pub(crate) bias: Option<V>,
}

/// How each tensor of one kind becomes one of another.
pub(crate) trait Fill<M, V> {
    /// What a matrix becomes.
    type Matrix;
    /// What a vector becomes.
    type Vector;
    /// Why it may fail.
    type Error;
    /// Turns a matrix.
    fn matrix(&mut self, from: &M) -> Result<Self::Matrix, Self::Error>;
    /// Turns a vector.
    fn vector(&mut self, from: &V) -> Result<Self::Vector, Self::Error>;
    /// Turns a vector that may be absent.
    fn optional(&mut self, from: Option<&V>) -> Result<Option<Self::Vector>, Self::Error> {
        from.map(|from| self.vector(from)).transpose()
    }
}

/// What one decoded token costs, whatever computes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokenCost {
    /// Bytes of weights that are read for it.
    pub bytes: u64,
    /// Multiplications with weights.
    pub multiplications: u64,
}

impl Loaded {
    /// Layers and head; of the embedding a token takes one row.
    pub(super) fn token_cost(&self) -> TokenCost {
        let linears = self.layers.iter().flat_map(|layer| {
            let Layer { query, key, value, output, gate, up, down, .. } = layer;
            [&query.weight, &key.weight, &value.weight, &output.weight, gate, up, down]
        });
        let head = self.head.as_ref().unwrap_or(&self.embedding);
        let matrices = linears.chain([head]);
        matrices.fold(TokenCost::default(), |cost, matrix| TokenCost {
            bytes: cost.bytes + matrix.bytes() as u64,
            multiplications: cost.multiplications + (matrix.rows() * matrix.cols()) as u64,
        })
    }
}

impl<M, V> Weights<M, V> {
    /// The same list with every tensor turned by `fill`.
    pub(crate) fn fill<F: Fill<M, V>>(
        &self,
        fill: &mut F,
    ) -> Result<Weights<F::Matrix, F::Vector>, F::Error> {
        Ok(Weights {
            embedding: fill.matrix(&self.embedding)?,
            layers: self.layers.iter().map(|layer| layer.fill(fill)).collect::<Result<_, _>>()?,
            final_norm: fill.vector(&self.final_norm)?,
            head: self.head.as_ref().map(|head| fill.matrix(head)).transpose()?,
        })
    }
}

impl<M, V> Layer<M, V> {
    fn fill<F: Fill<M, V>>(&self, fill: &mut F) -> Result<Layer<F::Matrix, F::Vector>, F::Error> {
        Ok(Layer {
            attention_norm: fill.vector(&self.attention_norm)?,
            query: self.query.fill(fill)?,
            key: self.key.fill(fill)?,
            value: self.value.fill(fill)?,
            query_norm: fill.optional(self.query_norm.as_ref())?,
            key_norm: fill.optional(self.key_norm.as_ref())?,
            output: self.output.fill(fill)?,
            post_attention_norm: fill.optional(self.post_attention_norm.as_ref())?,
            feed_forward_norm: fill.optional(self.feed_forward_norm.as_ref())?,
            gate: fill.matrix(&self.gate)?,
            up: fill.matrix(&self.up)?,
            down: fill.matrix(&self.down)?,
            post_feed_forward_norm: fill.optional(self.post_feed_forward_norm.as_ref())?,
        })
    }
}

impl<M, V> Linear<M, V> {
    pub(crate) fn fill<F: Fill<M, V>>(
        &self,
        fill: &mut F,
    ) -> Result<Linear<F::Matrix, F::Vector>, F::Error> {
        let weight = fill.matrix(&self.weight)?;
        Ok(Linear { weight, bias: fill.optional(self.bias.as_ref())? })
    }
}
