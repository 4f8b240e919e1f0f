//! Models small enough to be written in a test: the tensors of each architecture under its names in a
//! Hugging Face folder, and the same as llama.cpp's converter would write them.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::files::{Gguf, Tensor, safetensors};

pub(super) const HIDDEN: usize = 64;
pub(super) const WIDE: usize = 96;
pub(super) const HEAD_DIM: usize = 16;
pub(super) const VOCAB: usize = 32;
const HEADS: usize = 4;
const KV_HEADS: usize = 2;

/// A small model in both spellings.
#[derive(Clone)]
pub(super) struct Small {
    pub(super) config: Value,
    /// `model.` and so on stand before the names.
    pub(super) tensors: Vec<Tensor>,
    /// The metadata of a GGUF file.
    pub(super) gguf: Gguf,
    /// The names of `tensors` there.
    gguf_names: Vec<String>,
    /// Queries and keys are reordered in GGUF.
    permuted: bool,
    /// Norms have one added in GGUF.
    shifted: bool,
}

/// Numbers without a pattern that a mistake in their order could keep.
pub(super) fn wave(len: usize, step: f32) -> Vec<f32> {
    (0..len).map(|i| ((i + i * i % 89) as f32 * step).sin() * 0.3).collect()
}

impl Small {
    fn new(architecture: &str, kind: &str) -> Self {
        let key = |key: &str| format!("{kind}.{key}");
        let gguf = Gguf::default()
            .text("general.architecture", kind)
            .count(&key("context_length"), 128)
            .count(&key("embedding_length"), HIDDEN as u32)
            .count(&key("block_count"), 2)
            .count(&key("feed_forward_length"), WIDE as u32)
            .count(&key("attention.head_count"), HEADS as u32)
            .count(&key("attention.head_count_kv"), KV_HEADS as u32);
        let config = json!({
            "architectures": [architecture], "hidden_size": HIDDEN, "intermediate_size": WIDE,
            "num_hidden_layers": 2, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS,
            "head_dim": HEAD_DIM, "vocab_size": VOCAB, "max_position_embeddings": 128,
        });
        let (permuted, shifted) = (kind == "llama", kind == "gemma3");
        let mut model =
            Self { config, tensors: Vec::new(), gguf, gguf_names: Vec::new(), permuted, shifted };
        model.add("model.embed_tokens.weight", "token_embd.weight", &[VOCAB, HIDDEN]);
        model.add("model.norm.weight", "output_norm.weight", &[HIDDEN]);
        model
    }

    fn set(mut self, changes: Value) -> Self {
        let (Value::Object(config), Value::Object(changes)) = (&mut self.config, changes) else {
            panic!("objects")
        };
        config.extend(changes);
        self
    }

    /// A tensor of its own numbers.
    fn add(&mut self, name: &str, gguf_name: &str, shape: &[usize]) {
        let len = shape.iter().product();
        let mut numbers = wave(len, 0.31 + 0.017 * self.tensors.len() as f32);
        if name.contains("norm") && !self.shifted {
            numbers.iter_mut().for_each(|number| *number += 1.0);
        }
        self.tensors.push(Tensor::f32(name, shape, &numbers));
        self.gguf_names.push(gguf_name.to_owned());
    }

    /// The same tensor of both layers.
    fn add_layers(&mut self, name: &str, gguf_name: &str, shape: &[usize]) {
        for layer in 0..2 {
            let name = format!("model.layers.{layer}.{name}");
            self.add(&name, &format!("blk.{layer}.{gguf_name}"), shape);
        }
    }

    fn with_attention(mut self) -> Self {
        const QUERY: usize = HEADS * HEAD_DIM;
        const KEY: usize = KV_HEADS * HEAD_DIM;
        self.add_layers("input_layernorm.weight", "attn_norm.weight", &[HIDDEN]);
        self.add_layers("self_attn.q_proj.weight", "attn_q.weight", &[QUERY, HIDDEN]);
        self.add_layers("self_attn.k_proj.weight", "attn_k.weight", &[KEY, HIDDEN]);
        self.add_layers("self_attn.v_proj.weight", "attn_v.weight", &[KEY, HIDDEN]);
        self.add_layers("self_attn.o_proj.weight", "attn_output.weight", &[HIDDEN, QUERY]);
        self
    }

    fn with_feed_forward(mut self) -> Self {
        self.add_layers("mlp.gate_proj.weight", "ffn_gate.weight", &[WIDE, HIDDEN]);
        self.add_layers("mlp.up_proj.weight", "ffn_up.weight", &[WIDE, HIDDEN]);
        self.add_layers("mlp.down_proj.weight", "ffn_down.weight", &[HIDDEN, WIDE]);
        self
    }

