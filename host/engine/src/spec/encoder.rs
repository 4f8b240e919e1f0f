//! What differs between encoders, as plain data: BERT and its near relatives, which read a text in both directions
//! and make vectors of it instead of words, or score one text for another.

use serde_json::{Map, Value};
use signalbox_kernels::Heads;

use super::bounds::{
    CONTEXT_MAX, HEAD_DIM_MAX, HEADS_MAX, HIDDEN_MAX, INTERMEDIATE_MAX, LAYERS_MAX, VOCAB_MAX,
};
use crate::files::{CheckpointError, Config};

/// Every encoder that this engine runs, by its name in `config.json`; whether its positions begin behind the
/// padding token's id, as RoBERTa's do; and what it scores pairs of texts by, if it makes no vectors.
const ENCODERS: &[(&str, bool, Option<Head>)] = &[
    ("BertModel", false, None),
    ("RobertaModel", true, None),
    ("XLMRobertaModel", true, None),
    ("BertForSequenceClassification", false, Some(Head::Pooler)),
    ("RobertaForSequenceClassification", true, Some(Head::Classifier)),
    ("XLMRobertaForSequenceClassification", true, Some(Head::Classifier)),
];

/// What makes the score of a pair of texts of its first token's vector: a linear, tanh, and a linear of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Head {
    /// BERT's pooler, and a classifier behind it.
    Pooler,
    /// RoBERTa's classifier, which has both.
    Classifier,
}

/// Kinds of tokens that a model may distinguish.
const KINDS_MAX: usize = 1 << 10;

/// Values that would make another function of an encoder than the one that is computed: the key, what it has to be, and
/// what it is where it is absent.
const FIXED: &[(&str, &str)] = &[("hidden_act", "gelu"), ("position_embedding_type", "absolute")];
const FLAGS_OFF: &[&str] = &["is_decoder", "add_cross_attention"];

/// Everything an encoder must know of a model besides its weights.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EncoderSpec {
    /// The name in the list of encoders, as `BertModel`.
    pub(crate) architecture: &'static str,
    /// Longest text in tokens.
    pub(crate) context_length: u32,
    /// Rows of the embedding.
    pub(crate) vocab_size: u32,
    /// Rows of the table of positions.
    pub(crate) positions: usize,
    /// The id of padding where positions begin behind it and leave it out; `None` where they begin with zero.
    pub(crate) padding: Option<u32>,
    /// Rows of the table of kinds of tokens, of which the first is used.
    pub(crate) kinds: usize,
    /// Width of a token's vector, and of a text's.
    pub(crate) hidden: usize,
    /// Width inside the feed-forward block.
    pub(crate) intermediate: usize,
    /// How attention is divided.
    pub(crate) heads: Heads,
    /// Added to variances.
    pub(crate) eps: f32,
    /// How many layers there are.
    pub(crate) layers: usize,
    /// What it scores pairs of texts by; `None` where it makes vectors.
    pub(crate) head: Option<Head>,
}

/// Whether an architecture makes vectors of texts, or scores them.
pub(crate) fn is_encoder(architecture: &str) -> bool {
    ENCODERS.iter().any(|(known, ..)| *known == architecture)
}

/// The architectures of encoders.
fn encoders() -> impl Iterator<Item = &'static str> {
    ENCODERS.iter().map(|(name, ..)| *name)
}

/// Reads the configuration of an encoder.
pub(crate) fn read_encoder(config: &Config) -> Result<EncoderSpec, CheckpointError> {
    let architectures = config.texts_opt("architectures")?.unwrap_or_default();
    let known = |name: &&str| ENCODERS.iter().find(|(known, ..)| known == name);
    let Some((architecture, behind_padding, head)) = architectures.iter().find_map(known) else {
        let mend =
            format!("use a checkpoint of one of {}", encoders().collect::<Vec<_>>().join(", "));
        return Err(config.unsupported("names no encoder", mend));
    };
    refuse(config)?;
    if head.is_some() {
        one_label(config)?;
    }
    let hidden = config.count("hidden_size", 1..=HIDDEN_MAX)?;
    let heads = config.count("num_attention_heads", 1..=HEADS_MAX)?;
    if !hidden.is_multiple_of(heads) || hidden / heads > HEAD_DIM_MAX {
        let problem = format!("{heads} heads do not divide {hidden} hidden");
        return Err(config.unsupported(problem, "fetch config.json again"));
    }
    let vocab_size = config.count("vocab_size", 1..=VOCAB_MAX)?;
    let positions = config.count("max_position_embeddings", 1..=CONTEXT_MAX)?;
    let padding = match behind_padding {
        true => Some(config.count_opt("pad_token_id", 0..=vocab_size - 1)?.unwrap_or(1)),
        false => None,
    };
    let longest = positions.saturating_sub(padding.map_or(0, |padding| padding + 1));
    if longest == 0 {
        let problem = format!("its {positions} positions leave no room behind the padding token");
        return Err(config.unsupported(problem, "fetch config.json again"));
    }
    Ok(EncoderSpec {
        architecture,
        context_length: longest as u32,
        vocab_size: vocab_size as u32,
        positions,
        padding: padding.map(|padding| padding as u32),
        kinds: config.count_opt("type_vocab_size", 1..=KINDS_MAX)?.unwrap_or(2),
        hidden,
        intermediate: config.count("intermediate_size", 1..=INTERMEDIATE_MAX)?,
        heads: Heads { heads, kv_heads: heads, head_dim: hidden / heads },
        eps: config.float_or("layer_norm_eps", 0.0..=1.0, 1e-12)? as f32,
        layers: config.count("num_hidden_layers", 1..=LAYERS_MAX)?,
        head: *head,
    })
}

