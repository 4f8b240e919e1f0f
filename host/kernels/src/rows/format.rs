//! How weights are packed, and how many bytes that takes.

use std::fmt;

use super::groups;

/// How the weights of a row are packed. A row is a sequence of blocks of a fixed number of weights.
/// All numbers are little-endian. The `Q` formats are those of GGUF, byte for byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// IEEE single.
    F32,
    /// IEEE half.
    F16,
    /// Brain float: the upper half of an IEEE single.
    Bf16,
    /// 4 bits with a scale and a zero point per group: `w = (q - zero) * scale`. A group is
    /// an f16 scale, a u8 zero point, then `group / 2` bytes: byte `i` holds weight `i` in its low
    /// nibble and weight `i + group / 2` in its high one.
    Int4 {
        /// Weights that share a scale; even.
        group: usize,
    },
    /// [`Self::Int4`] with an f32 scale, for checkpoints whose scales have more range than an f16.
    Int4Wide {
        /// Weights that share a scale; even.
        group: usize,
    },
    /// 8 bits with a scale and a zero point per group: `w = (q - zero) * scale`. A group is an f32
    /// scale, a u8 zero point, then one byte per weight.
    Int8 {
        /// Weights that share a scale.
        group: usize,
    },
    /// 32 weights, 4 bits, f16 scale, symmetric.
    Q4_0,
    /// 32 weights, 4 bits, f16 scale and minimum.
    Q4_1,
    /// 32 weights, 5 bits, f16 scale, symmetric.
    Q5_0,
    /// 32 weights, 5 bits, f16 scale and minimum.
    Q5_1,
    /// 32 weights, 8 bits, f16 scale.
    Q8_0,
    /// 256 weights, 4 bits, eight 6-bit scales and minima.
    Q4K,
    /// 256 weights, 5 bits, eight 6-bit scales and minima.
    Q5K,
    /// 256 weights, 6 bits, sixteen 8-bit scales.
    Q6K,
}

impl Format {
    /// One of every kind, for tests that hold all of them to something.
    #[cfg(test)]
    pub(crate) const SAMPLES: &[Self] = &[
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::Int4 { group: 32 },
        Self::Int4Wide { group: 32 },
        Self::Int8 { group: 32 },
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q8_0,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
    ];

    /// Weights and bytes of one block.
    pub fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::Bf16 => (1, 2),
            Self::Int4 { group } => (group, groups::HEADER_BYTES + group / 2),
            Self::Int4Wide { group } => (group, groups::WIDE_HEADER_BYTES + group / 2),
            Self::Int8 { group } => (group, groups::WIDE_HEADER_BYTES + group),
            Self::Q4_0 => (32, 18),
            Self::Q4_1 => (32, 20),
            Self::Q5_0 => (32, 22),
            Self::Q5_1 => (32, 24),
            Self::Q8_0 => (32, 34),
            Self::Q4K => (256, 144),
            Self::Q5K => (256, 176),
            Self::Q6K => (256, 210),
        }
    }

    /// Bytes of a row of `cols` weights, or `None` when they are not whole blocks.
    pub fn row_bytes(self, cols: usize) -> Option<usize> {
        let (weights, bytes) = self.block();
        let whole = weights > 0 && cols.is_multiple_of(weights);
        if whole { (cols / weights).checked_mul(bytes) } else { None }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Int4 { group } | Self::Int4Wide { group } => return write!(f, "int4 g{group}"),
            Self::Int8 { group } => return write!(f, "int8 g{group}"),
            Self::Q4_0 => "q4_0",
            Self::Q4_1 => "q4_1",
            Self::Q5_0 => "q5_0",
            Self::Q5_1 => "q5_1",
            Self::Q8_0 => "q8_0",
            Self::Q4K => "q4_k",
            Self::Q5K => "q5_k",
            Self::Q6K => "q6_k",
        };
        f.write_str(name)
    }
}