    fn with_second_norm(mut self) -> Self {
        self.add_layers("post_attention_layernorm.weight", "ffn_norm.weight", &[HIDDEN]);
        self
    }

    fn with_head(mut self) -> Self {
        self.add("lm_head.weight", "output.weight", &[VOCAB, HIDDEN]);
        self
    }

    pub(super) fn llama() -> Self {
        let model = Self::new("LlamaForCausalLM", "llama")
            .with_attention()
            .with_second_norm()
            .with_feed_forward()
            .with_head()
            .set(json!({ "rms_norm_eps": 1e-5, "rope_theta": 5e5 }));
        let gguf = model.gguf.float("llama.attention.layer_norm_rms_epsilon", 1e-5);
        let gguf = gguf.float("llama.rope.freq_base", 5e5);
        Self { gguf: gguf.count("llama.rope.dimension_count", HEAD_DIM as u32), ..model }
    }

    pub(super) fn mistral() -> Self {
        let model = Self::llama().set(json!({
            "architectures": ["MistralForCausalLM"], "sliding_window": 3,
        }));
        Self { gguf: model.gguf.count("llama.attention.sliding_window", 3), ..model }
    }

    pub(super) fn qwen2() -> Self {
        let mut model = Self::new("Qwen2ForCausalLM", "qwen2")
            .with_attention()
            .with_second_norm()
            .with_feed_forward()
            .set(json!({ "rms_norm_eps": 1e-6, "rope_theta": 1e6, "tie_word_embeddings": true }));
        model.add_layers("self_attn.q_proj.bias", "attn_q.bias", &[HEADS * HEAD_DIM]);
        model.add_layers("self_attn.k_proj.bias", "attn_k.bias", &[KV_HEADS * HEAD_DIM]);
        model.add_layers("self_attn.v_proj.bias", "attn_v.bias", &[KV_HEADS * HEAD_DIM]);
        let gguf = model.gguf.float("qwen2.attention.layer_norm_rms_epsilon", 1e-6);
        Self { gguf: gguf.float("qwen2.rope.freq_base", 1e6), ..model }
    }

    /// Three quarters of each head rotate, by longrope with an original context of 8 tokens.
    pub(super) fn phi3() -> Self {
        const ROTATED: usize = HEAD_DIM * 3 / 4;
        let [short, long] =
            [1.0, 4.0].map(|last| (0..ROTATED / 2).map(|i| 1.0 + last * i as f32).collect());
        let (short, long): (Vec<f32>, Vec<f32>) = (short, long);
        let mut model = Self::new("Phi3ForCausalLM", "phi3").with_second_norm().set(json!({
            "rms_norm_eps": 1e-5, "rope_theta": 1e4, "tie_word_embeddings": true,
            "partial_rotary_factor": 0.75, "original_max_position_embeddings": 8,
            "sliding_window": null,
            "rope_scaling": { "type": "longrope", "short_factor": short, "long_factor": long },
        }));
        let fused = (HEADS + 2 * KV_HEADS) * HEAD_DIM;
        model.add_layers("input_layernorm.weight", "attn_norm.weight", &[HIDDEN]);
        model.add_layers("self_attn.qkv_proj.weight", "attn_qkv.weight", &[fused, HIDDEN]);
        model.add_layers("self_attn.o_proj.weight", "attn_output.weight", &[HIDDEN, HIDDEN]);
        model.add_layers("mlp.gate_up_proj.weight", "ffn_up.weight", &[2 * WIDE, HIDDEN]);
        model.add_layers("mlp.down_proj.weight", "ffn_down.weight", &[HIDDEN, WIDE]);
        let attn_factor = (1.0 + (128f64 / 8.0).ln() / 8f64.ln()).sqrt() as f32;
        let bytes = |factors: &[f32]| Tensor::f32("", &[factors.len()], factors).bytes;
        let gguf = model
            .gguf
            .float("phi3.attention.layer_norm_rms_epsilon", 1e-5)
            .float("phi3.rope.freq_base", 1e4)
            .count("phi3.rope.dimension_count", ROTATED as u32)
            .count("phi3.rope.scaling.original_context_length", 8)
            .float("phi3.rope.scaling.attn_factor", attn_factor)
            .count("phi3.attention.sliding_window", 0)
            .tensor("rope_factors_long.weight", &[ROTATED / 2], 0, &bytes(&long))
            .tensor("rope_factors_short.weight", &[ROTATED / 2], 0, &bytes(&short));
        Self { gguf, ..model }
    }

