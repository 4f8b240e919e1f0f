//! Phi-3 and Phi-4-mini: fused linears, part of each head rotated, and longrope.

use super::ModelSpec;
use crate::files::{CheckpointError, Config};

pub(super) fn read(config: &Config) -> Result<ModelSpec, CheckpointError> {
    let mut spec = ModelSpec { fused: true, ..ModelSpec::base(config)? };
    spec.set_windows(config, |_| true)?;
    Ok(spec)
}