/// Of several labels none is the score. Where nothing is said there are two.
fn one_label(config: &Config) -> Result<(), CheckpointError> {
    let named = config.value("id2label").and_then(Value::as_object).map(Map::len);
    let labels = match named {
        Some(labels) => labels,
        None => config.count_opt("num_labels", 0..=VOCAB_MAX)?.unwrap_or(2),
    };
    if labels == 1 {
        return Ok(());
    }
    let problem = format!("it sorts texts by {labels} labels, which is not supported");
    Err(config.unsupported(problem, "use a cross-encoder, which has one label"))
}

fn refuse(config: &Config) -> Result<(), CheckpointError> {
    const MEND: &str =
        "use an encoder with learned absolute positions and exact GELU, as BERT has them";
    for (key, neutral) in FIXED {
        if let Some(value) = config.text_opt(key)?.filter(|value| value != neutral) {
            return Err(
                config.unsupported(format!("'{key}' is '{value}', which is not supported"), MEND)
            );
        }
    }
    for key in FLAGS_OFF {
        if config.flag_or(key, false)? {
            return Err(
                config.unsupported(format!("'{key}' is true, which is not supported"), MEND)
            );
        }
    }
    for key in ["quantization_config", "compression_config"] {
        if config.value(key).is_some() {
            let problem = format!("'{key}' is given, but packed encoders are not supported");
            return Err(config.unsupported(problem, "use the checkpoint in bf16, f16 or f32"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::*;

    fn read(changes: Value) -> Result<EncoderSpec, String> {
        let mut config = json!({
            "architectures": ["XLMRobertaModel"], "hidden_size": 32, "num_attention_heads": 4, "vocab_size": 50,
            "max_position_embeddings": 66, "intermediate_size": 64, "num_hidden_layers": 2
        });
        let changes = changes.as_object().cloned().unwrap_or_default();
        config.as_object_mut().unwrap().extend(changes);
        let config = Config::new(Path::new("config.json"), config.as_object().unwrap().clone());
        read_encoder(&config).map_err(|error| error.to_string())
    }

    #[test]
    fn positions_begin_behind_padding_where_the_family_has_it_so() {
        let spec = read(json!({})).unwrap();
        assert_eq!((spec.context_length, spec.padding, spec.kinds), (64, Some(1), 2));
        let spec = read(json!({"architectures": ["BertModel"], "pad_token_id": 7})).unwrap();
        assert_eq!((spec.context_length, spec.padding, spec.eps), (66, None, 1e-12));
    }

    #[test]
    fn a_cross_encoder_has_one_label() {
        let architectures = json!(["BertForSequenceClassification"]);
        let read = |labels: Value| {
            let mut changes = json!({"architectures": architectures});
            changes.as_object_mut().unwrap().extend(labels.as_object().cloned().unwrap());
            read(changes).map(|spec| spec.head)
        };
        assert_eq!(read(json!({"id2label": {"0": "LABEL_0"}})), Ok(Some(Head::Pooler)));
        assert_eq!(read(json!({"num_labels": 1})), Ok(Some(Head::Pooler)));
        for labels in
            [json!({}), json!({"num_labels": 3}), json!({"id2label": {"0": "a", "1": "b"}})]
        {
            assert!(read(labels).unwrap_err().contains("a cross-encoder, which has one label"));
        }
    }

    #[test]
    fn what_would_be_another_function_is_refused_by_name() {
        let check = |changes: Value, expect: &str| {
            let problem = read(changes).unwrap_err();
            assert!(problem.contains(expect), "{problem} instead of {expect}");
        };
        check(json!({"hidden_act": "gelu_new"}), "'hidden_act' is 'gelu_new'");
        check(json!({"position_embedding_type": "relative_key"}), "'position_embedding_type'");
        check(json!({"is_decoder": true}), "'is_decoder' is true");
        check(json!({"quantization_config": {"quant_method": "awq"}}), "packed encoders");
        check(json!({"num_attention_heads": 5}), "5 heads do not divide 32 hidden");
        check(json!({"max_position_embeddings": 2}), "leave no room behind the padding token");
        check(json!({"architectures": ["LlamaForCausalLM"]}), "BertModel");
    }
}
