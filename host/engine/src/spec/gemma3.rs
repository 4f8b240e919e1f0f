//! Gemma 3: a norm before and behind each block, normed queries and keys, and five windowed layers to
//! one global layer, each kind with its own rotary embedding. Norm weights lie around zero.

use super::{
    Activation, LayerSpec, ModelSpec, Norm, NormKind, QkNorm, Residual, Rope, VisionSpec,
    bounds::{CONTEXT_MAX, LAYERS_MAX},
};
use crate::files::{CheckpointError, Config};

const GLOBAL: &str = "full_attention";
const LOCAL: &str = "sliding_attention";
const GLOBAL_THETA: f64 = 1e6;
const LOCAL_THETA: f64 = 1e4;

/// What `Gemma3TextConfig` takes for keys that published files leave out.
const DEFAULTS: &[(&str, usize)] = &[
    ("hidden_size", 2304),
    ("intermediate_size", 9216),
    ("num_hidden_layers", 26),
    ("num_attention_heads", 8),
    ("num_key_value_heads", 4),
    ("head_dim", 256),
    ("vocab_size", 262_208),
    ("max_position_embeddings", 131_072),
    ("sliding_window", 4096),
    ("query_pre_attn_scalar", 256),
];

pub(super) fn read(config: &Config) -> Result<ModelSpec, CheckpointError> {
    let text = config.section("text_config")?.unwrap_or_else(|| config.clone());
    let text = text.with_defaults(DEFAULTS);
    if text.flag_or("attention_bias", false)? {
        let mend = "use a checkpoint whose attention has no bias";
        return Err(text.unsupported("'attention_bias' is not supported", mend));
    }
    let base = ModelSpec::base(&text)?;
    let scalar = text.float_or("query_pre_attn_scalar", 1.0..=1e6, 256.0)?;
    let tied = |config: &Config| config.flag_or("tie_word_embeddings", true);
    Ok(ModelSpec {
        vision: VisionSpec::read(config, base.vocab_size)?,
        norm: Norm { kind: NormKind::Rms, plus_one: true, ..base.norm },
        residual: Residual::Sandwich,
        qk_norm: QkNorm::Shared,
        activation: gelu(&text)?,
        attention_scale: (1.0 / scalar.sqrt()) as f32,
        embedding_scale: (base.hidden as f32).sqrt(),
        tied: tied(config)? && tied(&text)?,
        ropes: vec![
            Rope::read(&text, base.heads.head_dim, Some(GLOBAL), GLOBAL_THETA)?,
            local_rope(&text, base.heads.head_dim)?,
        ],
        layers: layers(&text, base.layers.len())?,
        ..base
    })
}

fn gelu(text: &Config) -> Result<Activation, CheckpointError> {
    Activation::read(text, "hidden_activation", "gelu_pytorch_tanh")
}

/// Windowed layers rotate without the scaling of the global ones. Transformers 5 says so in a section
/// per kind of layer, transformers 4 in a key of its own.
fn local_rope(text: &Config, head_dim: usize) -> Result<Rope, CheckpointError> {
    let sections = text.section("rope_parameters")?;
    if sections.is_some_and(|sections| sections.value(LOCAL).is_some()) {
        return Rope::read(text, head_dim, Some(LOCAL), LOCAL_THETA);
    }
    Ok(Rope::plain(text.float_or("rope_local_base_freq", 1.0..=1e12, LOCAL_THETA)?, head_dim))
}

/// Which layers have a window: by name per layer, or every layer but each `sliding_window_pattern`th.
fn layers(text: &Config, count: usize) -> Result<Vec<LayerSpec>, CheckpointError> {
    let window = text.count("sliding_window", 1..=CONTEXT_MAX)?;
    let global = LayerSpec { window: None, rope: 0 };
    let local = LayerSpec { window: Some(window), rope: 1 };
    let Some(types) = text.texts_opt("layer_types")? else {
        let pattern = text.count_opt("sliding_window_pattern", 1..=LAYERS_MAX)?.unwrap_or(6);
        let is_global = |index: usize| (index + 1).is_multiple_of(pattern);
        return Ok((0..count).map(|index| if is_global(index) { global } else { local }).collect());
    };
    let layer = |name: &&str| match *name {
        GLOBAL => Some(global),
        LOCAL => Some(local),
        _ => None,
    };
    let layers: Option<Vec<_>> = types.iter().map(layer).collect();
    layers.filter(|layers| layers.len() == count).ok_or_else(|| {
        let problem = format!("'layer_types' does not say {GLOBAL} or {LOCAL} of {count} layers");
        text.unsupported(problem, "fetch config.json again")
    })
}
