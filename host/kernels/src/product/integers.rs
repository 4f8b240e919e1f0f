//! Products with integer weights.
//!
//! A few strips of weights at a time, some inputs deep, become panels and meet every row of activations.
//! So packed weights are read from memory once, a panel lies in the nearest cache while it is in use, and
//! the activations of a chunk stay in the next.

use std::ops::Range;

use super::strips::{STRIPS, groups, stream_rows};
use crate::{
    Packed,
    activations::{Block, Rounded, Step},
    blocking::{BLOCKS, DEPTH, ROWS, ROWS_AT_ONCE},
    packed::{Layout, Panel},
    table::Ops,
};

/// The outputs of some strips for some rows.
pub(super) struct Task<'a> {
    pub(super) x: &'a Rounded,
    /// Number of all rows.
    pub(super) all: usize,
    /// Those that are meant: some that meet weights at once.
    pub(super) rows: Range<usize>,
    pub(super) weight: &'a Packed,
    pub(super) layout: Layout,
    pub(super) strips: Range<usize>,
}

impl Task<'_> {
    /// Calls `write` with every strip and its outputs, `(rows)(32)`.
    pub(super) fn run(&self, ops: &Ops, write: impl Fn(usize, &[[f32; ROWS]])) {
        let rows = self.rows.len();
        let chunks: Vec<Chunk> = (0..self.chunks()).map(|chunk| self.chunk(chunk)).collect();
        let mut panel = Panel::new(self.layout);
        // Few rows wait for memory, which is read from front to back.
        let streams = rows <= stream_rows(ops.isa);
        let together = if streams { 1 } else { STRIPS };
        let mut out = vec![[0.0; ROWS]; together * rows]; // (strips, rows)(32)
        for group in groups(&self.strips, together) {
            out.fill([0.0; ROWS]);
            for (index, chunk) in chunks.iter().enumerate() {
                for (strip, out) in group.clone().zip(out.chunks_exact_mut(rows)) {
                    if !streams {
                        (ops.prefetch)(self.after(strip, index, &group));
                    }
                    self.meet(ops, self.packed(strip, index), chunk, &mut panel, out);
                }
            }
            for (strip, out) in group.zip(out.chunks_exact(rows)) {
                write(strip, out);
            }
        }
    }

    /// Adds a chunk's products, then those of what rounding lost of some steps.
    fn meet(
        &self,
        ops: &Ops,
        packed: &[u8],
        chunk: &Chunk<'_>,
        panel: &mut Panel,
        out: &mut [[f32; ROWS]],
    ) {
        let layout = self.layout;
        if out.len() > stream_rows(ops.isa) {
            (ops.expand)(layout, packed, panel);
            (ops.sweep)(panel, chunk.blocks, BLOCKS, out);
            (ops.sweep_steps)(panel, chunk.outliers, out);
        } else {
            (ops.stream)(layout, packed, panel, chunk.blocks, BLOCKS, out);
            (ops.stream_steps)(layout, packed, panel, chunk.outliers, out);
        }
    }

    fn chunks(&self) -> usize {
        self.x.blocks.len() / (self.all * BLOCKS)
    }

    /// One chunk of a strip.
    fn packed(&self, strip: usize, chunk: usize) -> &[u8] {
        let bytes = BLOCKS * DEPTH / self.layout.depth * self.layout.unit_bytes();
        let packed = &self.weight.strip(strip)[chunk * bytes..];
        &packed[..packed.len().min(bytes)]
    }

    /// The chunk that meets rows after this one, of a group of strips: what comes from memory meanwhile.
    fn after(&self, strip: usize, chunk: usize, group: &Range<usize>) -> &[u8] {
        if strip + 1 < group.end {
            self.packed(strip + 1, chunk)
        } else if chunk + 1 < self.chunks() {
            self.packed(group.start, chunk + 1)
        } else if group.end < self.strips.end {
            self.packed(group.end, 0)
        } else {
            &[]
        }
    }

    fn chunk(&self, index: usize) -> Chunk<'_> {
        let first = index * self.all;
        let blocks = (first + self.rows.start) * BLOCKS..(first + self.rows.end) * BLOCKS;
        let outliers = self.rows.start / ROWS_AT_ONCE * self.chunks() + index;
        Chunk { blocks: &self.x.blocks[blocks], outliers: &self.x.outliers[outliers] }
    }
}

/// A chunk of the rows of a task.
struct Chunk<'a> {
    /// Of every row.
    blocks: &'a [Block],
    /// What rounding lost of some steps.
    outliers: &'a [Step],
}
