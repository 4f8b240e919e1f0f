//! The encoder: token ids of texts in, one vector for each text out. The rows of several texts share the linears, and
//! attention sees each text alone and whole, so that a text's vector does not depend on who else is there.

mod pooling;
mod weights;

use std::{ops::Range, sync::Arc};

use signalbox_kernels::{
    Activations, Attending, Buffer, Compute, KvFormat, KvPool, KvShape, Rounding, add, add_bias,
    attention, gelu, layer_norm,
};

use crate::{
    cache::KvCache,
    model::{Linear, Matrix},
    spec::EncoderSpec,
};
pub(crate) use pooling::{Pooling, Sentences};
pub(crate) use weights::{EncoderLayer, EncoderWeights, Loaded, Norm, ScoringHead};

/// A text as an encoder takes it, or two that it compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tokens {
    /// At least one.
    pub(crate) ids: Vec<u32>,
    /// Where tokens of the second kind begin, which are those of a second text.
    pub(crate) second: usize,
}

impl From<Vec<u32>> for Tokens {
    /// All of one kind.
    fn from(ids: Vec<u32>) -> Self {
        Self { second: ids.len(), ids }
    }
}

/// A loaded encoder.
pub(crate) struct Encoder {
    spec: EncoderSpec,
    weights: Loaded,
    pooling: Pooling,
    /// Keys and values of one layer of one text.
    blocks: Arc<KvPool>,
    compute: Compute,
}

/// Texts on their way through the layers.
pub(crate) struct Passing {
    /// (rows, hidden)
    x: Vec<f32>,
    texts: Vec<Passenger>,
    /// Layers that are behind them.
    layers: usize,
}

/// The rows of one text, and what its tokens show each other in the layer that is computed.
struct Passenger {
    rows: Range<usize>,
    cache: KvCache,
}

impl Encoder {
    /// Weights of the shapes that `spec` asks for.
    pub(crate) fn new(
        spec: EncoderSpec,
        weights: Loaded,
        pooling: Pooling,
        compute: Compute,
    ) -> Self {
        let (kv_heads, head_dim) = (spec.heads.kv_heads, spec.heads.head_dim);
        let blocks = KvPool::new(KvShape { kv_heads, head_dim, format: KvFormat::F32 });
        Self { spec, weights, pooling, blocks, compute }
    }

    /// Where the first weight lies: stays the same for as long as the encoder is loaded.
    pub(crate) fn address(&self) -> usize {
        self.weights.words.address()
    }

    /// Looks the tokens of some texts up. Each has one at least and no more than the encoder holds, all of them below
    /// the vocabulary size.
    pub(crate) fn begin(&self, texts: &[&Tokens]) -> Passing {
        let hidden = self.spec.hidden;
        let rows: usize = texts.iter().map(|text| text.ids.len()).sum();
        let mut x = vec![0.0; rows * hidden];
        let mut room = vec![0.0; hidden];
        let kinds = [0, 1.min(self.spec.kinds - 1)].map(|kind| {
            let mut vector = vec![0.0; hidden];
            self.weights.kinds.decode(kind, &mut vector);
            vector
        });
        let tokens = texts.iter().flat_map(|text| {
            let second = text.second;
            let kinds = (0..text.ids.len()).map(move |at| usize::from(at >= second));
            text.ids.iter().zip(self.positions(&text.ids)).zip(kinds)
        });
        for (((token, position), kind), row) in tokens.zip(x.chunks_exact_mut(hidden)) {
            self.weights.words.decode(*token as usize, row);
            plus(row, &kinds[kind]);
            self.weights.positions.decode(position, &mut room);
            plus(row, &room);
        }
        let mut end = 0;
        let texts = texts.iter().map(|text| {
            let rows = end..end + text.ids.len();
            end = rows.end;
            Passenger { rows, cache: KvCache::new(&self.blocks, [None].into_iter(), false) }
        });
        Passing { x: self.norm(&x, &self.weights.norm), texts: texts.collect(), layers: 0 }
    }

    /// The places of a text's tokens in the table of positions.
    fn positions(&self, text: &[u32]) -> impl Iterator<Item = usize> {
        let (padding, mut before) = (self.spec.padding, 0);
        text.iter().map(move |token| match padding {
            Some(padding) if *token == padding => padding as usize,
            _ => {
                before += 1;
                before - 1 + padding.map_or(0, |padding| padding as usize + 1)
            }
        })
    }

