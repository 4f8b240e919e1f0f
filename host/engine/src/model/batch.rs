//! Which row of a step belongs to which sequence, and at what angle it stands there.

use std::ops::Range;

use signalbox_kernels::Angles;

use super::Chunk;
use crate::{spec::ModelSpec, vision::Picture};

/// The rows of one step: all tokens of the first chunk, then of the second, and so on.
pub(super) struct Batch {
    rows: Vec<Place>,
    /// (ropes)(rows)
    angles: Vec<Vec<Angles>>,
    /// Index of every chunk's last row.
    last: Vec<usize>,
}

/// Where a row's token stands, and what it sees.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Which sequence.
    pub(super) chunk: usize,
    /// Which token of it, from zero.
    pub(super) position: usize,
    /// One past the last token it may see: all up to itself, and within a picture all of the picture.
    end: usize,
}

impl Place {
    /// Positions that its query sees. A window bounds what lies behind, in a picture as elsewhere, and
    /// nothing ahead: `sliding_window_causal_mask_function` of transformers says so.
    pub(super) fn sees(self, window: Option<usize>) -> Range<usize> {
        window.map_or(0, |window| (self.position + 1).saturating_sub(window))..self.end
    }
}

impl Batch {
    pub(super) fn new(spec: &ModelSpec, chunks: &[Chunk<'_>]) -> Self {
        let mut rows = Vec::new();
        let mut last = Vec::new();
        for (chunk, part) in chunks.iter().enumerate() {
            let positions = part.positions();
            assert!(!positions.is_empty(), "chunk {chunk} has no tokens");
            for edge in [positions.start, positions.end] {
                let splits =
                    |picture: &Picture| picture.span.start < edge && edge < picture.span.end;
                assert!(!part.pictures.iter().any(splits), "chunk {chunk} splits a picture");
            }
            let place = |position| {
                let end = part.picture(position).map_or(position + 1, |seen| seen.span.end);
                Place { chunk, position, end }
            };
            rows.extend(positions.map(place));
            last.push(rows.len() - 1);
        }
        let angles = spec.ropes.iter().map(|rope| {
            let angle = |row: &Place| rope.angles(row.position, chunks[row.chunk].cache.is_long());
            rows.iter().map(angle).collect()
        });
        Self { angles: angles.collect(), rows, last }
    }

    /// The rows of each chunk: their indices, and where they stand.
    pub(super) fn chunks(&self) -> impl Iterator<Item = (Range<usize>, &[Place])> {
        let starts = std::iter::once(0).chain(self.last.iter().map(|last| last + 1));
        starts.zip(&self.last).map(|(start, last)| (start..last + 1, &self.rows[start..=*last]))
    }

    /// Every row's angles in one of the model's rotary embeddings.
    pub(super) fn angles(&self, rope: usize) -> &[Angles] {
        &self.angles[rope]
    }

    /// The rows of `x` whose logits are wanted: (rows, width) to (wanted, width).
    pub(super) fn wanted_rows(&self, x: &[f32], chunks: &[Chunk<'_>]) -> Vec<f32> {
        let width = x.len() / self.rows.len();
        let wanted = self.last.iter().zip(chunks).flat_map(|(last, chunk)| {
            let end = (last + 1) * width;
            &x[end - chunk.wanted * width..end]
        });
        wanted.copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_bounds_what_lies_behind_and_a_picture_what_lies_ahead() {
        let word = Place { chunk: 0, position: 9, end: 10 };
        assert_eq!(
            [None, Some(4), Some(99)].map(|window| word.sees(window)),
            [0..10, 6..10, 0..10]
        );
        let soft = Place { chunk: 0, position: 9, end: 12 };
        assert_eq!(
            [None, Some(4), Some(99)].map(|window| soft.sees(window)),
            [0..12, 6..12, 0..12]
        );
    }
}
