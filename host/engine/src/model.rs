//! The decoder: token ids in, logits out. [`Model::forward`] is the whole of it, top to bottom.

mod batch;
mod chunk;
#[cfg(test)]
mod goldens;
mod matrix;
#[cfg(test)]
mod pictures;
mod weights;

use std::sync::Arc;

use signalbox_kernels::{
    Activations, Attending, Buffer, Compute, KvFormat, KvPool, Rounding, add, add_bias, attention,
    gelu_tanh_gate, layer_norm, rms_norm, rope, silu_gate,
};

use crate::{
    cache::KvCache,
    spec::{Activation, LayerSpec, ModelSpec, NormKind, Residual},
    vision::{Picture, Placed, Vision},
};
use batch::Batch;
pub(crate) use chunk::{Chunk, PREFILL_CHUNK, PREFILL_CHUNK_ALONE, PREFILL_CHUNKS};
pub(crate) use matrix::{Form, Matrix};
pub(crate) use weights::Loaded;
pub use weights::TokenCost;
pub(crate) use weights::{Fill, Layer, Linear, Weights};

/// Models narrower than this have too little to average out what rounding loses: coarsely, it costs SmolLM2
/// (576) up to 0.7 % of perplexity and Gemma 3 270M (640) 4 % of the most likely tokens, and Qwen 2.5 1.5B (1536) a
/// tenth of a percent.
const HIDDEN_COARSE: usize = 1024;
/// Rows whose logits are held at once when every one of them is wanted: a vocabulary is long.
const LOGIT_ROWS: usize = 16;

type LoadedLayer = Layer<Matrix, Vec<f32>>;

/// A loaded model: packed weights and the spec they obey. Shared by reference between threads.
pub(crate) struct Model {
    spec: ModelSpec,
    weights: Loaded,
    /// There when [`ModelSpec::vision`] is.
    vision: Option<Vision>,
    /// Of the caches of its sequences.
    blocks: Arc<KvPool>,
    compute: Compute,
}

impl Model {
    /// Weights of the shapes that `spec` asks for; `kv` is what its caches keep numbers as.
    pub(crate) fn new(
        spec: ModelSpec,
        weights: Loaded,
        vision: Option<Vision>,
        kv: KvFormat,
        compute: Compute,
    ) -> Self {
        let blocks = KvPool::new(spec.kv_shape(kv));
        Self { spec, weights, vision, blocks, compute }
    }

    /// The architecture and its numbers.
    pub(crate) fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// An empty cache for a sequence of `tokens`. The length decides the rotary regime of
    /// long-context models, which stays fixed for the cache.
    pub(crate) fn new_cache(&self, tokens: usize) -> KvCache {
        let long = self.spec.is_long(tokens);
        let windows = self.spec.layers.iter().map(|layer| layer.window);
        KvCache::new(&self.blocks, windows, long)
    }

    /// What its caches are made of.
    pub(crate) fn blocks(&self) -> &KvPool {
        &self.blocks
    }

    /// Looks at a picture, so that it can be fed. The error says what went wrong.
    pub(crate) fn see(&self, placed: &Placed) -> Result<Picture, String> {
        let vision = self.vision.as_ref().ok_or("the model has no vision tower")?;
        vision.see(placed).map_err(|error| error.to_string())
    }

    /// Where the first weight lies: stays the same for as long as the model is loaded.
    pub(crate) fn address(&self) -> usize {
        self.weights.embedding.address()
    }

    /// What one decoded token costs.
    pub(crate) fn token_cost(&self) -> TokenCost {
        self.weights.token_cost()
    }

