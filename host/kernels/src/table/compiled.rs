//! The rows that are compiled for instructions which not every machine has. All that they call is
//! inlined into them, so it is written once and compiled for each.
#![expect(unsafe_code, reason = "the one door to functions compiled for optional instructions")]

use super::ops::Ops;
use crate::{
    Format, Isa,
    activations::{Block, Step, quantise, quantise_step, survey},
    attention::{State, Vectors, attend},
    blocking::{ROWS, STEP},
    exp,
    packed::{Layout, Panel, expand_by},
    rows::unpack,
    simd::Simd,
    sweep::{numbers, outliers, stream, tile},
    vector,
};
#[cfg(target_arch = "aarch64")]
use crate::{
    activations::Brains,
    attention::attend_plainly,
    simd::neon::Dotprod,
    sweep::{bfmmla, dotprod, i8mm},
};
#[cfg(target_arch = "x86_64")]
use crate::{
    simd::{avx2::Avx2, avx512::Avx512},
    sweep::{
        amx::{self, Hardware},
        maddubs,
    },
};

/// A function compiled for some features, to be called like any other.
macro_rules! door {
    ($features:literal, ($($argument:ident: $type:ty),*) $(-> $out:ty)?, $body:expr) => {{
        #[target_feature(enable = $features)]
        fn compiled($($argument: $type),*) $(-> $out)? {
            $body
        }
        // SAFETY: `Ops::of` gives a row out where its features were found.
        |$($argument: $type),*| unsafe { compiled($($argument),*) }
    }};
}

/// A row for `$isa`, whose features are `$features` and whose registers are those of `$simd`.
macro_rules! row {
    ($isa:ident, $features:literal, $simd:ident) => {
        Ops {
            isa: Isa::$isa,
    dot: door!($features, (a: &[f32], b: &[f32]) -> f32, vector::dot::<true>(a, b)),
            silu_gate: door!(
                $features,
                (gate: &mut [f32], up: &[f32]),
                exp::silu_gate::<true>(gate, up)
            ),
            gelu_tanh_gate: door!(
                $features,
                (gate: &mut [f32], up: &[f32]),
                exp::gelu_tanh_gate::<true>(gate, up)
            ),
    gelu: door!($features, (x: &mut [f32]), exp::gelu::<true>(x)),
    softmax: door!($features, (scores: &mut [f32]), exp::softmax::<true>(scores)),
            rms_norm: door!(
                $features,
                (x: &[f32], weight: &[f32], eps: f32, y: &mut [f32]),
                vector::rms_norm::<true>(x, weight, eps, y)
            ),
            layer_norm: door!(
                $features,
                (x: &[f32], weight: &[f32], eps: f32, y: &mut [f32]),
                vector::layer_norm::<true>(x, weight, eps, y)
            ),
            attend: door!(
                $features,
                (
                    vectors: &Vectors<'_>,
                    span: usize,
                    room: &mut Vec<f32>,
                    state: &mut State
                ),
                // SAFETY: this function is compiled for the features that the registers need.
                attend(unsafe { $simd::new() }, vectors, span, room, state)
            ),
            absorb: door!(
                $features,
                (state: &mut State, other: &State),
                state.absorb::<true>(other)
            ),
            unpack: door!(
                $features,
                (format: Format, packed: &[u8], out: &mut [f32]),
                unpack(format, packed, out)
            ),
            survey: door!(
                $features,
                (x: &[f32], maxima: &mut [f32]) -> f32,
                survey(x, maxima)
            ),
            quantise: door!(
                $features,
                (x: &[f32], maxima: &[f32], blocks: &mut [Block]),
                quantise(x, maxima, blocks)
            ),
            quantise_step: door!(
                $features,
                (x: &mut [f32; STEP], step: &mut Step),
                quantise_step(x, step)
            ),
            prefetch: door!(
                $features,
                (bytes: &[u8]),
                // SAFETY: as above.
                stream::prefetch(unsafe { $simd::new() }, bytes, 0)
            ),
            expand: door!(
                $features,
                (layout: Layout, packed: &[u8], panel: &mut Panel),
                {
                    // SAFETY: as above.
                    let simd = unsafe { $simd::new() };
                    let open = |layout: Layout, head: &[u8], depth, panel: &mut Panel| {
                        simd.open(layout, head, depth, panel)
                    };
                    expand_by(open, layout, packed, panel)
                }
            ),
            sweep: door!(
                $features,
                (panel: &Panel, blocks: &[Block], stride: usize, out: &mut [[f32; ROWS]]),
                // SAFETY: as above.
                tile::sweep(unsafe { $simd::new() }, panel, blocks, stride, out)
            ),
            sweep_steps: door!(
                $features,
                (panel: &Panel, steps: &[Step], out: &mut [[f32; ROWS]]),
                // SAFETY: as above.
                outliers::sweep_steps(unsafe { $simd::new() }, panel, steps, out)
            ),
            stream: door!(
                $features,
                (
                    layout: Layout,
                    packed: &[u8],
                    panel: &mut Panel,
                    blocks: &[Block],
                    stride: usize,
                    out: &mut [[f32; ROWS]]
                ),
                // SAFETY: as above.
                stream::stream(unsafe { $simd::new() }, layout, packed, panel, blocks, stride, out)
            ),
            stream_steps: door!(
                $features,
                (
                    layout: Layout,
                    packed: &[u8],
                    panel: &Panel,
                    steps: &[Step],
                    out: &mut [[f32; ROWS]]
                ),
                // SAFETY: as above.
                stream::stream_steps(unsafe { $simd::new() }, layout, packed, panel, steps, out)
            ),
            sweep_numbers: door!(
                $features,
                (panel: &[[f32; ROWS]], x: &[f32], stride: usize, out: &mut [[f32; ROWS]]),
                // SAFETY: as above.
                numbers::sweep_numbers(unsafe { $simd::new() }, panel, x, stride, out)
            ),
            stream_numbers: door!(
                $features,
                (
                    format: Format,
                    packed: &[u8],
                    x: &[f32],
                    stride: usize,
                    out: &mut [[f32; ROWS]]
                ),
                // SAFETY: as above.
                numbers::stream_numbers(unsafe { $simd::new() }, format, packed, x, stride, out)
            ),
            sweep_brains: None,
        }
    };
}

