//! Which tensors an encoder has. Generic like the decoder's list, so that it serves as a plan of what lies where and as
//! the loaded weights.

use crate::model::{Fill, Linear, Matrix};

/// The weights themselves.
pub(crate) type Loaded = EncoderWeights<Matrix, Vec<f32>>;

/// All tensors of an encoder.
#[derive(Debug)]
pub(crate) struct EncoderWeights<M, V> {
    /// (vocab, hidden)
    pub(crate) words: M,
    /// (positions, hidden)
    pub(crate) positions: M,
    /// (kinds, hidden)
    pub(crate) kinds: M,
    /// Of the sum of the three.
    pub(crate) norm: Norm<V>,
    /// First to last.
    pub(crate) layers: Vec<EncoderLayer<M, V>>,
    /// Of an encoder that scores pairs of texts.
    pub(crate) head: Option<ScoringHead<M, V>>,
}

/// What makes a score of the first token's vector behind the last layer.
#[derive(Debug)]
pub(crate) struct ScoringHead<M, V> {
    /// (hidden, hidden), tanh behind it.
    pub(crate) dense: Linear<M, V>,
    /// (hidden)
    pub(crate) weight: V,
    /// (1)
    pub(crate) bias: V,
}

/// A normalisation with a bias.
#[derive(Debug)]
pub(crate) struct Norm<V> {
    /// (hidden)
    pub(crate) weight: V,
    /// (hidden)
    pub(crate) bias: V,
}

/// One encoder layer. Its norms stand behind its blocks.
#[derive(Debug)]
pub(crate) struct EncoderLayer<M, V> {
    /// (hidden, hidden)
    pub(crate) query: Linear<M, V>,
    /// (hidden, hidden)
    pub(crate) key: Linear<M, V>,
    /// (hidden, hidden)
    pub(crate) value: Linear<M, V>,
    /// (hidden, hidden)
    pub(crate) output: Linear<M, V>,
    /// Behind attention.
    pub(crate) attention_norm: Norm<V>,
    /// (intermediate, hidden)
    pub(crate) up: Linear<M, V>,
    /// (hidden, intermediate)
    pub(crate) down: Linear<M, V>,
    /// Behind the feed-forward block.
    pub(crate) feed_forward_norm: Norm<V>,
}

impl<M, V> EncoderWeights<M, V> {
    /// The same list with every tensor turned by `fill`.
    pub(crate) fn fill<F: Fill<M, V>>(
        &self,
        fill: &mut F,
    ) -> Result<EncoderWeights<F::Matrix, F::Vector>, F::Error> {
        Ok(EncoderWeights {
            words: fill.matrix(&self.words)?,
            positions: fill.matrix(&self.positions)?,
            kinds: fill.matrix(&self.kinds)?,
            norm: self.norm.fill(fill)?,
            layers: self.layers.iter().map(|layer| layer.fill(fill)).collect::<Result<_, _>>()?,
            head: self.head.as_ref().map(|head| head.fill(fill)).transpose()?,
        })
    }
}

impl<M, V> ScoringHead<M, V> {
    fn fill<F: Fill<M, V>>(
        &self,
        fill: &mut F,
    ) -> Result<ScoringHead<F::Matrix, F::Vector>, F::Error> {
        Ok(ScoringHead {
            dense: self.dense.fill(fill)?,
            weight: fill.vector(&self.weight)?,
            bias: fill.vector(&self.bias)?,
        })
    }
}

impl<V> Norm<V> {
    fn fill<M, F: Fill<M, V>>(&self, fill: &mut F) -> Result<Norm<F::Vector>, F::Error> {
        Ok(Norm { weight: fill.vector(&self.weight)?, bias: fill.vector(&self.bias)? })
    }
}

impl<M, V> EncoderLayer<M, V> {
    fn fill<F: Fill<M, V>>(
        &self,
        fill: &mut F,
    ) -> Result<EncoderLayer<F::Matrix, F::Vector>, F::Error> {
        Ok(EncoderLayer {
            query: self.query.fill(fill)?,
            key: self.key.fill(fill)?,
            value: self.value.fill(fill)?,
            output: self.output.fill(fill)?,
            attention_norm: self.attention_norm.fill(fill)?,
            up: self.up.fill(fill)?,
            down: self.down.fill(fill)?,
            feed_forward_norm: self.feed_forward_norm.fill(fill)?,
        })
    }
}
