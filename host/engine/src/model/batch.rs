//! Which row of a step belongs to which sequence, and at what angle it stands there.

use std::ops::Range;

use super::Slot;
use crate::{spec::ModelSpec, vision::Picture};

/// Cosines and sines of one row, one for each rotated pair.
type Angles = (Vec<f32>, Vec<f32>);

/// The rows of one step: all tokens of the first slot, then of the second, and so on.
pub(super) struct Batch {
    rows: Vec<Place>,
    /// (ropes)(rows)
    angles: Vec<Vec<Angles>>,
    /// Index of every slot's last row.
    last: Vec<usize>,
}

/// Where a row's token stands, and what it sees.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Which sequence.
    pub(super) slot: usize,
    /// Which token of it, from zero.
    pub(super) position: usize,
    /// First token of the picture it belongs to; without one, itself.
    first: usize,
    /// One past the last token of that picture.
    end: usize,
}

impl Place {
    /// Positions that its query sees: all up to itself, or those within the layer's window, and within
    /// a picture all of the picture.
    pub(super) fn sees(self, window: Option<usize>) -> Range<usize> {
        let start = window.map_or(0, |window| (self.position + 1).saturating_sub(window));
        start.min(self.first)..self.end
    }
}

impl Batch {
    pub(super) fn new(spec: &ModelSpec, slots: &[Slot<'_>]) -> Self {
        let mut rows = Vec::new();
        let mut last = Vec::new();
        for (slot, part) in slots.iter().enumerate() {
            let positions = part.positions();
            assert!(!positions.is_empty(), "slot {slot} has no tokens");
            for edge in [positions.start, positions.end] {
                let splits =
                    |picture: &Picture| picture.span.start < edge && edge < picture.span.end;
                assert!(!part.pictures.iter().any(splits), "slot {slot} splits a picture");
            }
            let place = |position| {
                let itself = position..position + 1;
                let span = part.picture(position).map_or(itself, |picture| picture.span.clone());
                Place { slot, position, first: span.start, end: span.end }
            };
            rows.extend(positions.map(place));
            last.push(rows.len() - 1);
        }
        let angles = spec.ropes.iter().map(|rope| {
            let angle = |row: &Place| rope.angles(row.position, slots[row.slot].cache.is_long());
            rows.iter().map(angle).collect()
        });
        Self { angles: angles.collect(), rows, last }
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Place> {
        self.rows.iter().copied()
    }

    /// Every row's angles in one of the model's rotary embeddings.
    pub(super) fn angles(&self, rope: usize) -> &[Angles] {
        &self.angles[rope]
    }

    /// Every slot's last row of `x`: (rows, width) to (slots, width).
    pub(super) fn last_rows(&self, x: &[f32]) -> Vec<f32> {
        let width = x.len() / self.rows.len();
        self.last.iter().flat_map(|row| &x[row * width..][..width]).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_never_cuts_a_picture() {
        let word = Place { slot: 0, position: 9, first: 9, end: 10 };
        assert_eq!(
            [word.sees(None), word.sees(Some(4)), word.sees(Some(99))],
            [0..10, 6..10, 0..10]
        );
        let soft = Place { slot: 0, position: 9, first: 3, end: 12 };
        assert_eq!(
            [soft.sees(None), soft.sees(Some(4)), soft.sees(Some(8))],
            [0..12, 3..12, 2..12]
        );
    }
}
