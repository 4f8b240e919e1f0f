//! Products with integer weights.
//!
//! A few strips of weights at a time, some inputs deep, become panels and meet every row of activations.
//! So packed weights are read from memory once, a panel lies in the nearest cache while it is in use, and
//! the activations of a chunk stay in the next.

use std::ops::Range;

use super::strips::{STREAM_ROWS, STRIPS, groups};
use crate::{
    Packed,
    activations::{Block, Outliers, Rounded},
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
        let mut room = Room { panel: Panel::new(self.layout), sums: Vec::new() };
        // Few rows wait for memory, which is read from front to back.
        let together = if rows <= STREAM_ROWS { 1 } else { STRIPS };
        let mut out = vec![[0.0; ROWS]; together * rows]; // (strips, rows)(32)
        for group in groups(&self.strips, together) {
            out.fill([0.0; ROWS]);
            for (index, chunk) in chunks.iter().enumerate() {
                for (strip, out) in group.clone().zip(out.chunks_exact_mut(rows)) {
                    self.meet(ops, self.packed(strip, index), chunk, &mut room, out);
                }
            }
            for (strip, out) in group.zip(out.chunks_exact(rows)) {
                write(strip, out);
            }
        }
    }

    /// Adds a chunk's products, then those of the steps that are rounded by themselves.
    fn meet(
        &self,
        ops: &Ops,
        packed: &[u8],
        chunk: &Chunk<'_>,
        Room { panel, sums }: &mut Room,
        out: &mut [[f32; ROWS]],
    ) {
        let (layout, Outliers { rows, steps }) = (self.layout, chunk.outliers);
        sums.clear();
        sums.resize(rows.len(), [0.0; ROWS]);
        if out.len() > STREAM_ROWS {
            (ops.expand)(layout, packed, panel);
            (ops.sweep)(panel, chunk.blocks, BLOCKS, out);
            (ops.sweep_steps)(panel, steps, sums);
        } else {
            (ops.stream)(layout, packed, panel, chunk.blocks, BLOCKS, out);
            (ops.stream_steps)(layout, packed, panel, steps, sums);
        }
        for (row, sums) in rows.iter().zip(sums) {
            out[*row].iter_mut().zip(sums).for_each(|(out, sum)| *out += *sum);
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
    /// What is rounded by itself.
    outliers: &'a Outliers,
}

/// What a task unpacks weights to, and what it sums outliers up in.
struct Room {
    panel: Box<Panel>,
    sums: Vec<[f32; ROWS]>,
}
