//! The table of operations and instruction sets: for each [`Isa`] one row of functions. A row leaves
//! this file only on a machine that has its instructions, so its functions are safe to call.

#[cfg(test)]
mod parity;

use crate::{
    Format, Isa,
    activations::{Block, quantise},
    exp,
    packed::{Layout, Panel, ROWS, expand},
    plain,
    rows::unpack,
    sweep, vector,
};

/// The type of a gate: `gate`, by `up`.
type Gate = fn(&mut [f32], &[f32]);

/// The type of a norm: of `x`, by weights, with an epsilon, into `y`.
type Norm = fn(&[f32], &[f32], f32, &mut [f32]);

/// The type of a sweep.
type Sweep = fn(&Panel, &[Block], usize, &mut [[f32; ROWS]]);

/// The type of a stream.
type Stream = fn(Layout, &[u8], &mut Panel, &[Block], usize, &mut [[f32; ROWS]]);

/// One row of the table: every operation, for one instruction set.
#[derive(Debug)]
pub(crate) struct Ops {
    /// Whose row it is.
    pub(crate) isa: Isa,
    /// Sum of products of two slices of one length.
    pub(crate) dot: fn(&[f32], &[f32]) -> f32,
    /// `out += factor * x` for slices of one length.
    pub(crate) add_scaled: fn(&mut [f32], f32, &[f32]),
    /// As [`crate::silu_gate`].
    pub(crate) silu_gate: Gate,
    /// As [`crate::gelu_tanh_gate`].
    pub(crate) gelu_tanh_gate: Gate,
    /// As [`crate::softmax`].
    pub(crate) softmax: fn(&mut [f32]),
    /// [`crate::rms_norm`] of one row.
    pub(crate) rms_norm: Norm,
    /// [`crate::layer_norm`] of one row.
    pub(crate) layer_norm: Norm,
    /// Packed weights to f32, as [`unpack`] does.
    pub(crate) unpack: fn(Format, &[u8], &mut [f32]),
    /// A row of activations to 8 bits, as [`quantise`] does.
    pub(crate) quantise: fn(&[f32], &mut [Block]),
    /// Units of packed weights to a panel, as [`expand`] does.
    pub(crate) expand: fn(Layout, &[u8], &mut Panel),
    /// A panel times rows of activations, as [`sweep`] says.
    pub(crate) sweep: Sweep,
    /// Units of packed weights times up to four rows of activations: [`expand`], then a sweep, in one.
    pub(crate) stream: Stream,
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
    silu_gate: plain::silu_gate,
    gelu_tanh_gate: plain::gelu_tanh_gate,
    softmax: plain::softmax,
    rms_norm: plain::rms_norm,
    layer_norm: plain::layer_norm,
    unpack,
    quantise,
    expand,
    sweep: sweep::scalar::sweep,
    stream: sweep::scalar::stream,
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
    use super::{
        Block, Format, Isa, Layout, Ops, Panel, exp, expand, quantise, sweep, unpack, vector,
    };

    /// Compiles functions that are inlined into their callers for some instructions.
    macro_rules! compiled {
        ($features:literal: $($name:ident = $body:path, ($($argument:ident: $type:ty),*) $(-> $out:ty)?;)*) => {
            $(
                #[target_feature(enable = $features)]
                fn $name($($argument: $type),*) $(-> $out)? {
                    $body($($argument),*)
                }
            )*
        };
    }

    compiled! { "avx2,fma":
        dot = vector::dot::<true>, (a: &[f32], b: &[f32]) -> f32;
        add_scaled = vector::add_scaled::<true>, (out: &mut [f32], factor: f32, x: &[f32]);
        silu_gate_avx2 = exp::silu_gate::<true>, (gate: &mut [f32], up: &[f32]);
        gelu_avx2 = exp::gelu_tanh_gate::<true>, (gate: &mut [f32], up: &[f32]);
        softmax_avx2 = exp::softmax::<true>, (scores: &mut [f32]);
        rms_norm_avx2 = vector::rms_norm::<true>, (x: &[f32], weight: &[f32], eps: f32, y: &mut [f32]);
        layer_norm_avx2 = vector::layer_norm::<true>, (x: &[f32], weight: &[f32], eps: f32, y: &mut [f32]);
        unpack_avx2 = unpack, (format: Format, packed: &[u8], out: &mut [f32]);
        quantise_avx2 = quantise, (x: &[f32], blocks: &mut [Block]);
        expand_avx2 = expand, (layout: Layout, packed: &[u8], panel: &mut Panel);
    }

