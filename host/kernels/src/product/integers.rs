//! Products with integer weights.
//!
//! A few strips of weights at a time, some inputs deep, become panels and meet every row of activations.
//! So packed weights are read from memory once, a panel lies in the nearest cache while it is in use, and
//! the activations of a chunk stay in the next.

use std::ops::Range;

use super::strips::{STREAM_ROWS, STRIPS, groups};
use crate::{
    Packed,
    activations::{BLOCKS, Block, DEPTH},
    packed::{Layout, Panel, ROWS},
    table::Ops,
};

/// The outputs of some strips for some rows.
pub(super) struct Task<'a> {
    /// Of all rows, as [`crate::Activations`] has them.
    pub(super) blocks: &'a [Block],
    /// Number of all rows.
    pub(super) all: usize,
    /// Those that are meant.
    pub(super) rows: Range<usize>,
    /// Planes of a row.
    pub(super) planes: usize,
    pub(super) weight: &'a Packed,
    pub(super) layout: Layout,
    pub(super) strips: Range<usize>,
}

impl Task<'_> {
    /// Calls `write` with every strip and its outputs, `(rows)(32)`.
    pub(super) fn run(&self, ops: &Ops, write: impl Fn(usize, &[[f32; ROWS]])) {
        let Self { blocks, all, planes, weight, layout, ref strips, .. } = *self;
        let rows = self.rows.len() * planes; // those of all planes
        let chunk_bytes = BLOCKS * DEPTH / layout.depth * layout.unit_bytes();
        let mut panel = Panel::new(layout);
        // Few rows wait for memory, which is read from front to back.
        let streams = rows <= STREAM_ROWS;
        let together = if streams { 1 } else { STRIPS };
        let mut out = vec![[0.0; ROWS]; together * rows]; // (strips, rows)(32)
        for group in groups(strips, together) {
            out.fill([0.0; ROWS]);
            for (chunk, blocks) in blocks.chunks_exact(all * planes * BLOCKS).enumerate() {
                let blocks = &blocks[self.rows.start * planes * BLOCKS..];
                for (strip, out) in group.clone().zip(out.chunks_exact_mut(rows)) {
                    let packed = &weight.strip(strip)[chunk * chunk_bytes..];
                    let packed = &packed[..packed.len().min(chunk_bytes)];
                    if streams {
                        (ops.stream)(layout, packed, &mut panel, blocks, BLOCKS, out);
                    } else {
                        (ops.expand)(layout, packed, &mut panel);
                        (ops.sweep)(&panel, blocks, BLOCKS, out);
                    }
                }
            }
            for (strip, out) in group.zip(out.chunks_exact_mut(rows)) {
                write(strip, join(out, planes));
            }
        }
    }
}

/// The sum of the planes of each row, in place.
fn join(out: &mut [[f32; ROWS]], planes: usize) -> &[[f32; ROWS]] {
    if planes == 1 {
        return out;
    }
    let rows = out.len() / planes;
    for row in 0..rows {
        let mut sum = out[row * planes];
        for plane in &out[row * planes + 1..(row + 1) * planes] {
            sum.iter_mut().zip(plane).for_each(|(sum, plane)| *sum += plane);
        }
        out[row] = sum;
    }
    &out[..rows]
}
