//! Numbers as a KV cache keeps them, read as f32.

use crate::{
    rows::float::half,
    simd::{LANES, Simd},
};

/// An IEEE half, little-endian.
pub(crate) type Half = [u8; 2];

/// A number of a cache.
pub(crate) trait Number: Copy {
    /// 16 of them.
    fn load<S: Simd>(simd: S, from: &[Self; LANES]) -> S::Floats;
    /// One of them.
    fn number(self) -> f32;
}

impl Number for f32 {
    #[inline(always)]
    fn load<S: Simd>(simd: S, from: &[Self; LANES]) -> S::Floats {
        simd.load(from)
    }

    #[inline(always)]
    fn number(self) -> f32 {
        self
    }
}

impl Number for Half {
    #[inline(always)]
    fn load<S: Simd>(simd: S, from: &[Self; LANES]) -> S::Floats {
        let mut bytes = [0; 2 * LANES];
        bytes.copy_from_slice(from.as_flattened());
        simd.load_half(&bytes)
    }

    #[inline(always)]
    fn number(self) -> f32 {
        half(u16::from_le_bytes(self))
    }
}

impl Number for i8 {
    #[inline(always)]
    fn load<S: Simd>(simd: S, from: &[Self; LANES]) -> S::Floats {
        simd.load_steps(from)
    }

    #[inline(always)]
    fn number(self) -> f32 {
        f32::from(self)
    }
}
