//! Values that would make another function of a model than the one that is computed. Reference
//! implementations of the architectures read their keys, so none of them is passed over: what is not
//! applied is refused by its name, unless it says what is done anyway.

use serde_json::Value;

use crate::files::{CheckpointError, Config};

/// What a refused key would mean, and the values of it that change nothing.
pub(super) struct Refused {
    pub(super) key: &'static str,
    /// As numbers; flags are 0 and 1.
    pub(super) neutral: &'static [f64],
    /// In the plural.
    pub(super) what: &'static str,
    pub(super) mend: &'static str,
}

const ORIGINAL: &str = "use the model that it was made of";
const DENSE: &str = "use a dense model of the same family";

const fn refused(
    key: &'static str,
    neutral: &'static [f64],
    what: &'static str,
    mend: &'static str,
) -> Refused {
    Refused { key, neutral, what, mend }
}

/// Keys of `config.json`.
pub(super) const IN_CONFIG: &[Refused] = &[
    refused("attn_logit_softcapping", &[0.0], "capped attention scores", ORIGINAL),
    refused("final_logit_softcapping", &[0.0], "capped logits", ORIGINAL),
    refused("mlp_bias", &[0.0], "biases of feed-forward blocks", ORIGINAL),
    refused("num_experts", &[0.0, 1.0], "mixtures of experts", DENSE),
    refused("num_local_experts", &[0.0, 1.0], "mixtures of experts", DENSE),
    refused("use_bidirectional_attention", &[0.0], "attention in both directions", ORIGINAL),
];

/// Keys of a GGUF file, behind the architecture's name.
pub(super) const IN_GGUF: &[Refused] = &[
    refused("attention.causal", &[1.0], "attention in both directions", ORIGINAL),
    refused("attention.clamp_kqv", &[0.0], "clamped queries, keys and values", ORIGINAL),
    refused("attention.max_alibi_bias", &[0.0], "positions by ALiBi", ORIGINAL),
    refused("attention.scale", &[0.0], "scales of attention", ORIGINAL),
    refused("attention.shared_kv_layers", &[0.0], "layers that share keys and values", ORIGINAL),
    refused("attention.temperature_scale", &[0.0], "temperatures of attention", ORIGINAL),
    refused("attn_logit_softcapping", &[0.0], "capped attention scores", ORIGINAL),
    refused("embedding_scale", &[0.0, 1.0], "scales of embeddings", ORIGINAL),
    refused("expert_count", &[0.0, 1.0], "mixtures of experts", DENSE),
    refused("final_logit_softcapping", &[0.0], "capped logits", ORIGINAL),
    refused("nextn_predict_layers", &[0.0], "layers that predict further tokens", ORIGINAL),
    refused("pooling_type", &[0.0], "embedding models", "use a model that generates text"),
    refused("residual_scale", &[0.0, 1.0], "scales of the residual stream", ORIGINAL),
    refused("use_parallel_residual", &[0.0], "parallel residual streams", ORIGINAL),
];

/// Refuses what a configuration says beyond what is computed.
pub(super) fn refuse(config: &Config) -> Result<(), CheckpointError> {
    for refused in IN_CONFIG {
        match config.value(refused.key) {
            Some(value) if !is_neutral(value, refused.neutral) => {
                return Err(refused.error(config, refused.key, value));
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_neutral(value: &Value, neutral: &[f64]) -> bool {
    let number = value.as_f64().or_else(|| value.as_bool().map(|flag| f64::from(u8::from(flag))));
    number.is_some_and(|number| neutral.contains(&number))
}

impl Refused {
    /// `key` as its file has it.
    pub(super) fn error(
        &self,
        config: &Config,
        key: &str,
        value: impl std::fmt::Display,
    ) -> CheckpointError {
        let problem = format!("'{key}' is {value}, and {} are not supported", self.what);
        config.unsupported(problem, self.mend)
    }
}
