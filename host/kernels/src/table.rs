//! The table of operations and instruction sets: for each [`Isa`] one row of functions. A row leaves
//! this file only on a machine that has its instructions, so its functions are safe to call.

#[cfg(test)]
mod parity;

use crate::{Format, Isa, rows::unpack, vector};

/// One row of the table: every operation, for one instruction set.
#[derive(Debug)]
pub(crate) struct Ops {
    /// Whose row it is.
    pub(crate) isa: Isa,
    /// Sum of products of two slices of one length.
    pub(crate) dot: fn(&[f32], &[f32]) -> f32,
    /// `out += factor * x` for slices of one length.
    pub(crate) add_scaled: fn(&mut [f32], f32, &[f32]),
    /// Packed weights to f32, as [`unpack`] does.
    pub(crate) unpack: fn(Format, &[u8], &mut [f32]),
}

impl Ops {
    /// The row of `isa`, if this machine has it.
    pub(crate) fn of(isa: Isa) -> Option<&'static Self> {
        isa.is_available().then(|| row(isa))
    }

    /// The plain meaning.
    pub(crate) fn scalar() -> &'static Self {
        &SCALAR
    }

    /// The row of [`Isa::best`].
    pub(crate) fn best() -> &'static Self {
        row(Isa::best())
    }
}

static SCALAR: Ops = Ops {
    isa: Isa::Scalar,
    dot: vector::dot::<false>,
    add_scaled: vector::add_scaled::<false>,
    unpack,
};

fn row(isa: Isa) -> &'static Ops {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => &x86_64::AVX2,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni => &x86_64::AVX512_VNNI,
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => &aarch64::NEON,
        #[cfg(target_arch = "aarch64")]
        Isa::NeonDotprod => &aarch64::DOTPROD,
        #[cfg(target_arch = "aarch64")]
        Isa::NeonI8mm => &aarch64::I8MM,
        _ => &SCALAR,
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "the one door to functions compiled for optional instructions")]
mod x86_64 {
    use super::{Format, Isa, Ops, unpack, vector};

    #[target_feature(enable = "avx2,fma")]
    fn dot(a: &[f32], b: &[f32]) -> f32 {
        vector::dot::<true>(a, b)
    }

    #[target_feature(enable = "avx2,fma")]
    fn add_scaled(out: &mut [f32], factor: f32, x: &[f32]) {
        vector::add_scaled::<true>(out, factor, x);
    }

    #[target_feature(enable = "avx2,fma")]
    fn unpack_avx2(format: Format, packed: &[u8], out: &mut [f32]) {
        unpack(format, packed, out);
    }

    pub(super) static AVX2: Ops = Ops {
        isa: Isa::Avx2,
        // SAFETY: `Ops::of` and `Ops::best` give this row out where AVX2 and FMA were found.
        dot: |a, b| unsafe { dot(a, b) },
        // SAFETY: as above.
        add_scaled: |out, factor, x| unsafe { add_scaled(out, factor, x) },
        // SAFETY: as above.
        unpack: |format, packed, out| unsafe { unpack_avx2(format, packed, out) },
    };

    /// Sums of f32 keep the order of eight lanes, so that an answer does not depend on this row.
    pub(super) static AVX512_VNNI: Ops = Ops { isa: Isa::Avx512Vnni, ..AVX2 };
}

#[cfg(target_arch = "aarch64")]
mod aarch64 {
    use super::{Isa, Ops, unpack, vector};

    /// The baseline has wide registers and fused multiply-add already.
    pub(super) static NEON: Ops = Ops {
        isa: Isa::Neon,
        dot: vector::dot::<true>,
        add_scaled: vector::add_scaled::<true>,
        unpack,
    };
    pub(super) static DOTPROD: Ops = Ops { isa: Isa::NeonDotprod, ..NEON };
    pub(super) static I8MM: Ops = Ops { isa: Isa::NeonI8mm, ..NEON };
}
