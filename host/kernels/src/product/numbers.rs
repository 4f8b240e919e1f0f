//! Products with weights that are plain numbers, in f32 throughout.

use std::ops::Range;

use super::strips::{STREAM_ROWS, STRIPS, groups};
use crate::{Packed, blocking::ROWS, table::Ops};

/// Inputs that are unpacked at once: what the nearest cache holds.
const DEPTH: usize = 256;

/// The outputs of some strips for some rows.
pub(super) struct Task<'a> {
    /// (rows, weight.cols())
    pub(super) x: &'a [f32],
    pub(super) weight: &'a Packed,
    pub(super) strips: Range<usize>,
}

impl Task<'_> {
    /// Calls `write` with every strip and its outputs, `(rows)(32)`.
    pub(super) fn run(&self, ops: &Ops, write: impl Fn(usize, &[[f32; ROWS]])) {
        let (cols, format) = (self.weight.cols(), self.weight.format());
        let rows = self.x.len() / cols;
        let streams = rows <= STREAM_ROWS;
        let together = if streams { 1 } else { STRIPS };
        let mut out = vec![[0.0; ROWS]; together * rows]; // (strips, rows)(32)
        let mut panel = vec![[0.0; ROWS]; if streams { 0 } else { DEPTH }];
        for group in groups(&self.strips, together) {
            out.fill([0.0; ROWS]);
            if streams {
                for strip in group.clone() {
                    (ops.stream_numbers)(format, self.weight.strip(strip), self.x, cols, &mut out);
                }
            } else {
                for first in (0..cols).step_by(DEPTH) {
                    let inputs = first..cols.min(first + DEPTH);
                    let panel = &mut panel[..inputs.len()];
                    for (strip, out) in group.clone().zip(out.chunks_exact_mut(rows)) {
                        let strip = self.weight.strip(strip);
                        let bytes = strip.len() / cols;
                        let packed = &strip[first * bytes..inputs.end * bytes];
                        (ops.unpack)(format, packed, panel.as_flattened_mut());
                        (ops.sweep_numbers)(panel, &self.x[first..], cols, out);
                    }
                }
            }
            for (strip, out) in group.zip(out.chunks_exact(rows)) {
                write(strip, out);
            }
        }
    }
}
