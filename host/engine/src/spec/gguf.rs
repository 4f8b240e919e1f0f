//! GGUF says the same things in other words: its metadata is put into the keys of `config.json`, so that
//! every architecture is read in one place, and what its converter changed in the weights is known.

use std::path::Path;

use serde_json::{Map, Value, json};
use signalbox_kernels::RopeLayout;

use super::{ModelSpec, refused::IN_GGUF};
use crate::files::{CheckpointError, Config, GgufMetadata, Kind};

/// `general.architecture` and the name of the same in `config.json`.
const ARCHITECTURES: &[(&str, &str)] = &[
    ("command-r", "CohereForCausalLM"),
    ("gemma3", "Gemma3ForCausalLM"),
    ("llama", "LlamaForCausalLM"),
    ("phi3", "Phi3ForCausalLM"),
    ("qwen2", "Qwen2ForCausalLM"),
];

/// Metadata keys, behind the architecture's name, and keys of `config.json`.
const COUNTS: &[(&str, &str)] = &[
    ("context_length", "max_position_embeddings"),
    ("embedding_length", "hidden_size"),
    ("block_count", "num_hidden_layers"),
    ("feed_forward_length", "intermediate_size"),
    ("attention.head_count", "num_attention_heads"),
    ("attention.head_count_kv", "num_key_value_heads"),
    ("attention.key_length", "head_dim"),
    ("attention.sliding_window", WINDOW),
];
const WINDOW: &str = "sliding_window";
const FLOATS: &[(&str, &str)] = &[
    ("attention.layer_norm_rms_epsilon", "rms_norm_eps"),
    ("attention.layer_norm_epsilon", "layer_norm_eps"),
    ("rope.freq_base", "rope_theta"),
    ("rope.freq_base_swa", "rope_local_base_freq"),
    ("rope.global.freq_base", "rope_theta"),
    ("rope.local.freq_base", "rope_local_base_freq"),
    ("logit_scale", "logit_scale"),
];

/// Rotary factors of one kind: one for each pair of a head.
pub(crate) const FACTORS_MAX: usize = super::bounds::HEAD_DIM_MAX / 2;

/// What a GGUF file keeps among its tensors although it describes the model.
#[derive(Debug, Default)]
pub(crate) struct Described {
    /// Rows of the embedding.
    pub(crate) vocab_size: usize,
    /// There is a head of its own.
    pub(crate) has_head: bool,
    /// Queries have a bias.
    pub(crate) has_bias: bool,
    /// Queries are normalised.
    pub(crate) has_query_norm: bool,
    /// Divisors of rotary frequencies: of llama 3, of longrope's short and of its long regime.
    pub(crate) rope_factors: [Option<Vec<f32>>; 3],
}

/// Reads the spec of a GGUF file.
pub(crate) fn read(
    file: &Path,
    metadata: &GgufMetadata,
    tensors: &Described,
) -> Result<ModelSpec, CheckpointError> {
    let name = metadata.get_str("general.architecture").unwrap_or_default();
    let Some((_, architecture)) = ARCHITECTURES.iter().find(|(known, _)| *known == name) else {
        let names: Vec<&str> = ARCHITECTURES.iter().map(|(name, _)| *name).collect();
        let problem = format!("the architecture '{name}' is not supported");
        let mend = format!("use a file of one of {}", names.join(", "));
        return Err(CheckpointError::new(Kind::Unsupported, file, problem, mend));
    };
    let mut values = translate(name, metadata, tensors);
    values.insert("architectures".to_owned(), json!([architecture]));
    let config = Config::new(file, values);
    refuse(name, metadata, &config)?;
    let mut spec = super::read(&config)?;
    spec.norm.plus_one = false; // the converter has added the one
    if name == "llama" {
        // The converter has reordered queries and keys for neighbours to rotate together. Mistral is a
        // llama in GGUF, and may have its window.
        spec.ropes.iter_mut().for_each(|rope| rope.layout = RopeLayout::Pairs);
        spec.set_windows(&config, |_| true)?;
    }
    if let Some(factors) = &tensors.rope_factors[0] {
        if !factors.iter().all(|factor| (1e-3..=1e6).contains(factor)) {
            let problem = "tensor 'rope_freqs.weight' holds factors that are not from 0.001 to 1e6";
            return Err(config.unsupported(problem, "fetch the file again"));
        }
        spec.ropes = spec.ropes.into_iter().map(|rope| rope.divided_by(factors)).collect();
    }
    Ok(spec)
}

/// What is neither applied nor says what is done anyway.
fn refuse(name: &str, metadata: &GgufMetadata, config: &Config) -> Result<(), CheckpointError> {
    for refused in IN_GGUF {
        let key = format!("{name}.{}", refused.key);
        match metadata.number(&key) {
            Some(Ok(value)) if refused.neutral.contains(&value) => {}
            Some(Ok(value)) => return Err(refused.error(config, &key, value)),
            Some(Err(())) => return Err(refused.error(config, &key, "no single number")),
            None => {}
        }
    }
    let scaled = metadata.number(&format!("{name}.logit_scale"));
    if name != "command-r" && scaled.is_some_and(|scale| scale != Ok(0.0) && scale != Ok(1.0)) {
        let problem =
            format!("'{name}.logit_scale' is set, and scaled logits are Command R's only");
        return Err(config.unsupported(problem, "use the model that it was made of"));
    }
    refuse_other_heads(name, metadata, config)
}

