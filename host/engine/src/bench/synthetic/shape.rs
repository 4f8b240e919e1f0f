//! The numbers of the five experts as their publishers give them, and which tensors they have.

use serde_json::{Value, json};

use super::tensor::{Kind, Tensor};

/// Inputs that share a scale in AWQ.
const GROUP: usize = 128;
/// Weights in a word of AWQ.
const PER_WORD: usize = 8;

/// The numbers of a published model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// In the name of its class and in `model_type`.
    pub(super) family: Family,
    /// AWQ in groups of 128 with zero points, embedding and head in f16; otherwise all bf16.
    pub(super) awq: bool,
    pub(super) hidden: usize,
    pub(super) intermediate: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) head_dim: usize,
    pub(super) vocab: usize,
    /// The embedding is the head.
    pub(super) tied: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Phi3,
    Mistral,
    Qwen2,
    Cohere,
    Gemma3,
}

/// By name.
pub(super) const SHAPES: [(&str, Shape); 5] = [
    (
        "phi-4-mini-awq",
        Shape {
            family: Family::Phi3,
            awq: true,
            hidden: 3072,
            intermediate: 8192,
            layers: 32,
            heads: 24,
            kv_heads: 8,
            head_dim: 128,
            vocab: 200_064,
            tied: true,
        },
    ),
    (
        "mistral-7b-awq",
        Shape {
            family: Family::Mistral,
            awq: true,
            hidden: 4096,
            intermediate: 14_336,
            layers: 32,
            heads: 32,
            kv_heads: 8,
            head_dim: 128,
            vocab: 32_000,
            tied: false,
        },
    ),
    (
        "qwen2.5-coder-1.5b-awq",
        Shape {
            family: Family::Qwen2,
            awq: true,
            hidden: 1536,
            intermediate: 8960,
            layers: 28,
            heads: 12,
            kv_heads: 2,
            head_dim: 128,
            vocab: 151_936,
            tied: true,
        },
    ),
    (
        "aya-8b-awq",
        Shape {
            family: Family::Cohere,
            awq: true,
            hidden: 4096,
            intermediate: 14_336,
            layers: 32,
            heads: 32,
            kv_heads: 8,
            head_dim: 128,
            vocab: 256_000,
            tied: true,
        },
    ),
    (
        "gemma-3-27b-bf16",
        Shape {
            family: Family::Gemma3,
            awq: false,
            hidden: 5376,
            intermediate: 21_504,
            layers: 62,
            heads: 32,
            kv_heads: 16,
            head_dim: 128,
            vocab: 262_208,
            tied: true,
        },
    ),
];

impl Shape {
    /// `config.json` for so many layers.
    pub(super) fn config(&self, layers: usize) -> Value {
        let (architecture, model_type, own) = self.family.config();
        let mut config = json!({
            "architectures": [architecture],
            "model_type": model_type,
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "vocab_size": self.vocab,
            "tie_word_embeddings": self.tied,
            "max_position_embeddings": 32_768,
            "hidden_act": "silu",
            "torch_dtype": if self.awq { "float16" } else { "bfloat16" },
        });
        if let (Value::Object(config), Value::Object(own)) = (&mut config, own) {
            config.extend(own);
        }
        if self.awq {
            config["quantization_config"] = json!({
                "quant_method": "awq", "version": "gemm", "bits": 4,
                "group_size": GROUP, "zero_point": true,
            });
        }
        config
    }

    /// Every tensor of so many layers, in the order of the file.
    pub(super) fn tensors(&self, layers: usize) -> Vec<Tensor> {
        let plain = self.plain();
        let table = [self.vocab, self.hidden];
        let mut all = vec![Tensor::new("model.embed_tokens.weight", plain, &table)];
        for layer in 0..layers {
            let layer = format!("model.layers.{layer}");
            for (name, rows, cols) in self.linears() {
                self.linear(&format!("{layer}.{name}"), rows, cols, &mut all);
            }
            let vectors = self.vectors().into_iter();
            all.extend(
                vectors
                    .map(|(name, kind, len)| Tensor::new(format!("{layer}.{name}"), kind, &[len])),
            );
        }
        all.push(Tensor::new("model.norm.weight", Kind::Norm(self.awq), &[self.hidden]));
        if !self.tied {
            all.push(Tensor::new("lm_head.weight", plain, &table));
        }
        all
    }

