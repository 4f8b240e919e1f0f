//! Llama (Touvron et al., 2023): the plain case that the others differ from.

use super::{Biases, ModelSpec};
use crate::files::{CheckpointError, Config};

pub(super) fn read(config: &Config) -> Result<ModelSpec, CheckpointError> {
    if config.flag_or("mlp_bias", false)? {
        let mend = "use a checkpoint whose feed-forward blocks have no bias";
        return Err(config.unsupported("'mlp_bias' is not supported", mend));
    }
    let biased = config.flag_or("attention_bias", false)?;
    let biases = if biased { Biases::All } else { Biases::None };
    Ok(ModelSpec { biases, ..ModelSpec::base(config)? })
}
