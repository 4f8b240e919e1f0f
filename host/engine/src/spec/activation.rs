//! What gates a feed-forward block.

use crate::files::{CheckpointError, Config};

/// The gate of a feed-forward block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    /// `x * sigmoid(x)`.
    Silu,
    /// GELU in the tanh approximation.
    GeluTanh,
}

impl Activation {
    /// Reads it from a configuration.
    pub(super) fn read(config: &Config, key: &str, default: &str) -> Result<Self, CheckpointError> {
        match config.text_opt(key)?.unwrap_or(default) {
            "silu" => Ok(Activation::Silu),
            "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
            other => {
                let mend = "use a checkpoint with 'silu' or 'gelu_pytorch_tanh'";
                let problem =
                    format!("'{key}' is '{other}', and the activation '{other}' is not supported");
                Err(config.unsupported(problem, mend))
            }
        }
    }
}