    /// Every layer but each sixth is windowed, so both are.
    pub(super) fn gemma3() -> Self {
        let mut model = Self::new("Gemma3ForCausalLM", "gemma3")
            .with_attention()
            .with_feed_forward()
            .set(json!({
                "rms_norm_eps": 1e-6, "sliding_window": 3, "query_pre_attn_scalar": HEAD_DIM,
                "rope_theta": 1e6, "rope_scaling": { "rope_type": "linear", "factor": 8.0 },
                "layer_types": ["sliding_attention", "full_attention"],
            }));
        model.add_layers("self_attn.q_norm.weight", "attn_q_norm.weight", &[HEAD_DIM]);
        model.add_layers("self_attn.k_norm.weight", "attn_k_norm.weight", &[HEAD_DIM]);
        for (name, gguf_name) in [
            ("post_attention_layernorm.weight", "post_attention_norm.weight"),
            ("pre_feedforward_layernorm.weight", "ffn_norm.weight"),
            ("post_feedforward_layernorm.weight", "post_ffw_norm.weight"),
        ] {
            model.add_layers(name, gguf_name, &[HIDDEN]);
        }
        let flags = [7u32.to_le_bytes().to_vec(), 2u64.to_le_bytes().to_vec(), vec![1, 0]].concat();
        let gguf = model
            .gguf
            .float("gemma3.attention.layer_norm_rms_epsilon", 1e-6)
            .count("gemma3.attention.key_length", HEAD_DIM as u32)
            .count("gemma3.attention.value_length", HEAD_DIM as u32)
            .count("gemma3.attention.sliding_window", 3)
            .raw("gemma3.attention.sliding_window_pattern", 9, &flags)
            .float("gemma3.rope.freq_base", 1e6)
            .float("gemma3.rope.freq_base_swa", 1e4)
            .text("gemma3.rope.scaling.type", "linear")
            .float("gemma3.rope.scaling.factor", 8.0);
        Self { gguf, ..model }
    }

    pub(super) fn cohere() -> Self {
        let mut model = Self::new("CohereForCausalLM", "command-r")
            .with_attention()
            .with_feed_forward()
            .set(json!({ "layer_norm_eps": 1e-5, "logit_scale": 0.25, "use_qk_norm": true }));
        let (query, key) = ([HEADS, HEAD_DIM], [KV_HEADS, HEAD_DIM]);
        model.add_layers("self_attn.q_norm.weight", "attn_q_norm.weight", &query);
        model.add_layers("self_attn.k_norm.weight", "attn_k_norm.weight", &key);
        let gguf = model
            .gguf
            .float("command-r.attention.layer_norm_epsilon", 1e-5)
            .float("command-r.logit_scale", 0.25)
            .text("command-r.rope.scaling.type", "none");
        Self { gguf, ..model }
    }

    /// The same with other metadata.
    pub(super) fn with_gguf(self, gguf: Gguf) -> Self {
        Self { gguf, ..self }
    }

    /// The same but for one tensor.
    pub(super) fn without(mut self, name: &str) -> Self {
        let at = self.tensors.iter().position(|tensor| tensor.name == name).unwrap();
        self.tensors.remove(at);
        self.gguf_names.remove(at);
        self
    }

    pub(super) fn write_folder(&self, folder: &Path) {
        fs::write(folder.join("model.safetensors"), safetensors(&self.tensors)).unwrap();
        fs::write(folder.join("config.json"), self.config.to_string()).unwrap();
    }

    pub(super) fn gguf_bytes(&self) -> Vec<u8> {
        let named = self.tensors.iter().zip(&self.gguf_names);
        let file = named.fold(self.gguf.clone(), |file, (tensor, name)| {
            let converted = self.converted(tensor, name);
            file.tensor(name, &tensor.shape, 0, &converted.bytes)
        });
        file.bytes()
    }

    /// What llama.cpp's converter does to numbers.
    fn converted(&self, tensor: &Tensor, gguf_name: &str) -> Tensor {
        let mut numbers = tensor.numbers();
        if self.shifted && tensor.name.ends_with("norm.weight") {
            numbers.iter_mut().for_each(|number| *number += 1.0);
        }
        if self.permuted && (gguf_name.contains("attn_q.") || gguf_name.contains("attn_k.")) {
            numbers = interleaved(&numbers, tensor.shape[0]);
        }
        Tensor::f32(&tensor.name, &tensor.shape, &numbers)
    }
}

/// Queries and keys of llama: the halves of a head become neighbours.
fn interleaved(numbers: &[f32], rows: usize) -> Vec<f32> {
    let cols = numbers.len() / rows;
    let source = |row: usize| {
        let (head, at) = (row / HEAD_DIM, row % HEAD_DIM);
        head * HEAD_DIM + at % 2 * HEAD_DIM / 2 + at / 2
    };
    (0..rows).flat_map(|row| &numbers[source(row) * cols..][..cols]).copied().collect()
}
