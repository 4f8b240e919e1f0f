//! Mistral (Jiang et al., 2023): Llama with a window over every layer, which version 0.2 gave up again.

use super::ModelSpec;
use crate::files::{CheckpointError, Config};

pub(super) fn read(config: &Config) -> Result<ModelSpec, CheckpointError> {
    let mut spec = ModelSpec::base(config)?;
    spec.set_windows(config, |_| true)?;
    Ok(spec)
}
