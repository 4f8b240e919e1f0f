//! The table of operations and instruction sets: for each [`Isa`] one row of functions. A row leaves
//! this file only on a machine that has its instructions, so its functions are safe to call.

mod compiled;
mod ops;
#[cfg(test)]
mod parity;

use crate::{
    Isa,
    activations::{quantise, quantise_step, survey},
    attention::{State, attend_plainly},
    packed::expand,
    plain,
    rows::unpack,
    sweep, vector,
};
pub(crate) use ops::{Ops, SweepBrains};

impl Ops {
    /// The row of `isa`, if this machine has it.
    pub(crate) fn of(isa: Isa) -> Option<&'static Self> {
        isa.is_available().then(|| row(isa))
    }

    /// The plain meaning.
    pub(crate) fn scalar() -> &'static Self {
        &SCALAR
    }
}

static SCALAR: Ops = Ops {
    isa: Isa::Scalar,
    dot: vector::dot::<false>,
    silu_gate: plain::silu_gate,
    gelu_tanh_gate: plain::gelu_tanh_gate,
    gelu: plain::gelu,
    softmax: plain::softmax,
    rms_norm: plain::rms_norm,
    layer_norm: plain::layer_norm,
    attend: attend_plainly::<false>,
    absorb: State::absorb::<false>,
    unpack,
    survey,
    quantise,
    quantise_step,
    prefetch: |_| {},
    expand,
    sweep: sweep::scalar::sweep,
    sweep_steps: sweep::scalar::sweep_steps,
    stream: sweep::scalar::stream,
    stream_steps: sweep::scalar::stream_steps,
    sweep_numbers: sweep::numbers::sweep_plainly::<false>,
    stream_numbers: sweep::numbers::stream_plainly::<false>,
    sweep_brains: None,
};

fn row(isa: Isa) -> &'static Ops {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => &compiled::AVX2,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni => &compiled::AVX512_VNNI,
        #[cfg(target_arch = "x86_64")]
        Isa::AmxInt8 => &compiled::AMX_INT8,
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => &compiled::NEON,
        #[cfg(target_arch = "aarch64")]
        Isa::NeonDotprod => &compiled::DOTPROD,
        #[cfg(target_arch = "aarch64")]
        Isa::NeonI8mm => &compiled::I8MM,
        #[cfg(target_arch = "aarch64")]
        Isa::NeonBf16 => &compiled::BF16,
        _ => &SCALAR,
    }
}
