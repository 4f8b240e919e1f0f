//! Cohere's Command R and Aya: one layer norm before both blocks, which join the residual stream
//! together; neighbouring elements rotate; logits are scaled.

use signalbox_kernels::RopeLayout;

use super::{Biases, ModelSpec, Norm, NormKind, QkNorm, Residual};
use crate::files::{CheckpointError, Config};

pub(super) fn read(config: &Config) -> Result<ModelSpec, CheckpointError> {
    let biased = config.flag_or("attention_bias", false)?;
    let normed = config.flag_or("use_qk_norm", false)?;
    let eps = config.float_or("layer_norm_eps", 0.0..=1.0, 1e-5)? as f32;
    let mut spec = ModelSpec {
        norm: Norm { kind: NormKind::Layer, eps, plus_one: false },
        residual: Residual::Parallel,
        biases: if biased { Biases::All } else { Biases::None },
        qk_norm: if normed { QkNorm::PerHead } else { QkNorm::None },
        logit_scale: config.float_or("logit_scale", 0.0..=1e3, 0.0625)? as f32,
        tied: config.flag_or("tie_word_embeddings", true)?,
        ..ModelSpec::base(config)?
    };
    spec.ropes.iter_mut().for_each(|rope| rope.layout = RopeLayout::Pairs);
    Ok(spec)
}
