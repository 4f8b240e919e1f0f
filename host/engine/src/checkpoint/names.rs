//! What the tensors of a decoder are called in Hugging Face checkpoints and in GGUF files.

use crate::files::Catalogue;

/// The name of a layer's tensor in both worlds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name {
    hugging_face: &'static str,
    gguf: &'static str,
}

const fn name(hugging_face: &'static str, gguf: &'static str) -> Name {
    Name { hugging_face, gguf }
}

pub(super) const ATTENTION_NORM: Name = name("input_layernorm", "attn_norm");
pub(super) const QUERY: Name = name("self_attn.q_proj", "attn_q");
pub(super) const KEY: Name = name("self_attn.k_proj", "attn_k");
pub(super) const VALUE: Name = name("self_attn.v_proj", "attn_v");
pub(super) const QKV: Name = name("self_attn.qkv_proj", "attn_qkv");
pub(super) const QUERY_NORM: Name = name("self_attn.q_norm", "attn_q_norm");
pub(super) const KEY_NORM: Name = name("self_attn.k_norm", "attn_k_norm");
pub(super) const OUTPUT: Name = name("self_attn.o_proj", "attn_output");
pub(super) const POST_ATTENTION_NORM: Name =
    name("post_attention_layernorm", "post_attention_norm");
/// Hugging Face calls the norm before the feed-forward block by what it stands behind.
pub(super) const FEED_FORWARD_NORM: Name = name("post_attention_layernorm", "ffn_norm");
pub(super) const PRE_FEED_FORWARD_NORM: Name = name("pre_feedforward_layernorm", "ffn_norm");
pub(super) const GATE: Name = name("mlp.gate_proj", "ffn_gate");
pub(super) const UP: Name = name("mlp.up_proj", "ffn_up");
pub(super) const GATE_UP: Name = name("mlp.gate_up_proj", "ffn_up");
pub(super) const DOWN: Name = name("mlp.down_proj", "ffn_down");
pub(super) const POST_FEED_FORWARD_NORM: Name = name("post_feedforward_layernorm", "post_ffw_norm");

/// How one checkpoint calls its tensors; names are without `.weight`.
#[derive(Debug)]
pub(super) enum Names {
    /// A Hugging Face folder, by what stands before the decoder and before the head.
    HuggingFace { decoder: &'static str, head: &'static str },
    /// A GGUF file.
    Gguf,
}

impl Names {
    /// Multimodal checkpoints put the language model under a name of its own, and not always the same.
    pub(super) fn of_folder(catalogue: &Catalogue) -> Self {
        const DECODERS: [&str; 4] =
            ["model.", "language_model.model.", "model.language_model.", ""];
        let holds = |decoder: &&str| catalogue.has(&format!("{decoder}embed_tokens.weight"));
        let decoder = DECODERS.into_iter().find(holds).unwrap_or(DECODERS[0]);
        let nested = catalogue.has("language_model.lm_head.weight");
        Self::HuggingFace { decoder, head: if nested { "language_model." } else { "" } }
    }

    pub(super) fn embedding(&self) -> String {
        match self {
            Self::HuggingFace { decoder, .. } => format!("{decoder}embed_tokens"),
            Self::Gguf => "token_embd".to_owned(),
        }
    }

    pub(super) fn final_norm(&self) -> String {
        match self {
            Self::HuggingFace { decoder, .. } => format!("{decoder}norm"),
            Self::Gguf => "output_norm".to_owned(),
        }
    }

    pub(super) fn head(&self) -> String {
        match self {
            Self::HuggingFace { head, .. } => format!("{head}lm_head"),
            Self::Gguf => "output".to_owned(),
        }
    }

    pub(super) fn in_layer(&self, layer: usize, name: Name) -> String {
        match self {
            Self::HuggingFace { decoder, .. } => {
                format!("{decoder}layers.{layer}.{}", name.hugging_face)
            }
            Self::Gguf => format!("blk.{layer}.{}", name.gguf),
        }
    }
}