/// Values are as long as keys here, and both are in every layer.
fn refuse_other_heads(
    name: &str,
    metadata: &GgufMetadata,
    config: &Config,
) -> Result<(), CheckpointError> {
    let Some(wanted) = config.value("head_dim").and_then(Value::as_f64) else { return Ok(()) };
    for key in ["attention.value_length", "attention.key_length_swa", "attention.value_length_swa"]
    {
        let key = format!("{name}.{key}");
        if metadata.number(&key).is_some_and(|length| length != Ok(wanted)) {
            let problem = format!("'{key}' is not the {wanted} of 'attention.key_length'");
            return Err(config.unsupported(problem, "use the model that it was made of"));
        }
    }
    Ok(())
}

fn translate(name: &str, metadata: &GgufMetadata, tensors: &Described) -> Map<String, Value> {
    let key = |key: &str| format!("{name}.{key}");
    let mut values = Map::new();
    for (theirs, ours) in COUNTS {
        // Phi writes a window of zero tokens for none.
        let is_none = |count: f64| count == 0.0 && *ours == WINDOW;
        match metadata.number(&key(theirs)) {
            Some(Ok(count)) if is_none(count) => {}
            Some(count) => {
                values.insert((*ours).to_owned(), whole(count));
            }
            None => {}
        }
    }
    for (theirs, ours) in FLOATS {
        if let Some(float) = metadata.number(&key(theirs)) {
            values.insert((*ours).to_owned(), odd(float));
        }
    }
    values.insert("vocab_size".to_owned(), json!(tensors.vocab_size));
    values.insert("tie_word_embeddings".to_owned(), json!(!tensors.has_head));
    values.insert("attention_bias".to_owned(), json!(tensors.has_bias));
    values.insert("use_qk_norm".to_owned(), json!(tensors.has_query_norm));
    values.insert("rope_scaling".to_owned(), rope_scaling(name, metadata, tensors));
    if name == "gemma3" {
        translate_gemma(metadata, &mut values);
    }
    let head_dim = head_dim(&values);
    match metadata.number(&key("rope.dimension_count")) {
        Some(Ok(rotated)) if rotated == head_dim => {}
        // The factor will be multiplied with the head again, and rounded down.
        Some(Ok(rotated)) => {
            let factor = (rotated + 0.5) / head_dim;
            values.insert("partial_rotary_factor".to_owned(), json!(factor));
        }
        Some(none) => {
            values.insert("partial_rotary_factor".to_owned(), odd(none));
        }
        None => {}
    }
    values
}

/// JSON has no word for a number that is none; this one is refused where a number is needed.
fn number(float: f64) -> Value {
    if float.is_finite() { json!(float as f32) } else { json!(float.to_string()) }
}

/// A count, which JSON writes without a point.
fn whole(count: Result<f64, ()>) -> Value {
    match count {
        Ok(count) if count.fract() == 0.0 => json!(count as i64),
        other => odd(other),
    }
}

fn odd(number_or_none: Result<f64, ()>) -> Value {
    number_or_none.map_or_else(|()| json!("no single number"), number)
}

fn head_dim(values: &Map<String, Value>) -> f64 {
    let number = |key: &str| values.get(key).and_then(Value::as_f64);
    let divided = || Some(number("hidden_size")? / number("num_attention_heads")?);
    number("head_dim").or_else(divided).unwrap_or(f64::NAN)
}

fn translate_gemma(metadata: &GgufMetadata, values: &mut Map<String, Value>) {
    const PATTERN: &str = "gemma3.attention.sliding_window_pattern";
    let scalar = query_scalar(values);
    values.insert("query_pre_attn_scalar".to_owned(), json!(scalar));
    let pattern = if !values.contains_key(WINDOW) {
        Some(1) // every layer is global
    } else {
        metadata.get_u32(PATTERN)
    };
    if let Some(pattern) = pattern {
        values.insert("sliding_window_pattern".to_owned(), json!(pattern));
    }
    if let Some(windowed) = metadata.get_integers(PATTERN) {
        let kind =
            |windowed: &i64| if *windowed == 0 { "full_attention" } else { "sliding_attention" };
        values.insert("layer_types".to_owned(), windowed.iter().map(kind).collect());
    }
}

/// The 27B is the one Gemma whose queries are not scaled by the head; its file does not say so.
fn query_scalar(values: &Map<String, Value>) -> f64 {
    const LAYERS_OF_27B: usize = 62;
    let number = |key: &str| values.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN);
    if values.get("num_hidden_layers") == Some(&json!(LAYERS_OF_27B)) {
        number("hidden_size") / number("num_attention_heads")
    } else {
        head_dim(values)
    }
}

fn rope_scaling(name: &str, metadata: &GgufMetadata, tensors: &Described) -> Value {
    let key = |key: &str| format!("{name}.rope.scaling.{key}");
    let amplitude = metadata.number(&key("attn_factor")).map(odd);
    let original = metadata.number(&key("original_context_length")).map(whole);
    if let [_, Some(short), Some(long)] = &tensors.rope_factors {
        return json!({
            "rope_type": "longrope", "short_factor": short, "long_factor": long,
            "original_max_position_embeddings": original,
            "attention_factor": amplitude,
        });
    }
    // The older key, and the only one that says no type; without one, it is linear as well.
    let older = metadata.number(&format!("{name}.rope.scale_linear"));
    let factor = metadata.number(&key("factor")).or(older).filter(|factor| *factor != Ok(0.0));
    let kind = match metadata.get_str(&key("type")) {
        Some("none") => "default",
        Some(kind) => kind,
        None if factor.is_some() => "linear",
        None => "default",
    };
    json!({ "rope_type": kind, "factor": factor.map(odd), "attention_factor": amplitude })
}
