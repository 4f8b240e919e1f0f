//! How the weights are stored, whatever a configuration says of them.

use std::fmt;

use signalbox_kernels::Format;

/// What most weights of the layers are: displays as `awq int4 g128`, `bf16`, `gguf q4_1`,
/// `int4 g128 (quantised while loading from bf16)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stored {
    /// In memory.
    pub(super) format: Format,
    /// In the file.
    pub(super) origin: Origin,
}

/// Where a format comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Plain numbers of a folder.
    Plain,
    /// A GGUF file.
    Gguf,
    /// AutoAWQ.
    Awq,
    /// compressed-tensors.
    CompressedTensors,
    /// Plain numbers that are quantised while they are loaded.
    Quantised {
        /// Which numbers.
        from: Format,
    },
}

impl Stored {
    /// The linears are AWQ.
    pub(crate) fn is_awq(&self) -> bool {
        self.origin == Origin::Awq
    }

    /// The linears are of compressed-tensors.
    pub(crate) fn is_compressed_tensors(&self) -> bool {
        self.origin == Origin::CompressedTensors
    }

    /// The linears are f32, f16 or bf16.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.format, Format::F32 | Format::F16 | Format::Bf16)
    }

    /// The linears are quantised while they are loaded.
    pub(crate) fn is_quantised_while_loading(&self) -> bool {
        matches!(self.origin, Origin::Quantised { .. })
    }
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = self.format;
        match self.origin {
            Origin::Plain => write!(f, "{format}"),
            Origin::Gguf => write!(f, "gguf {format}"),
            Origin::Awq => write!(f, "awq {format}"),
            Origin::CompressedTensors => write!(f, "compressed-tensors {format}"),
            Origin::Quantised { from } => {
                write!(f, "{format} (quantised while loading from {from})")
            }
        }
    }
}
