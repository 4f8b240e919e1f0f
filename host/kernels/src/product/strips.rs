//! How many strips and rows of activations meet at once.

use std::ops::Range;

use crate::Isa;

/// Strips that meet the same activations before the next inputs are looked at.
pub(super) const STRIPS: usize = 4;
/// Rows of plain numbers that meet weights before these are unpacked to memory.
pub(super) const STREAM_ROWS: usize = 4;

/// The same of integers. Unpacking costs as much as many rows do, and what that is depends on how many of them a
/// stream takes at once: measured on Zen 5 with Q4_K, a row more costs 4.1 ms in a stream and 2.6 in a sweep that
/// begins with 60 for unpacking; with AVX2 it is 16 and 8.4.
pub(super) fn stream_rows(isa: Isa) -> usize {
    match isa {
        Isa::Avx512Vnni | Isa::AmxInt8 => 32,
        Isa::Avx2 => 6,
        _ => STREAM_ROWS,
    }
}

/// Strips of a range, a few at a time.
pub(super) fn groups(strips: &Range<usize>, together: usize) -> impl Iterator<Item = Range<usize>> {
    let end = strips.end;
    strips.clone().step_by(together).map(move |first| first..end.min(first + together))
}
