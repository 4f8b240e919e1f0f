//! What callers think of replies: whoever made a call may rate it once. It stands in the call's record, in a line of its own in
//! the files, because the call's was written before, and is told to the router that decided, where that learns.

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use signalbox_policy::Rating;

use super::words::{Text, cut, text_bytes};
use crate::limits::RATING_NOTE_BYTES_MAX;

/// What a caller thinks of a reply.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(super) struct RatingView {
    /// -1 to 1.
    value: f32,
    /// What the caller says of it.
    #[serde(default)]
    note: Option<Text>,
    /// When it came, milliseconds since 1970.
    at_ms: u64,
}

/// A rating as a line of the files has it: its keys are none of a decision's.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Rated {
    /// Which decision.
    pub(super) rated: Text,
    pub(super) rating: RatingView,
}

/// Why a call can't be rated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unrated {
    /// No call of this caller is in memory under this name.
    Unknown,
    /// Its caller has rated it.
    Already,
}

impl RatingView {
    pub(super) fn of(rating: &Rating, at_ms: u64) -> Self {
        let note = rating.note.as_deref().map(|note| cut(note, RATING_NOTE_BYTES_MAX));
        Self { value: rating.value, note, at_ms }
    }

    /// Bytes that it points to.
    pub(super) fn bytes(&self) -> usize {
        text_bytes(self.note.as_ref())
    }
}

/// What is kept of calls that have ended and may still be rated, by the names of their decisions; the newest last.
pub(super) struct Ratable<T> {
    ended: VecDeque<Ended<T>>,
    bytes: usize,
}

struct Ended<T> {
    decision: Text,
    bytes: usize,
    kept: T,
}

impl<T> Default for Ratable<T> {
    fn default() -> Self {
        Self { ended: VecDeque::new(), bytes: 0 }
    }
}

impl<T> Ratable<T> {
    /// Keeps something of so many bytes; the oldest give way.
    pub(super) fn keep(&mut self, decision: &str, bytes: usize, kept: T, bytes_max: usize) {
        self.bytes += bytes;
        self.ended.push_back(Ended { decision: decision.into(), bytes, kept });
        while self.bytes > bytes_max {
            let Some(oldest) = self.ended.pop_front() else { break };
            self.bytes -= oldest.bytes;
        }
    }

    /// Takes out what is kept of a decision.
    pub(super) fn take(&mut self, decision: &str) -> Option<T> {
        let at = self.ended.iter().position(|ended| *ended.decision == *decision)?;
        let Ended { bytes, kept, .. } = self.ended.remove(at)?;
        self.bytes -= bytes;
        Some(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_rated_has_a_largest_size() {
        let mut ratable = Ratable::default();
        (0..10).for_each(|n| ratable.keep(&n.to_string(), 30, n, 100));
        assert_eq!((ratable.ended.len(), ratable.bytes), (3, 90));
        assert_eq!(
            (ratable.take("6"), ratable.take("8"), ratable.take("8")),
            (None, Some(8), None)
        );
        assert_eq!((ratable.ended.len(), ratable.bytes), (2, 60));
        ratable.keep("large", 101, 0, 100);
        assert_eq!((ratable.ended.len(), ratable.bytes), (0, 0));
    }
}
