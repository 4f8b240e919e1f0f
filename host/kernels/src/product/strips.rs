//! How many strips and rows of activations meet at once.

use std::ops::Range;

/// Strips that meet the same activations before the next inputs are looked at.
pub(super) const STRIPS: usize = 4;
/// Rows of activations that meet weights before they are unpacked to memory.
pub(super) const STREAM_ROWS: usize = 4;

/// Strips of a range, a few at a time.
pub(super) fn groups(strips: &Range<usize>, together: usize) -> impl Iterator<Item = Range<usize>> {
    let end = strips.end;
    strips.clone().step_by(together).map(move |first| first..end.min(first + together))
}
