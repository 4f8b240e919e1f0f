//! Products with weights in bf16 and activations rounded to bf16, where the machine multiplies these.

use std::ops::Range;

use super::strips::{STREAM_ROWS, STRIPS, groups};
use crate::{Packed, activations::Brains, blocking::ROWS, table::SweepBrains};

/// Inputs that meet all rows before the next: what the nearest caches hold.
const DEPTH: usize = 256;

/// The outputs of some strips for some rows.
pub(super) struct Task<'a> {
    /// (pairs of rows, fours)
    pub(super) x: &'a [Brains],
    pub(super) rows: usize,
    pub(super) weight: &'a Packed,
    pub(super) strips: Range<usize>,
}

impl Task<'_> {
    /// Calls `write` with every strip and its outputs, `(rows)(32)`.
    pub(super) fn run(&self, sweep: SweepBrains, write: impl Fn(usize, &[[f32; ROWS]])) {
        let fours = self.weight.cols().div_ceil(4);
        // Few rows wait for memory, which is read from front to back.
        let together = if self.rows <= STREAM_ROWS { 1 } else { STRIPS };
        let mut out = vec![[0.0; ROWS]; together * self.rows]; // (strips, rows)(32)
        for group in groups(&self.strips, together) {
            out.fill([0.0; ROWS]);
            for first in (0..self.weight.cols()).step_by(DEPTH) {
                for (strip, out) in group.clone().zip(out.chunks_exact_mut(self.rows)) {
                    let packed = &self.weight.strip(strip)[first * 2 * ROWS..];
                    let packed = &packed[..packed.len().min(DEPTH * 2 * ROWS)];
                    sweep(packed, &self.x[first / 4..], fours, out);
                }
            }
            for (strip, out) in group.zip(out.chunks_exact(self.rows)) {
                write(strip, out);
            }
        }
    }
}
