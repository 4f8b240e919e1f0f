//! The instruction sets that kernels are written for, and which of them this machine has.

#[cfg(target_arch = "x86_64")]
mod amx;

use std::{fmt, str::FromStr};

/// An instruction set that has kernels of its own. A machine may have several; [`Isa::best`] is the
/// one that computes fastest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Isa {
    /// Plain Rust, one rounding per operation: the meaning that every other is held against.
    Scalar,
    /// x86-64 with AVX2, FMA and F16C.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ, VL and VNNI.
    Avx512Vnni,
    /// The same with the tiles of AMX-INT8, which this process may use: products of many rows meet those,
    /// all else is that of [`Self::Avx512Vnni`], to the bit.
    AmxInt8,
    /// Any aarch64.
    Neon,
    /// aarch64 with the dot products of FEAT_DotProd.
    NeonDotprod,
    /// aarch64 with the matrix products of FEAT_I8MM beside the dot products.
    NeonI8mm,
    /// The same with those of FEAT_BF16: weights in bf16 meet activations that are rounded to bf16.
    NeonBf16,
}

impl Isa {
    /// Every instruction set, the plainest first.
    pub const ALL: [Self; 8] = [
        Self::Scalar,
        Self::Avx2,
        Self::Avx512Vnni,
        Self::AmxInt8,
        Self::Neon,
        Self::NeonDotprod,
        Self::NeonI8mm,
        Self::NeonBf16,
    ];

    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512Vnni => "avx512-vnni",
            Self::AmxInt8 => "amx-int8",
            Self::Neon => "neon",
            Self::NeonDotprod => "neon-dotprod",
            Self::NeonI8mm => "neon-i8mm",
            Self::NeonBf16 => "neon-bf16",
        }
    }

    /// Whether this machine has it.
    pub fn is_available(self) -> bool {
        match self {
            Self::Scalar => true,
            Self::Neon => cfg!(target_arch = "aarch64"),
            other => other.is_detected(),
        }
    }

    /// Those that this machine has, the plainest first.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|isa| isa.is_available())
    }

    #[cfg(target_arch = "x86_64")]
    fn is_detected(self) -> bool {
        let avx2 = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        match self {
            Self::Avx2 => avx2,
            Self::Avx512Vnni => {
                avx2 && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vnni")
            }
            Self::AmxInt8 => Self::Avx512Vnni.is_detected() && amx::is_usable(),
            _ => false,
        }
    }

    #[cfg(target_arch = "aarch64")]
    fn is_detected(self) -> bool {
        use std::arch::is_aarch64_feature_detected;
        match self {
            Self::NeonDotprod => is_aarch64_feature_detected!("dotprod"),
            Self::NeonI8mm => {
                Self::NeonDotprod.is_detected() && is_aarch64_feature_detected!("i8mm")
            }
            Self::NeonBf16 => Self::NeonI8mm.is_detected() && is_aarch64_feature_detected!("bf16"),
            _ => false,
        }
    }

    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn is_detected(self) -> bool {
        false
    }
}

/// By [`Isa::name`].
impl FromStr for Isa {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::available().find(|isa| isa.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Self::available().map(Self::name).collect();
            format!("this machine has {}", names.join(", "))
        })
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_has_more_than_the_scalar_one() {
        assert_eq!(Isa::available().next(), Some(Isa::Scalar));
        for isa in Isa::available() {
            assert_eq!(isa.name().parse(), Ok(isa));
        }
        let error = Isa::from_str("sse2").unwrap_err();
        assert!(error.starts_with("this machine has scalar, "), "{error}");
        assert!(Isa::available().count() > 1, "neither x86-64 with AVX2 nor aarch64");
    }
}
