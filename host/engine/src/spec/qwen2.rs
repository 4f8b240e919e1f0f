//! Qwen2 and Qwen2.5: biases on queries, keys and values; a window, if any, over the upper layers only.

use super::{Biases, ModelSpec};
use crate::files::{CheckpointError, Config};

pub(super) fn read(config: &Config) -> Result<ModelSpec, CheckpointError> {
    let mut spec = ModelSpec { biases: Biases::Qkv, ..ModelSpec::base(config)? };
    if config.flag_or("use_sliding_window", false)? {
        /// What transformers takes when the key is absent.
        const UNWINDOWED: usize = 28;
        if let Some(types) = config.texts_opt("layer_types")? {
            let windowed = |layer: usize| types.get(layer) == Some(&"sliding_attention");
            spec.set_windows(config, windowed)?;
            return Ok(spec);
        }
        let first = config.count_opt("max_window_layers", 0..=usize::MAX)?.unwrap_or(UNWINDOWED);
        spec.set_windows(config, |layer| layer >= first)?;
    }
    Ok(spec)
}
