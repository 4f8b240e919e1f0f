//! What one row of the table has.

use crate::{
    Format, Isa,
    activations::{Block, Brains, Step},
    attention::{State, Vectors},
    blocking::{ROWS, STEP},
    packed::{Layout, Panel},
};

/// The type of a gate: `gate`, by `up`.
pub(super) type Gate = fn(&mut [f32], &[f32]);

/// The type of a norm: of `x`, by weights, with an epsilon, into `y`.
pub(super) type Norm = fn(&[f32], &[f32], f32, &mut [f32]);

/// The type of attention.
pub(super) type Attend = fn(&Vectors<'_>, usize, &mut Vec<f32>, &mut State);

/// The type of a look at a row.
pub(super) type Survey = fn(&[f32], &mut [f32]) -> f32;

/// The type of quantising a step.
pub(super) type QuantiseStep = fn(&mut [f32; STEP], &mut Step);

/// The type of quantising.
pub(super) type Quantise = fn(&[f32], &[f32], &mut [Block]);

/// The type of a sweep.
pub(super) type Sweep = fn(&Panel, &[Block], usize, &mut [[f32; ROWS]]);

/// The type of a sweep of steps.
pub(super) type SweepSteps = fn(&Panel, &[Step], &mut [[f32; ROWS]]);

/// The type of a stream.
pub(super) type Stream = fn(Layout, &[u8], &mut Panel, &[Block], usize, &mut [[f32; ROWS]]);

/// The type of a stream of steps.
pub(super) type StreamSteps = fn(Layout, &[u8], &Panel, &[Step], &mut [[f32; ROWS]]);

/// The type of a sweep of plain numbers.
pub(super) type SweepNumbers = fn(&[[f32; ROWS]], &[f32], usize, &mut [[f32; ROWS]]);

/// The type of a stream of plain numbers.
pub(super) type StreamNumbers = fn(Format, &[u8], &[f32], usize, &mut [[f32; ROWS]]);

/// The type of a sweep of bf16.
pub(crate) type SweepBrains = fn(&[u8], &[Brains], usize, &mut [[f32; ROWS]]);

/// One row of the table: every operation, for one instruction set.
#[derive(Debug)]
pub(crate) struct Ops {
    /// Whose row it is.
    pub(crate) isa: Isa,
    /// Sum of products of two slices of one length.
    pub(crate) dot: fn(&[f32], &[f32]) -> f32,
    /// As [`crate::silu_gate`].
    pub(crate) silu_gate: Gate,
    /// As [`crate::gelu_tanh_gate`].
    pub(crate) gelu_tanh_gate: Gate,
    /// As [`crate::gelu`].
    pub(crate) gelu: fn(&mut [f32]),
    /// As [`crate::softmax`].
    pub(crate) softmax: fn(&mut [f32]),
    /// [`crate::rms_norm`] of one row.
    pub(crate) rms_norm: Norm,
    /// [`crate::layer_norm`] of one row.
    pub(crate) layer_norm: Norm,
    /// What query vectors make of one span of what they see, with room for numbers between.
    pub(crate) attend: Attend,
    /// What they made of the spans before, and of one more.
    pub(crate) absorb: fn(&mut State, &State),
    /// Packed weights to f32, as [`crate::rows::unpack`] does.
    pub(crate) unpack: fn(Format, &[u8], &mut [f32]),
    /// The largest magnitudes and the energy of a row, as [`crate::activations::survey`] says.
    pub(crate) survey: Survey,
    /// Activations to 8 bits, as [`crate::activations::quantise`] does.
    pub(crate) quantise: Quantise,
    /// A step of them by itself, as [`crate::activations::quantise_step`] does.
    pub(crate) quantise_step: QuantiseStep,
    /// Asks for bytes of memory ahead of their use.
    pub(crate) prefetch: fn(&[u8]),
    /// Units of packed weights to a panel, as [`crate::packed::expand`] does.
    pub(crate) expand: fn(Layout, &[u8], &mut Panel),
    /// A panel times rows of activations, as [`crate::sweep`] says.
    pub(crate) sweep: Sweep,
    /// A panel times what rounding lost of some steps, as [`crate::sweep::scalar::sweep_steps`] says.
    pub(crate) sweep_steps: SweepSteps,
    /// Units of packed weights times up to four rows of activations: [`crate::packed::expand`], then a sweep, in one.
    pub(crate) stream: Stream,
    /// The units that were streamed last times what rounding lost of some steps.
    pub(crate) stream_steps: StreamSteps,
    /// A panel of plain numbers times rows of activations, as [`crate::sweep::numbers`] says.
    pub(crate) sweep_numbers: SweepNumbers,
    /// The same of packed numbers.
    pub(crate) stream_numbers: StreamNumbers,
    /// Packed bf16 times rows that are rounded to bf16, where that is faster than what takes them as they are:
    /// a part of a strip, pairs of rows and how far they lie from each other, outputs.
    pub(crate) sweep_brains: Option<SweepBrains>,
}
