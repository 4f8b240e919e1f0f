//! Llama (Touvron et al., 2023): the plain case that the others differ from.

use super::{Biases, ModelSpec};
use crate::files::{CheckpointError, Config};

pub(super) fn read(config: &Config) -> Result<ModelSpec, CheckpointError> {
    let biased = config.flag_or("attention_bias", false)?;
    let biases = if biased { Biases::All } else { Biases::None };
    Ok(ModelSpec { biases, ..ModelSpec::base(config)? })
}
