//! What every search for personal data answers with.

use std::ops::Range;

/// Where something stands, and what takes its place.
pub(crate) type Found = (Range<usize>, &'static str);
