//! Products with integer weights.
//!
//! A few strips of weights at a time, some inputs deep, become panels and meet every row of activations.
//! So packed weights are read from memory once, a panel lies in the nearest cache while it is in use, and
//! the activations of a chunk stay in the next.

use std::ops::Range;

use super::strips::{STREAM_ROWS, STRIPS, groups};
use crate::{
    Packed,
    activations::{BLOCKS, Block, DEPTH, Rounded},
    packed::{Layout, Panel, ROWS},
    table::Ops,
};

/// The outputs of some strips for some rows.
pub(super) struct Task<'a> {
    pub(super) x: &'a Rounded,
    /// Number of all rows.
    pub(super) all: usize,
    /// Those that are meant.
    pub(super) rows: Range<usize>,
    pub(super) weight: &'a Packed,
    pub(super) layout: Layout,
    pub(super) strips: Range<usize>,
}

impl Task<'_> {
    /// Calls `write` with every strip and its outputs, `(rows)(32)`.
    pub(super) fn run(&self, ops: &Ops, write: impl Fn(usize, &[[f32; ROWS]])) {
        let (rows, chunk_rows) = (self.rows.len(), self.all * BLOCKS);
        let mut room = Room { panel: Panel::new(self.layout), again: vec![[0.0; ROWS]; rows] };
        // Few rows wait for memory, which is read from front to back.
        let together = if rows <= STREAM_ROWS { 1 } else { STRIPS };
        let mut out = vec![[0.0; ROWS]; together * rows]; // (strips, rows)(32)
        for group in groups(&self.strips, together) {
            out.fill([0.0; ROWS]);
            for (chunk, blocks) in self.x.blocks.chunks_exact(chunk_rows).enumerate() {
                let blocks = &blocks[self.rows.start * BLOCKS..];
                for (strip, out) in group.clone().zip(out.chunks_exact_mut(rows)) {
                    self.meet(ops, strip, chunk, blocks, &mut room, out);
                }
            }
            for (strip, out) in group.zip(out.chunks_exact(rows)) {
                write(strip, out);
            }
        }
    }

    /// One chunk of one strip and what rows have of it, lost parts after the others.
    fn meet(
        &self,
        ops: &Ops,
        strip: usize,
        chunk: usize,
        blocks: &[Block],
        Room { panel, again }: &mut Room,
        out: &mut [[f32; ROWS]],
    ) {
        let layout = self.layout;
        let bytes = BLOCKS * DEPTH / layout.depth * layout.unit_bytes();
        let packed = &self.weight.strip(strip)[chunk * bytes..];
        let packed = &packed[..packed.len().min(bytes)];
        let streams = out.len() <= STREAM_ROWS;
        if !streams {
            (ops.expand)(layout, packed, panel);
        }
        let mut multiply = |blocks: &[Block], out: &mut [[f32; ROWS]]| {
            if streams {
                (ops.stream)(layout, packed, panel, blocks, BLOCKS, out);
            } else {
                (ops.sweep)(panel, blocks, BLOCKS, out);
            }
        };
        multiply(blocks, out);
        let Some(lost) = self.x.lost.get(chunk) else { return };
        let from = lost.rows.partition_point(|row| *row < self.rows.start);
        let to = lost.rows.partition_point(|row| *row < self.rows.end);
        if from < to {
            let again = &mut again[..to - from];
            again.fill([0.0; ROWS]);
            multiply(&lost.blocks[from * BLOCKS..to * BLOCKS], again);
            for (row, again) in lost.rows[from..to].iter().zip(again) {
                let out = &mut out[row - self.rows.start];
                out.iter_mut().zip(again).for_each(|(out, again)| *out += *again);
            }
        }
    }
}

/// What a task unpacks weights to, and what it sums lost parts up in.
struct Room {
    panel: Box<Panel>,
    again: Vec<[f32; ROWS]>,
}