    /// Takes texts through one more layer; false when there was none left.
    pub(crate) fn advance(&self, passing: &mut Passing) -> bool {
        let Some(layer) = self.weights.layers.get(passing.layers) else { return false };
        passing.layers += 1;
        let mut attended = self.attend(layer, passing); // (rows, hidden)
        add(&mut attended, &passing.x, &self.compute);
        let normed = self.norm(&attended, &layer.attention_norm);
        let mut wide = self.linear(&normed, &layer.up); // (rows, intermediate)
        gelu(&mut wide, &self.compute);
        let mut fed = self.linear(&wide, &layer.down); // (rows, hidden)
        add(&mut fed, &normed, &self.compute);
        passing.x = self.norm(&fed, &layer.feed_forward_norm);
        true
    }

    /// Attention of one layer, every token of a text to all of it: (rows, hidden) to (rows, hidden).
    fn attend(&self, layer: &EncoderLayer<Matrix, Vec<f32>>, passing: &mut Passing) -> Buffer<f32> {
        let hidden = self.spec.hidden;
        let queries = self.linear(&passing.x, &layer.query);
        let keys = self.linear(&passing.x, &layer.key);
        let values = self.linear(&passing.x, &layer.value);
        for Passenger { rows, cache } in &mut passing.texts {
            let rows = rows.start * hidden..rows.end * hidden;
            cache.write(0, 0, &keys[rows.clone()], &values[rows], &self.compute);
        }
        let sequences = passing.texts.iter().map(|Passenger { rows, cache }| {
            let (first, blocks) = cache.blocks(0);
            Attending { rows: rows.clone(), sees: vec![0..rows.len(); rows.len()], first, blocks }
        });
        let sequences: Vec<_> = sequences.collect();
        let scale = 1.0 / (self.spec.heads.head_dim as f32).sqrt();
        let mut mixed = vec![0.0; queries.len()];
        attention(&queries, &sequences, self.spec.heads, scale, &mut mixed, &self.compute);
        self.linear(&mixed, &layer.output)
    }

    /// The vectors of texts behind the last layer, of the length one; of pairs of texts a vector of one number, their score
    /// between 0 and 1.
    pub(crate) fn finish(&self, passing: Passing) -> Vec<Vec<f32>> {
        let hidden = self.spec.hidden;
        if let Some(head) = &self.weights.head {
            let first = |text: &Passenger| &passing.x[text.rows.start * hidden..][..hidden];
            let scores = passing.texts.iter().map(|text| self.score(head, first(text)));
            return scores.map(|score| vec![score]).collect();
        }
        let texts = passing.texts.iter();
        texts
            .map(|Passenger { rows, .. }| {
                let x = &passing.x[rows.start * hidden..rows.end * hidden];
                let mut vector = x[..hidden].to_vec();
                if self.pooling == Pooling::Mean {
                    x[hidden..].chunks_exact(hidden).for_each(|row| plus(&mut vector, row));
                }
                // Of the mean only the direction stays, which is that of the sum.
                let square: f64 = vector.iter().map(|x| f64::from(*x).powi(2)).sum();
                let factor = if square > 0.0 { 1.0 / square.sqrt() } else { 0.0 };
                vector.iter_mut().for_each(|x| *x = (f64::from(*x) * factor) as f32);
                vector
            })
            .collect()
    }

    /// Of the vector of a pair's first token; the sigmoid makes a number between 0 and 1 of it.
    fn score(&self, head: &ScoringHead<Matrix, Vec<f32>>, first: &[f32]) -> f32 {
        let pooled = self.linear(first, &head.dense);
        let weighed = pooled.iter().zip(&head.weight).map(|(x, weight)| x.tanh() * weight);
        let score = weighed.map(f64::from).sum::<f64>() + f64::from(head.bias[0]);
        (1.0 / (1.0 + (-score).exp())) as f32
    }

    fn norm(&self, x: &[f32], norm: &Norm<Vec<f32>>) -> Vec<f32> {
        let mut normed = vec![0.0; x.len()];
        layer_norm(x, &norm.weight, self.spec.eps, &mut normed, &self.compute);
        add_bias(&mut normed, &norm.bias, &self.compute);
        normed
    }

    fn linear(&self, x: &[f32], linear: &Linear<Matrix, Vec<f32>>) -> Buffer<f32> {
        let x = Activations::new(x, linear.weight.cols(), Rounding::Fine);
        let mut y = linear.weight.product(&x, &self.compute);
        if let Some(bias) = &linear.bias {
            add_bias(&mut y, bias, &self.compute);
        }
        y
    }
}

/// Adds one row to another.
fn plus(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}