    fn plain(&self) -> Kind {
        if self.awq { Kind::Half } else { Kind::Bfloat }
    }

    /// Name, outputs and inputs of a layer's linears.
    fn linears(&self) -> Vec<(&'static str, usize, usize)> {
        let Self { hidden, intermediate, .. } = *self;
        let (query, kv) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let mut linears = match self.family {
            Family::Phi3 => vec![
                ("self_attn.qkv_proj", query + 2 * kv, hidden),
                ("mlp.gate_up_proj", 2 * intermediate, hidden),
            ],
            _ => vec![
                ("self_attn.q_proj", query, hidden),
                ("self_attn.k_proj", kv, hidden),
                ("self_attn.v_proj", kv, hidden),
                ("mlp.gate_proj", intermediate, hidden),
                ("mlp.up_proj", intermediate, hidden),
            ],
        };
        linears.push(("self_attn.o_proj", hidden, query));
        linears.push(("mlp.down_proj", hidden, intermediate));
        linears
    }

    fn linear(&self, name: &str, rows: usize, cols: usize, all: &mut Vec<Tensor>) {
        if !self.awq {
            return all.push(Tensor::new(format!("{name}.weight"), self.plain(), &[rows, cols]));
        }
        let (groups, words) = (cols / GROUP, rows / PER_WORD);
        all.push(Tensor::new(format!("{name}.qweight"), Kind::Words, &[cols, words]));
        all.push(Tensor::new(format!("{name}.qzeros"), Kind::Words, &[groups, words]));
        all.push(Tensor::new(format!("{name}.scales"), Kind::Scales, &[groups, rows]));
    }

    /// Norms and biases of a layer.
    fn vectors(&self) -> Vec<(&'static str, Kind, usize)> {
        let (norm, hidden, head) = (Kind::Norm(self.awq), self.hidden, self.head_dim);
        let mut vectors = vec![("input_layernorm.weight", norm, hidden)];
        if self.family != Family::Cohere {
            vectors.push(("post_attention_layernorm.weight", norm, hidden));
        }
        match self.family {
            Family::Gemma3 => vectors.extend([
                ("pre_feedforward_layernorm.weight", norm, hidden),
                ("post_feedforward_layernorm.weight", norm, hidden),
                ("self_attn.q_norm.weight", norm, head),
                ("self_attn.k_norm.weight", norm, head),
            ]),
            Family::Qwen2 => vectors.extend([
                ("self_attn.q_proj.bias", norm, self.heads * head),
                ("self_attn.k_proj.bias", norm, self.kv_heads * head),
                ("self_attn.v_proj.bias", norm, self.kv_heads * head),
            ]),
            _ => {}
        }
        vectors
    }
}

impl Family {
    /// Class, `model_type`, and what only this family says.
    fn config(self) -> (&'static str, &'static str, Value) {
        let plain =
            json!({ "rms_norm_eps": 1e-6, "rope_theta": 1_000_000.0, "sliding_window": null });
        match self {
            Self::Phi3 => (
                "Phi3ForCausalLM",
                "phi3",
                json!({ "rms_norm_eps": 1e-5, "rope_theta": 10_000.0, "sliding_window": null,
                    "partial_rotary_factor": 0.75, "rope_scaling": null,
                    "original_max_position_embeddings": 32_768 }),
            ),
            Self::Mistral => ("MistralForCausalLM", "mistral", plain),
            Self::Qwen2 => ("Qwen2ForCausalLM", "qwen2", plain),
            Self::Cohere => (
                "CohereForCausalLM",
                "cohere",
                json!({ "layer_norm_eps": 1e-5, "rope_theta": 10_000.0, "logit_scale": 0.0625,
                    "use_qk_norm": false }),
            ),
            Self::Gemma3 => (
                "Gemma3ForCausalLM",
                "gemma3_text",
                json!({ "rms_norm_eps": 1e-6, "rope_theta": 1_000_000.0,
                    "rope_local_base_freq": 10_000.0, "rope_scaling": { "rope_type": "linear", "factor": 8.0 },
                    "sliding_window": 1024, "sliding_window_pattern": 6, "query_pre_attn_scalar": 168,
                    "hidden_activation": "gelu_pytorch_tanh" }),
            ),
        }
    }
}
