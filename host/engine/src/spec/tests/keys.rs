//! Every key that the reference implementations of the six architectures read, in both doors: each is
//! applied, or refused by its name.

use std::path::Path;

use serde_json::{Value, json};

use crate::{
    files::{CheckpointError, Config, GgufMetadata},
    spec::{self, ModelSpec, gguf::Described},
};

/// What comes of a value.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Then {
    /// The model is another one.
    Applied,
    /// It is refused, in words with the key in them.
    Refused,
    /// It says what is done anyway, or nothing that counts.
    Same,
}
use Then::{Applied, Refused, Same};

fn judge(before: &ModelSpec, after: Result<ModelSpec, CheckpointError>, key: &str) -> Then {
    match after {
        Ok(spec) if spec == *before => Same,
        Ok(_) => Applied,
        Err(error) => {
            assert!(error.to_string().contains(key), "{key}: {error}");
            Refused
        }
    }
}

fn read_config(architecture: &str, changes: &Value) -> Result<ModelSpec, CheckpointError> {
    let mut config = json!({
        "architectures": [architecture], "hidden_size": 256, "intermediate_size": 512,
        "num_hidden_layers": 12, "num_attention_heads": 4, "num_key_value_heads": 2,
        "head_dim": 64, "vocab_size": 1000, "max_position_embeddings": 8192, "sliding_window": 512,
    });
    let (Some(values), Some(changes)) = (config.as_object_mut(), changes.as_object()) else {
        return spec::read(&Config::new(Path::new("config.json"), serde_json::Map::new()));
    };
    values.extend(changes.clone());
    spec::read(&Config::new(Path::new("config.json"), values.clone()))
}

/// One key of `config.json`; what belongs to it stands beside it.
fn check_config(architecture: &str, changes: Value, expect: Then) {
    let key = changes.as_object().and_then(|changes| changes.keys().next()).unwrap();
    let plain = read_config(architecture, &json!({})).unwrap();
    let then = judge(&plain, read_config(architecture, &changes), key.trim_start_matches('_'));
    assert_eq!(then, expect, "{architecture}: {changes}");
}

#[test]
fn every_key_of_config_json_is_applied_or_refused() {
    for architecture in [
        "LlamaForCausalLM",
        "MistralForCausalLM",
        "Qwen2ForCausalLM",
        "Phi3ForCausalLM",
        "Gemma3ForCausalLM",
        "CohereForCausalLM",
    ] {
        let check = |changes, expect| check_config(architecture, changes, expect);
        for (key, value) in [
            ("hidden_size", json!(512)),
            ("intermediate_size", json!(256)),
            ("num_hidden_layers", json!(6)),
            ("num_attention_heads", json!(8)),
            ("num_key_value_heads", json!(4)),
            ("head_dim", json!(32)),
            ("vocab_size", json!(999)),
            ("max_position_embeddings", json!(4096)),
            ("rope_theta", json!(5e5)),
            ("rope_scaling", json!({ "rope_type": "linear", "factor": 4.0 })),
            ("rope_parameters", json!({ "rope_type": "linear", "factor": 4.0, "rope_theta": 1e4 })),
            ("partial_rotary_factor", json!(0.5)),
        ] {
            check(json!({ key: value }), Applied);
        }
        for (key, value) in [
            ("final_logit_softcapping", json!(30.0)),
            ("attn_logit_softcapping", json!(50.0)),
            ("mlp_bias", json!(true)),
            ("num_experts", json!(8)),
            ("num_local_experts", json!(8)),
            ("use_bidirectional_attention", json!(true)),
        ] {
            check(json!({ key: value }), Refused);
            check(json!({ key: null }), Same);
        }
        check(json!({ "final_logit_softcapping": 0.0 }), Same);
        let rope = |scaling: Value| json!({ "rope_scaling": scaling });
        assert!(read_config(architecture, &rope(json!({ "rope_type": "dynamic" }))).is_err());
        let amplified = json!({ "rope_type": "linear", "factor": 2.0, "attention_factor": 2.0 });
        assert!(read_config(architecture, &rope(amplified)).is_err());
    }
}

#[test]
fn every_key_of_one_architecture_s_config_is_applied_or_refused() {
    check_config("LlamaForCausalLM", json!({ "attention_bias": true }), Applied);
    check_config("LlamaForCausalLM", json!({ "hidden_act": "gelu_pytorch_tanh" }), Applied);
    check_config("LlamaForCausalLM", json!({ "hidden_act": "relu" }), Then::Refused);
    check_config("LlamaForCausalLM", json!({ "rms_norm_eps": 1e-3 }), Applied);
    check_config("LlamaForCausalLM", json!({ "tie_word_embeddings": true }), Applied);
    check_config("MistralForCausalLM", json!({ "sliding_window": 128 }), Applied);
    check_config("Phi3ForCausalLM", json!({ "sliding_window": 128 }), Applied);
    check_config(
        "Qwen2ForCausalLM",
        json!({ "use_sliding_window": true, "max_window_layers": 3 }),
        Applied,
    );
    let layers: Vec<&str> =
        (0..12).map(|i| if i == 5 { "sliding_attention" } else { "full_attention" }).collect();
    check_config(
        "Qwen2ForCausalLM",
        json!({ "layer_types": layers, "use_sliding_window": true }),
        Applied,
    );
    check_config("Qwen2ForCausalLM", json!({ "layer_types": layers }), Same);
    check_config("Gemma3ForCausalLM", json!({ "layer_types": layers }), Applied);
    check_config("Gemma3ForCausalLM", json!({ "attention_bias": true }), Refused);
    for (key, value) in [
        ("query_pre_attn_scalar", json!(168)),
        ("sliding_window", json!(128)),
        ("sliding_window_pattern", json!(2)),
        ("rope_local_base_freq", json!(1e5)),
        ("hidden_activation", json!("silu")),
        ("rms_norm_eps", json!(1e-3)),
    ] {
        check_config("Gemma3ForCausalLM", json!({ key: value }), Applied);
    }
    for (key, value) in [
        ("logit_scale", json!(0.5)),
        ("use_qk_norm", json!(true)),
        ("attention_bias", json!(true)),
        ("layer_norm_eps", json!(1e-3)),
    ] {
        check_config("CohereForCausalLM", json!({ key: value }), Applied);
    }
}