    compiled! { "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni":
        silu_gate_avx512 = exp::silu_gate::<true>, (gate: &mut [f32], up: &[f32]);
        gelu_avx512 = exp::gelu_tanh_gate::<true>, (gate: &mut [f32], up: &[f32]);
        softmax_avx512 = exp::softmax::<true>, (scores: &mut [f32]);
        quantise_avx512 = quantise, (x: &[f32], blocks: &mut [Block]);
        expand_avx512 = expand, (layout: Layout, packed: &[u8], panel: &mut Panel);
    }

    pub(super) static AVX2: Ops = Ops {
        isa: Isa::Avx2,
        // SAFETY: `Ops::of` and `Ops::best` give this row out where AVX2 and FMA were found.
        dot: |a, b| unsafe { dot(a, b) },
        // SAFETY: as above.
        add_scaled: |out, factor, x| unsafe { add_scaled(out, factor, x) },
        // SAFETY: as above.
        silu_gate: |gate, up| unsafe { silu_gate_avx2(gate, up) },
        // SAFETY: as above.
        gelu_tanh_gate: |gate, up| unsafe { gelu_avx2(gate, up) },
        // SAFETY: as above.
        softmax: |scores| unsafe { softmax_avx2(scores) },
        // SAFETY: as above.
        rms_norm: |x, weight, eps, y| unsafe { rms_norm_avx2(x, weight, eps, y) },
        // SAFETY: as above.
        layer_norm: |x, weight, eps, y| unsafe { layer_norm_avx2(x, weight, eps, y) },
        // SAFETY: as above.
        unpack: |format, packed, out| unsafe { unpack_avx2(format, packed, out) },
        // SAFETY: as above.
        quantise: |x, blocks| unsafe { quantise_avx2(x, blocks) },
        // SAFETY: as above.
        expand: |layout, packed, panel| unsafe { expand_avx2(layout, packed, panel) },
        sweep: sweep::scalar::sweep,
        stream: sweep::scalar::stream,
    };

    /// Sums of f32 keep the order of eight lanes, so that an answer does not depend on this row.
    pub(super) static AVX512_VNNI: Ops = Ops {
        isa: Isa::Avx512Vnni,
        // SAFETY: this row is given out where all parts of AVX-512 that it names were found.
        silu_gate: |gate, up| unsafe { silu_gate_avx512(gate, up) },
        // SAFETY: as above.
        gelu_tanh_gate: |gate, up| unsafe { gelu_avx512(gate, up) },
        // SAFETY: as above.
        softmax: |scores| unsafe { softmax_avx512(scores) },
        // SAFETY: as above.
        quantise: |x, blocks| unsafe { quantise_avx512(x, blocks) },
        // SAFETY: as above.
        expand: |layout, packed, panel| unsafe { expand_avx512(layout, packed, panel) },
        // SAFETY: as above.
        sweep: |panel, blocks, stride, out| unsafe {
            sweep::avx512::sweep(panel, blocks, stride, out)
        },
        // SAFETY: as above.
        stream: |layout, packed, panel, blocks, stride, out| unsafe {
            sweep::avx512::stream(layout, packed, panel, blocks, stride, out)
        },
        ..AVX2
    };
}

#[cfg(target_arch = "aarch64")]
mod aarch64 {
    use super::{Isa, Ops, exp, expand, quantise, sweep, unpack, vector};

    /// The baseline has wide registers and fused multiply-add already.
    pub(super) static NEON: Ops = Ops {
        isa: Isa::Neon,
        dot: vector::dot::<true>,
        add_scaled: vector::add_scaled::<true>,
        silu_gate: exp::silu_gate::<true>,
        gelu_tanh_gate: exp::gelu_tanh_gate::<true>,
        softmax: exp::softmax::<true>,
        rms_norm: vector::rms_norm::<true>,
        layer_norm: vector::layer_norm::<true>,
        unpack,
        quantise,
        expand,
        sweep: sweep::scalar::sweep,
        stream: sweep::scalar::stream,
    };
    pub(super) static DOTPROD: Ops = Ops { isa: Isa::NeonDotprod, ..NEON };
    pub(super) static I8MM: Ops = Ops { isa: Isa::NeonI8mm, ..NEON };
}
