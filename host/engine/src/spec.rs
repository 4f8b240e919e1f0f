//! What makes one architecture differ from another, as plain data that one decoder obeys. An
//! architecture is one file that reads its configuration, and one line in [`ARCHITECTURES`].

mod cohere;
mod gemma3;
pub(crate) mod gguf;
mod llama;
mod mistral;
mod phi3;
mod qwen2;
mod rope;
#[cfg(test)]
mod tests;
mod vision;

use signalbox_kernels::Heads;

pub(crate) use rope::Rope;
pub(crate) use vision::VisionSpec;

use crate::checkpoint::{CheckpointError, Config};

/// Reads a `config.json` of one architecture.
type Reader = fn(&Config) -> Result<ModelSpec, CheckpointError>;

/// Every architecture this engine runs, by its name in `config.json`.
const ARCHITECTURES: &[(&str, Reader)] = &[
    ("CohereForCausalLM", cohere::read),
    ("Gemma3ForCausalLM", gemma3::read),
    ("Gemma3ForConditionalGeneration", gemma3::read),
    ("LlamaForCausalLM", llama::read),
    ("MistralForCausalLM", mistral::read),
    ("Phi3ForCausalLM", phi3::read),
    ("Qwen2ForCausalLM", qwen2::read),
];

// Larger than any published model, and small enough that no product of two of them overflows.
const LAYERS_MAX: usize = 512;
const HIDDEN_MAX: usize = 1 << 16;
const INTERMEDIATE_MAX: usize = 1 << 20;
const HEADS_MAX: usize = 1 << 10;
const HEAD_DIM_MAX: usize = 1 << 10;
const VOCAB_MAX: usize = 1 << 22;
const CONTEXT_MAX: usize = 1 << 24;

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

/// The gate of a feed-forward block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    /// `x * sigmoid(x)`.
    Silu,
    /// GELU in the tanh approximation.
    GeluTanh,
}

impl ModelSpec {
    /// Reads a configuration by the architecture it names.
    pub(crate) fn read(config: &Config) -> Result<Self, CheckpointError> {
        let architectures = config.texts_opt("architectures")?.unwrap_or_default();
        let known = |name: &&str| ARCHITECTURES.iter().find(|(known, _)| known == name);
        let Some((name, read)) = architectures.iter().find_map(known) else {
            let names: Vec<&str> = ARCHITECTURES.iter().map(|(name, _)| *name).collect();
            let problem = match architectures.first() {
                Some(name) => format!("the architecture '{name}' is not supported"),
                None => "names no architecture".to_owned(),
            };
            let mend = format!("use a checkpoint of one of {}", names.join(", "));
            return Err(config.unsupported(problem, mend));
        };
        Ok(Self { architecture: name, ..read(config)? })
    }

    /// What Llama and its near relatives share. Other architectures change what differs.
    fn base(config: &Config) -> Result<Self, CheckpointError> {
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
            activation: activation(config, "hidden_act", "silu")?,
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
    fn set_windows(
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

    /// Elements of a key row or of a value row.
    pub(crate) fn kv_width(&self) -> usize {
        self.heads.kv_heads * self.heads.head_dim
    }

    /// Bytes that one token of one sequence takes in the KV cache.
    pub(crate) fn kv_bytes_per_token(&self) -> u64 {
        let floats = 2 * self.kv_width() * self.layers.len();
        (floats * size_of::<f32>()) as u64
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

fn activation(config: &Config, key: &str, default: &str) -> Result<Activation, CheckpointError> {
    match config.text_opt(key)?.unwrap_or(default) {
        "silu" => Ok(Activation::Silu),
        "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
        other => {
            let mend = "use a checkpoint with 'silu' or 'gelu_pytorch_tanh'";
            Err(config.unsupported(format!("the activation '{other}' is not supported"), mend))
        }
    }
}
