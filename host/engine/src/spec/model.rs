//! What the decoder must know of a model besides its weights, as plain data.

use signalbox_kernels::{Heads, KvFormat, KvShape};

use super::{
    Activation, Rope, VisionSpec,
    bounds::{
        CONTEXT_MAX, HEAD_DIM_MAX, HEADS_MAX, HIDDEN_MAX, INTERMEDIATE_MAX, LAYERS_MAX, VOCAB_MAX,
    },
    rope,
};
use crate::files::{CheckpointError, Config};

/// Everything the decoder must know of a model besides its weights.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ModelSpec {
    /// The name in the list of architectures, as `Phi3ForCausalLM`.
    pub(crate) architecture: &'static str,
    /// Longest sequence the checkpoint was made for, tokens.
    pub(crate) context_length: u32,
    /// Rows of the embedding and of the head.
    pub(crate) vocab_size: u32,
    /// The eyes; `None` where there is no tower.
    pub(crate) vision: Option<VisionSpec>,
    /// Width of the residual stream.
    pub(crate) hidden: usize,
    /// Width inside the feed-forward block.
    pub(crate) intermediate: usize,
    /// How attention is divided.
    pub(crate) heads: Heads,
    /// What normalises the residual stream.
    pub(crate) norm: Norm,
    /// How a layer's two blocks join the residual stream.
    pub(crate) residual: Residual,
    /// Which linears of attention have a bias.
    pub(crate) biases: Biases,
    /// Whether and how queries and keys are normalised before rotation.
    pub(crate) qk_norm: QkNorm,
    /// What gates the feed-forward block.
    pub(crate) activation: Activation,
    /// Multiplies query-key products.
    pub(crate) attention_scale: f32,
    /// Multiplies embeddings on their way in.
    pub(crate) embedding_scale: f32,
    /// Multiplies logits on their way out.
    pub(crate) logit_scale: f32,
    /// The head is the embedding.
    pub(crate) tied: bool,
    /// Queries, keys and values lie in one tensor, as do gate and up.
    pub(crate) fused: bool,
    /// The rotary embeddings that layers choose from.
    pub(crate) ropes: Vec<Rope>,
    /// One per layer.
    pub(crate) layers: Vec<LayerSpec>,
}

/// What differs between the layers of one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LayerSpec {
    /// Tokens a query sees, itself included; `None` sees all.
    pub(crate) window: Option<usize>,
    /// Index into [`ModelSpec::ropes`].
    pub(crate) rope: usize,
}

/// A normalisation of rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Norm {
    /// Which formula.
    pub(crate) kind: NormKind,
    /// Added to the variance.
    pub(crate) eps: f32,
    /// The file holds weights around zero; one is to be added.
    pub(crate) plus_one: bool,
}

/// A formula of normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NormKind {
    /// Root mean square.
    Rms,
    /// Mean subtracted, no bias.
    Layer,
}

/// How attention and feed-forward join the residual stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Residual {
    /// `x += attention(norm(x)); x += feed_forward(norm(x))`.
    Sequential,
    /// Sequential, with a norm behind each block as well as before it.
    Sandwich,
    /// `x += attention(norm(x)) + feed_forward(norm(x))`, one norm for both.
    Parallel,
}

/// Biases of attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Biases {
    /// None.
    None,
    /// Queries, keys and values.
    Qkv,
    /// Queries, keys, values and output.
    All,
}

/// Normalisation of queries and keys, head by head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QkNorm {
    /// None.
    None,
    /// All heads share one weight `(head_dim)`.
    Shared,
    /// Every head has its own: `(heads, head_dim)`.
    PerHead,
}

impl ModelSpec {
    /// What Llama and its near relatives share. Other architectures change what differs.
    pub(super) fn base(config: &Config) -> Result<Self, CheckpointError> {
        let hidden = config.count("hidden_size", 1..=HIDDEN_MAX)?;
        let layers = config.count("num_hidden_layers", 1..=LAYERS_MAX)?;
        let heads = read_heads(config, hidden)?;
        let layer = LayerSpec { window: None, rope: 0 };
        Ok(Self {
            architecture: "",
            context_length: config.count("max_position_embeddings", 1..=CONTEXT_MAX)? as u32,
            vocab_size: config.count("vocab_size", 1..=VOCAB_MAX)? as u32,
            vision: None,
            hidden,
            intermediate: config.count("intermediate_size", 1..=INTERMEDIATE_MAX)?,
            heads,
            norm: Norm {
                kind: NormKind::Rms,
                eps: config.float_or("rms_norm_eps", 0.0..=1.0, 1e-6)? as f32,
                plus_one: false,
            },
            residual: Residual::Sequential,
            biases: Biases::None,
            qk_norm: QkNorm::None,
            activation: Activation::read(config, "hidden_act", "silu")?,
            attention_scale: 1.0 / (heads.head_dim as f32).sqrt(),
            embedding_scale: 1.0,
            logit_scale: 1.0,
            tied: config.flag_or("tie_word_embeddings", false)?,
            fused: false,
            ropes: vec![Rope::read(config, heads.head_dim, None, rope::THETA)?],
            layers: vec![layer; layers],
        })
    }

    /// Gives every layer for which `windowed` holds the window named `sliding_window`.
    pub(super) fn set_windows(
        &mut self,
        config: &Config,
        windowed: impl Fn(usize) -> bool,
    ) -> Result<(), CheckpointError> {
        let window = config.count_opt("sliding_window", 1..=CONTEXT_MAX)?;
        for (index, layer) in self.layers.iter_mut().enumerate() {
            layer.window = window.filter(|_| windowed(index));
        }
        Ok(())
    }

    /// Whether a sequence of `tokens` needs the rotary frequencies for long contexts.
    pub(crate) fn is_long(&self, tokens: usize) -> bool {
        self.ropes.iter().any(|rope| rope.is_long(tokens))
    }

    /// What a KV cache of such numbers holds of a token in each layer.
    pub(crate) fn kv_shape(&self, format: KvFormat) -> KvShape {
        let Heads { kv_heads, head_dim, .. } = self.heads;
        KvShape { kv_heads, head_dim, format }
    }

    /// Elements of a key row or of a value row.
    pub(crate) fn kv_width(&self) -> usize {
        self.heads.kv_heads * self.heads.head_dim
    }
}

fn read_heads(config: &Config, hidden: usize) -> Result<Heads, CheckpointError> {
    let heads = config.count("num_attention_heads", 1..=HEADS_MAX)?;
    let kv_heads = config.count_opt("num_key_value_heads", 1..=heads)?.unwrap_or(heads);
    let head_dim = config.count_opt("head_dim", 1..=HEAD_DIM_MAX)?.unwrap_or(hidden / heads);
    if heads % kv_heads != 0 || head_dim == 0 || head_dim > HEAD_DIM_MAX {
        let problem = format!("{heads} heads, {kv_heads} key heads and {hidden} hidden do not fit");
        return Err(config.unsupported(problem, "fetch config.json again"));
    }
    Ok(Heads { heads, kv_heads, head_dim })
}