fn read_gguf(
    kind: &str,
    change: &dyn Fn(GgufMetadata) -> GgufMetadata,
) -> Result<ModelSpec, CheckpointError> {
    let key = |key: &str| format!("{kind}.{key}");
    let metadata = GgufMetadata::default()
        .with_text("general.architecture", kind)
        .with_integer(&key("context_length"), 8192)
        .with_integer(&key("embedding_length"), 256)
        .with_integer(&key("block_count"), 12)
        .with_integer(&key("feed_forward_length"), 512)
        .with_integer(&key("attention.head_count"), 4)
        .with_integer(&key("attention.head_count_kv"), 2)
        .with_integer(&key("attention.key_length"), 64)
        .with_integer(&key("attention.sliding_window"), 512);
    let described = Described { vocab_size: 1000, ..Described::default() };
    spec::gguf::read(Path::new("m.gguf"), &change(metadata), &described)
}

/// One key of a GGUF file, behind the architecture's name.
fn check_gguf(kind: &str, key: &str, value: f32, expect: Then) {
    let full = format!("{kind}.{key}");
    let plain = read_gguf(kind, &|metadata| metadata).unwrap();
    let then = judge(&plain, read_gguf(kind, &|m| m.with_float(&full, value)), "'");
    assert_eq!(then, expect, "{full} = {value}");
    if value.fract() == 0.0 {
        let whole = read_gguf(kind, &|m| m.with_integer(&full, value as i64));
        assert_eq!(judge(&plain, whole, "'"), expect, "{full} as an integer");
    }
}

#[test]
fn every_key_of_a_gguf_file_is_applied_or_refused() {
    for kind in ["llama", "qwen2", "phi3", "gemma3", "command-r"] {
        for (key, value) in [
            ("context_length", 4096.0),
            ("embedding_length", 512.0),
            ("block_count", 6.0),
            ("feed_forward_length", 256.0),
            ("attention.head_count", 8.0),
            ("attention.head_count_kv", 4.0),
            ("rope.dimension_count", 32.0),
            ("rope.freq_base", 5e5),
            ("rope.scale_linear", 4.0),
            ("rope.scaling.factor", 4.0),
        ] {
            check_gguf(kind, key, value, Applied);
        }
        for refused in spec::refused::IN_GGUF {
            check_gguf(kind, refused.key, refused.neutral[0] as f32, Same);
            check_gguf(kind, refused.key, 7.0, Refused);
            let full = format!("{kind}.{}", refused.key);
            let said = read_gguf(kind, &|m| m.with_text(&full, "0")).unwrap_err().to_string();
            assert!(said.contains(&format!("'{full}' is no single number")), "{said}");
        }
        check_gguf(kind, "attention.value_length", 32.0, Refused);
        check_gguf(kind, "attention.value_length", 64.0, Same);
        check_gguf(kind, "rope.scaling.attn_factor", 2.0, Refused);
        check_gguf(kind, "rope.scaling.attn_factor", 1.0, Same);
        check_gguf(kind, "logit_scale", 0.5, if kind == "command-r" { Applied } else { Refused });
        let yarn = |m: GgufMetadata| m.with_text(&format!("{kind}.rope.scaling.type"), "yarn");
        assert!(read_gguf(kind, &yarn).is_err());
        let text = |m: GgufMetadata| m.with_text(&format!("{kind}.rope.freq_base"), "many");
        assert!(read_gguf(kind, &text).is_err(), "a number that is none is not passed over");
    }
    check_gguf("llama", "attention.layer_norm_rms_epsilon", 1e-3, Applied);
    check_gguf("command-r", "attention.layer_norm_epsilon", 1e-3, Applied);
    check_gguf("gemma3", "rope.freq_base_swa", 1e5, Applied);
    check_gguf("gemma3", "attention.sliding_window", 128.0, Applied);
    check_gguf("llama", "attention.sliding_window", 128.0, Applied);
}

#[test]
fn a_factor_without_a_type_is_linear_and_none_is_none() {
    let scaled =
        |change: &dyn Fn(GgufMetadata) -> GgufMetadata| read_gguf("llama", change).unwrap();
    let linear = scaled(&|m| {
        m.with_text("llama.rope.scaling.type", "linear")
            .with_float("llama.rope.scaling.factor", 4.0)
    });
    assert_eq!(scaled(&|m| m.with_float("llama.rope.scaling.factor", 4.0)), linear);
    assert_eq!(scaled(&|m| m.with_float("llama.rope.scale_linear", 4.0)), linear);
    let none = scaled(&|m| {
        m.with_text("llama.rope.scaling.type", "none").with_float("llama.rope.scaling.factor", 4.0)
    });
    assert_eq!(none, scaled(&|m| m));
}
