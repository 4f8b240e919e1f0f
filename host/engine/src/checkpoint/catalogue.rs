//! Which tensors lie where: what the headers of safetensors and of GGUF files have in common.

use std::{collections::HashMap, fmt, path::PathBuf};

use candle_core::quantized::GgmlDType;
use safetensors::Dtype;
use signalbox_kernels::Format;

/// What the numbers of a tensor are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Element {
    /// Weights the kernels take as they are.
    Weights(Format),
    /// 32-bit words that hold packed weights.
    Words,
    /// Anything else, by its name in the file.
    Other(String),
}

impl From<Dtype> for Element {
    fn from(dtype: Dtype) -> Self {
        match dtype {
            Dtype::F32 => Self::Weights(Format::F32),
            Dtype::F16 => Self::Weights(Format::F16),
            Dtype::BF16 => Self::Weights(Format::Bf16),
            Dtype::I32 | Dtype::U32 => Self::Words,
            other => Self::Other(format!("{other:?}")),
        }
    }
}

impl From<GgmlDType> for Element {
    fn from(dtype: GgmlDType) -> Self {
        let format = match dtype {
            GgmlDType::F32 => Format::F32,
            GgmlDType::F16 => Format::F16,
            GgmlDType::BF16 => Format::Bf16,
            GgmlDType::Q4_0 => Format::Q4_0,
            GgmlDType::Q4_1 => Format::Q4_1,
            GgmlDType::Q5_0 => Format::Q5_0,
            GgmlDType::Q5_1 => Format::Q5_1,
            GgmlDType::Q8_0 => Format::Q8_0,
            GgmlDType::Q4K => Format::Q4K,
            GgmlDType::Q5K => Format::Q5K,
            GgmlDType::Q6K => Format::Q6K,
            other => return Self::Other(format!("{other:?}")),
        };
        Self::Weights(format)
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Weights(format) => format.fmt(f),
            Self::Words => f.write_str("i32"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// One tensor of one file.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Index into [`Catalogue::files`].
    pub(super) file: usize,
    /// What its numbers are.
    pub(super) element: Element,
    /// Row-major, outermost first; GGUF's order is turned round already.
    pub(super) shape: Vec<usize>,
    /// First byte in the file; known to lie within it, as is the last.
    pub(super) offset: usize,
    /// Length.
    pub(super) bytes: usize,
}

/// All tensors of a checkpoint by name.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    /// The weight files.
    pub(super) files: Vec<PathBuf>,
    /// The tensors.
    pub(super) tensors: HashMap<String, Entry>,
}

impl Catalogue {
    /// Whether there is a tensor of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }
}
