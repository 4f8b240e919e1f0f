//! Products with integer weights.
//!
//! A few strips of weights at a time, some inputs deep, become panels and meet every row of activations.
//! So packed weights are read from memory once, a panel lies in the nearest cache while it is in use, and
//! the activations of a chunk stay in the next.

use std::{borrow::Cow, ops::Range};

use super::strips::{STREAM_ROWS, STRIPS, groups};
use crate::{
    Packed,
    activations::{Block, Rounded},
    blocking::{BLOCKS, DEPTH, ROWS},
    packed::{Layout, Panel},
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

    /// Adds a chunk's products, then those of what was lost of some rows.
    fn meet(
        &self,
        ops: &Ops,
        packed: &[u8],
        chunk: &Chunk<'_>,
        Room { panel, sums }: &mut Room,
        out: &mut [[f32; ROWS]],
    ) {
        let (layout, blocks) = (self.layout, &*chunk.blocks);
        sums.clear();
        if out.len() > STREAM_ROWS {
            (ops.expand)(layout, packed, panel);
            (ops.sweep)(panel, blocks, BLOCKS, out);
            sums.resize(chunk.again.len(), [0.0; ROWS]);
            (ops.sweep)(panel, chunk.lost, BLOCKS, sums);
        } else if chunk.again.is_empty() {
            (ops.stream)(layout, packed, panel, blocks, BLOCKS, out);
        } else {
            let rows = out.len();
            sums.extend_from_slice(out);
            sums.resize(rows + chunk.again.len(), [0.0; ROWS]);
            (ops.stream)(layout, packed, panel, blocks, BLOCKS, sums);
            out.copy_from_slice(&sums[..rows]);
            sums.drain(..rows);
        }
        for (row, again) in chunk.again.iter().zip(sums) {
            out[*row].iter_mut().zip(again).for_each(|(out, again)| *out += *again);
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
        let blocks = &self.x.blocks[blocks];
        let Some(lost) = self.x.lost.get(index) else {
            return Chunk { blocks: Cow::Borrowed(blocks), lost: &[], again: Vec::new() };
        };
        let from = lost.rows.partition_point(|row| *row < self.rows.start);
        let to = lost.rows.partition_point(|row| *row < self.rows.end);
        let again = lost.rows[from..to].iter().map(|row| row - self.rows.start).collect();
        let lost = &lost.blocks[from * BLOCKS..to * BLOCKS];
        let blocks = if self.rows.len() <= STREAM_ROWS && from < to {
            Cow::Owned([blocks, lost].concat())
        } else {
            Cow::Borrowed(blocks)
        };
        Chunk { blocks, lost, again }
    }
}

/// A chunk of the rows of a task.
struct Chunk<'a> {
    /// Of every row; where rows are few, with what is in `lost` behind it.
    blocks: Cow<'a, [Block]>,
    /// What was lost of some rows.
    lost: &'a [Block],
    /// Which those are.
    again: Vec<usize>,
}

/// What a task unpacks weights to, and what it sums lost parts up in.
struct Room {
    panel: Box<Panel>,
    sums: Vec<[f32; ROWS]>,
}