/// A sweep in the shape of 16 narrow registers.
#[cfg(target_arch = "x86_64")]
pub(super) static AVX2: Ops = Ops {
    sweep: door!(
        "avx2,fma,f16c",
        (panel: &Panel, blocks: &[Block], stride: usize, out: &mut [[f32; ROWS]]),
        maddubs::sweep(panel, blocks, stride, out)
    ),
    ..row!(Avx2, "avx2,fma,f16c", Avx2)
};
#[cfg(target_arch = "x86_64")]
pub(super) static AVX512_VNNI: Ops =
    row!(Avx512Vnni, "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c", Avx512);
/// Many rows meet tiles, few the registers.
#[cfg(target_arch = "x86_64")]
pub(super) static AMX_INT8: Ops = Ops {
    isa: Isa::AmxInt8,
    sweep: door!(
        "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c",
        (panel: &Panel, blocks: &[Block], stride: usize, out: &mut [[f32; ROWS]]),
        if out.len() < amx::ROWS_MIN {
            (AVX512_VNNI.sweep)(panel, blocks, stride, out);
        } else {
            // SAFETY: as above, and this row is given out where this process may use tiles.
            let (simd, mut tiles) = unsafe { (Avx512::new(), Hardware::new()) };
            amx::sweep(simd, &mut tiles, panel, blocks, stride, out);
        }
    ),
    ..AVX512_VNNI
};
/// A stream in the shape of narrow registers.
#[cfg(target_arch = "aarch64")]
pub(super) static DOTPROD: Ops = Ops {
    stream: door!(
        "neon,dotprod",
        (
            layout: Layout,
            packed: &[u8],
            panel: &mut Panel,
            blocks: &[Block],
            stride: usize,
            out: &mut [[f32; ROWS]]
        ),
        // SAFETY: as above.
        dotprod::stream(unsafe { Dotprod::new() }, layout, packed, panel, blocks, stride, out)
    ),
    ..row!(NeonDotprod, "neon,dotprod", Dotprod)
};
/// Many rows meet matrix products, few the dot products.
#[cfg(target_arch = "aarch64")]
pub(super) static I8MM: Ops = Ops {
    isa: Isa::NeonI8mm,
    sweep: door!(
        "neon,dotprod,i8mm",
        (panel: &Panel, blocks: &[Block], stride: usize, out: &mut [[f32; ROWS]]),
        i8mm::sweep(panel, blocks, stride, out)
    ),
    ..DOTPROD
};

#[cfg(target_arch = "aarch64")]
pub(super) static BF16: Ops = Ops {
    isa: Isa::NeonBf16,
    sweep_brains: Some(door!(
        "neon,dotprod,bf16",
        (packed: &[u8], x: &[Brains], stride: usize, out: &mut [[f32; ROWS]]),
        // SAFETY: as above.
        bfmmla::sweep(unsafe { Dotprod::new() }, packed, x, stride, out)
    )),
    ..I8MM
};

/// The baseline has wide registers and fused multiply-add already.
#[cfg(target_arch = "aarch64")]
pub(super) static NEON: Ops = Ops {
    isa: Isa::Neon,
    dot: vector::dot::<true>,
    silu_gate: exp::silu_gate::<true>,
    gelu_tanh_gate: exp::gelu_tanh_gate::<true>,
    gelu: exp::gelu::<true>,
    softmax: exp::softmax::<true>,
    rms_norm: vector::rms_norm::<true>,
    layer_norm: vector::layer_norm::<true>,
    attend: attend_plainly::<true>,
    absorb: State::absorb::<true>,
    unpack,
    survey,
    quantise,
    quantise_step,
    prefetch: |_| {},
    expand: crate::packed::expand,
    sweep: crate::sweep::scalar::sweep,
    sweep_steps: crate::sweep::scalar::sweep_steps,
    stream: crate::sweep::scalar::stream,
    stream_steps: crate::sweep::scalar::stream_steps,
    sweep_numbers: numbers::sweep_plainly::<true>,
    stream_numbers: numbers::stream_plainly::<true>,
    sweep_brains: None,
};