    /// One batched step. Returns the logits `(vocab)` of every token of which they are wanted, chunk by chunk.
    pub(crate) fn forward(&self, chunks: &mut [Chunk<'_>]) -> Vec<Vec<f32>> {
        let batch = Batch::new(&self.spec, chunks);
        let x = self.decode(&batch, chunks); // (rows, hidden)
        let wanted = batch.wanted_rows(&x, chunks);
        if wanted.is_empty() { Vec::new() } else { self.logits(&wanted) }
    }

    /// One step of one sequence. Calls `see` with the logits `(vocab)` of every token.
    pub(crate) fn score(&self, chunk: Chunk<'_>, see: &mut dyn FnMut(&[f32])) {
        let mut chunks = [chunk];
        let batch = Batch::new(&self.spec, &chunks);
        let x = self.decode(&batch, &mut chunks); // (rows, hidden)
        for rows in x.chunks(LOGIT_ROWS * self.spec.hidden) {
            self.logits(rows).iter().for_each(|logits| see(logits));
        }
    }

    /// All layers: the residual stream `(rows, hidden)` behind the last one.
    ///
    /// Linears see the rows of all chunks at once; attention sees each chunk's own cache. A row's result
    /// does not depend on which rows share its batch.
    fn decode(&self, batch: &Batch, chunks: &mut [Chunk<'_>]) -> Vec<f32> {
        let mut x = self.embed(chunks); // (rows, hidden)
        for (index, layer) in self.weights.layers.iter().enumerate() {
            let normed = self.norm(&x, &layer.attention_norm);
            let normed = self.input(&normed);
            let attended = self.attend(index, layer, &normed, batch, chunks); // (rows, hidden)
            if self.spec.residual == Residual::Parallel {
                self.add(&mut x, &attended);
                self.add(&mut x, &self.feed_forward(layer, &normed));
                continue;
            }
            self.add(&mut x, &self.norm_if(attended, layer.post_attention_norm.as_ref()));
            let normed = layer.feed_forward_norm.as_ref().map(|weight| self.norm(&x, weight));
            let input = self.input(normed.as_deref().unwrap_or(&x));
            let fed = self.feed_forward(layer, &input); // (rows, hidden)
            self.add(&mut x, &self.norm_if(fed, layer.post_feed_forward_norm.as_ref()));
        }
        chunks.iter_mut().for_each(|chunk| chunk.cache.advance(chunk.tokens.len()));
        x
    }

    /// (rows, hidden). A picture's features are taken as they are, unscaled.
    fn embed(&self, chunks: &[Chunk<'_>]) -> Vec<f32> {
        /// What an element costs beside a multiplication.
        const COST: usize = 8;
        let hidden = self.spec.hidden;
        let tokens = chunks.iter().flat_map(|chunk| {
            chunk
                .positions()
                .zip(chunk.tokens)
                .map(move |(at, token)| (chunk.picture(at), at, *token))
        });
        let tokens: Vec<_> = tokens.collect();
        let mut x = vec![0.0; tokens.len() * hidden];
        self.compute.rows(&mut x, hidden, COST, |row, x| match tokens[row] {
            (Some(Picture { span, features }), position, _) => {
                x.copy_from_slice(&features[(position - span.start) * hidden..][..hidden]);
            }
            (None, _, token) => {
                self.weights.embedding.decode(token as usize, x);
                x.iter_mut().for_each(|x| *x *= self.spec.embedding_scale);
            }
        });
        x
    }

    /// Attention of one layer: (rows, hidden) to (rows, hidden). Keys and values of all rows are written
    /// first, for within a picture a token sees those behind it.
    fn attend(
        &self,
        index: usize,
        layer: &LoadedLayer,
        normed: &Activations<'_>,
        batch: &Batch,
        chunks: &mut [Chunk<'_>],
    ) -> Buffer<f32> {
        let spec = &self.spec;
        let LayerSpec { window, rope } = spec.layers[index];
        let mut queries = self.linear(normed, &layer.query); // (rows, heads, head_dim)
        let mut keys = self.linear(normed, &layer.key); // (rows, kv_heads, head_dim)
        let values = self.linear(normed, &layer.value); // (rows, kv_heads, head_dim)
        self.norm_heads(&mut queries, layer.query_norm.as_ref());
        self.norm_heads(&mut keys, layer.key_norm.as_ref());
        self.rotate(&mut queries, batch, rope);
        self.rotate(&mut keys, batch, rope);

        for (chunk, (rows, places)) in chunks.iter_mut().zip(batch.chunks()) {
            let rows = rows.start * spec.kv_width()..rows.end * spec.kv_width();
            let (keys, values) = (&keys[rows.clone()], &values[rows]);
            chunk.cache.write(index, places[0].position, keys, values, &self.compute);
        }
        let mut mixed = self.compute.buffer(queries.len()); // (rows, heads, head_dim)
        let query_width = spec.heads.heads * spec.heads.head_dim;
        let sequences = chunks.iter().zip(batch.chunks()).map(|(chunk, (rows, places))| {
            let sees = places.iter().map(|place| place.sees(window)).collect();
            let (first, blocks) = chunk.cache.blocks(index);
            Attending { rows, sees, first, blocks }
        });
        let sequences: Vec<_> = sequences.collect();
        let scale = spec.attention_scale;
        attention(&queries, &sequences, spec.heads, scale, &mut mixed, &self.compute);
        self.linear(&Activations::new(&mixed, query_width, self.rounding()), &layer.output)
    }

    /// Rotates every row `(heads, head_dim)` by the angles of its position.
    fn rotate(&self, x: &mut [f32], batch: &Batch, rope_index: usize) {
        let layout = self.spec.ropes[rope_index].layout;
        rope(x, self.spec.heads.head_dim, batch.angles(rope_index), layout, &self.compute);
    }

    /// Normalises heads one by one, in place. A weight longer than a head has one part for each.
    fn norm_heads(&self, x: &mut [f32], weight: Option<&Vec<f32>>) {
        let Some(weight) = weight else { return };
        if weight.len() == self.spec.heads.head_dim {
            return x.copy_from_slice(&self.norm(x, weight));
        }
        let weights = weight.chunks_exact(self.spec.heads.head_dim).cycle();
        for (head, weight) in x.chunks_exact_mut(self.spec.heads.head_dim).zip(weights) {
            let normed = self.norm(head, weight);
            head.copy_from_slice(&normed);
        }
    }

    /// (rows, hidden) to (rows, hidden)
    fn feed_forward(&self, layer: &LoadedLayer, normed: &Activations<'_>) -> Buffer<f32> {
        let mut gate = layer.gate.product(normed, &self.compute); // (rows, intermediate)
        let up = layer.up.product(normed, &self.compute); // (rows, intermediate)
        match self.spec.activation {
            Activation::Silu => silu_gate(&mut gate, &up, &self.compute),
            Activation::GeluTanh => gelu_tanh_gate(&mut gate, &up, &self.compute),
        }
        layer
            .down
            .product(&Activations::new(&gate, layer.down.cols(), self.rounding()), &self.compute)
    }

    fn add(&self, x: &mut [f32], y: &[f32]) {
        add(x, y, &self.compute);
    }

    fn norm(&self, x: &[f32], weight: &[f32]) -> Buffer<f32> {
        let mut normed = self.compute.buffer(x.len());
        let norm = match self.spec.norm.kind {
            NormKind::Rms => rms_norm,
            NormKind::Layer => layer_norm,
        };
        norm(x, weight, self.spec.norm.eps, &mut normed, &self.compute);
        normed
    }

    /// Leaves `x` alone where the model has no norm.
    fn norm_if(&self, x: Buffer<f32>, weight: Option<&Vec<f32>>) -> Buffer<f32> {
        weight.map(|weight| self.norm(&x, weight)).unwrap_or(x)
    }

    /// (rows, hidden) to (rows)(vocab)
    fn logits(&self, x: &[f32]) -> Vec<Vec<f32>> {
        let normed = self.norm(x, &self.weights.final_norm);
        let head = self.weights.head.as_ref().unwrap_or(&self.weights.embedding);
        let mut logits = head
            .product(&Activations::new(&normed, self.spec.hidden, self.rounding()), &self.compute);
        logits.iter_mut().for_each(|logit| *logit *= self.spec.logit_scale);
        logits.chunks_exact(head.rows()).map(<[f32]>::to_vec).collect()
    }

    /// (n, hidden)
    fn input<'a>(&self, x: &'a [f32]) -> Activations<'a> {
        Activations::new(x, self.spec.hidden, self.rounding())
    }

    /// How inputs are rounded.
    fn rounding(&self) -> Rounding {
        if self.spec.hidden < HIDDEN_COARSE { Rounding::Fine } else { Rounding::Coarse }
    }

    fn linear(&self, x: &Activations<'_>, linear: &Linear<Matrix, Vec<f32>>) -> Buffer<f32> {
        let mut y = linear.weight.product(x, &self.compute);
        if let Some(bias) = &linear.bias {
            add_bias(&mut y, bias, &self.compute);
        }
        y
    }
}
