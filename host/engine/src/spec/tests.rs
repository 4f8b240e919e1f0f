//! Published configurations, abridged, and what they must be understood as.

mod keys;

use std::path::Path;

use serde_json::{Value, json};
use signalbox_kernels::{KvFormat, RopeLayout};

use super::{Activation, Biases, ModelSpec, NormKind, QkNorm, Residual};
use crate::files::Config;

/// Reads `changes` on top of a small model of `architecture`.
fn read(architecture: &str, changes: Value) -> ModelSpec {
    let mut config = json!({
        "architectures": [architecture], "hidden_size": 256, "intermediate_size": 512,
        "num_hidden_layers": 12, "num_attention_heads": 4, "num_key_value_heads": 2,
        "head_dim": 64, "vocab_size": 1000, "max_position_embeddings": 8192,
    });
    let (Value::Object(values), Value::Object(changes)) = (&mut config, changes) else { panic!() };
    values.extend(changes);
    super::read(&Config::new(Path::new("config.json"), values.clone())).unwrap()
}

fn windows(spec: &ModelSpec) -> Vec<Option<usize>> {
    spec.layers.iter().map(|layer| layer.window).collect()
}

#[test]
fn phi_scales_its_angles_in_both_regimes_and_changes_them_beyond_the_original_context() {
    let factors = |last: f32| [vec![1.0; 23], vec![last]].concat();
    let scaling = json!({
        "type": "longrope", "short_factor": factors(1.0), "long_factor": factors(47.77),
    });
    let changes = json!({
        "max_position_embeddings": 131_072, "original_max_position_embeddings": 4096,
        "partial_rotary_factor": 0.75, "rope_scaling": scaling,
    });
    let spec = read("Phi3ForCausalLM", changes);
    assert!(spec.fused && !spec.is_long(4096) && spec.is_long(4097));
    let [(short, _), (long, _)] = [false, true].map(|long| spec.ropes[0].angles(0, long));
    assert_eq!(short.len(), 24, "three quarters of 64, in pairs");
    assert!((short[0] - 1.190_238).abs() < 1e-6 && short == long, "{}", short[0]);
    let [(_, short), (_, long)] = [false, true].map(|long| spec.ropes[0].angles(100, long));
    assert_eq!(short[..23], long[..23]);
    assert!((short[23] / long[23] - 47.77).abs() < 0.01, "{} and {}", short[23], long[23]);
}

#[test]
fn gemma_is_the_same_in_the_words_of_transformers_4_and_5() {
    let old = json!({ "text_config": {
        "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 12, "head_dim": 64,
        "query_pre_attn_scalar": 168, "rope_scaling": { "rope_type": "linear", "factor": 8.0 },
        "sliding_window": 1024,
    }, "vision_config": { "image_size": 896, "patch_size": 14, "num_attention_heads": 16 } });
    let mut new = old.clone();
    new["text_config"]["rope_scaling"] = Value::Null;
    new["text_config"]["rope_parameters"] = json!({
        "full_attention": { "rope_type": "linear", "factor": 8.0, "rope_theta": 1e6 },
        "sliding_attention": { "rope_type": "default", "rope_theta": 1e4 },
    });
    let kinds = (0..12).map(|i| if i % 6 == 5 { "full_attention" } else { "sliding_attention" });
    new["text_config"]["layer_types"] = kinds.collect();
    let spec = read("Gemma3ForConditionalGeneration", old);
    assert_eq!(spec, read("Gemma3ForConditionalGeneration", new));

    let vision = spec.vision.as_ref().unwrap();
    assert_eq!((vision.patches_per_side(), vision.tokens()), (64, 256));
    assert_eq!((vision.hidden, vision.placeholder), (768, 262_144));
    assert!(spec.tied && spec.norm.plus_one);
    assert_eq!((spec.residual, spec.qk_norm), (Residual::Sandwich, QkNorm::Shared));
    assert_eq!(spec.activation, Activation::GeluTanh);
    assert_eq!((spec.vocab_size, spec.context_length), (262_208, 131_072));
    assert_eq!((spec.embedding_scale, spec.attention_scale), (16.0, 1.0 / 168f32.sqrt()));
    let windowed: Vec<bool> = windows(&spec).iter().map(Option::is_some).collect();
    assert_eq!(windowed, (0..12).map(|i| i % 6 != 5).collect::<Vec<_>>());
    let angle = |layer: usize| spec.ropes[spec.layers[layer].rope].angles(2, false).1[0];
    assert_eq!((angle(0), angle(5)), (2f32.sin(), 0.25f32.sin()));
}

#[test]
fn cohere_is_parallel_interleaved_and_scaled() {
    let spec = read("CohereForCausalLM", json!({ "logit_scale": 0.125, "use_qk_norm": true }));
    assert_eq!((spec.residual, spec.norm.kind), (Residual::Parallel, NormKind::Layer));
    assert_eq!((spec.logit_scale, spec.tied), (0.125, true));
    assert_eq!((spec.qk_norm, spec.ropes[0].layout), (QkNorm::PerHead, RopeLayout::Pairs));
}

#[test]
fn windows_are_those_the_configuration_means() {
    let mistral = |window| read("MistralForCausalLM", json!({ "sliding_window": window }));
    assert_eq!(windows(&mistral(Value::Null)), [None; 12]);
    assert_eq!(windows(&mistral(json!(4096))), [Some(4096); 12]);
    let qwen = |used: bool| {
        let window = json!({
            "use_sliding_window": used, "sliding_window": 64, "max_window_layers": 11,
        });
        read("Qwen2ForCausalLM", window)
    };
    assert_eq!((qwen(false).biases, windows(&qwen(false))), (Biases::Qkv, vec![None; 12]));
    assert_eq!(windows(&qwen(true))[10..], [None, Some(64)]);
}

#[test]
fn llama3_stretches_slow_pairs_only() {
    let scaling = json!({
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    });
    let changes = json!({ "rope_theta": 500_000.0, "rope_scaling": scaling });
    let stretched = read("LlamaForCausalLM", changes);
    let plain = read("LlamaForCausalLM", json!({ "rope_theta": 500_000.0 }));
    let sines = |spec: &ModelSpec| spec.ropes[0].angles(1, false).1;
    let (stretched, plain) = (sines(&stretched), sines(&plain));
    assert_eq!(stretched[0], plain[0]);
    assert!((plain[31] / stretched[31] - 8.0).abs() < 1e-3);
}

#[test]
fn a_token_costs_keys_and_values_of_every_layer() {
    let spec = read("LlamaForCausalLM", json!({}));
    let bytes = |format| crate::memory::kv_bytes_per_token(&spec, format);
    assert_eq!(bytes(KvFormat::F32), 2 * 2 * 64 * 12 * 4);
    assert_eq!(bytes(KvFormat::F16), 2 * 2 * 64 * 12 * 2);
    assert_eq!(bytes(KvFormat::Int8), 2 * 2 * (64 + 4) * 12);
}
