//! What makes one architecture differ from another, as plain data that one decoder obeys. An
//! architecture is one file that reads its configuration, and one line in [`ARCHITECTURES`].

mod activation;
mod bounds;
mod cohere;
mod encoder;
mod gemma3;
pub(crate) mod gguf;
mod llama;
mod mistral;
mod model;
mod phi3;
mod qwen2;
mod refused;
mod rope;
#[cfg(test)]
mod tests;
mod vision;

pub(crate) use activation::Activation;
pub(crate) use encoder::{EncoderSpec, Head, is_encoder, read_encoder};
pub(crate) use model::{Biases, LayerSpec, ModelSpec, Norm, NormKind, QkNorm, Residual};
pub(crate) use rope::Rope;
pub(crate) use vision::VisionSpec;

use crate::files::{CheckpointError, Config};

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

/// Reads a configuration by the architecture it names.
pub(crate) fn read(config: &Config) -> Result<ModelSpec, CheckpointError> {
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
    for section in std::iter::once(config.clone()).chain(config.section("text_config")?) {
        refused::refuse(&section)?;
    }
    Ok(ModelSpec { architecture: name, ..read(config)? })
}
