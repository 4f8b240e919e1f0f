//! Whether calls of a hook are so short that going to a thread of the guests and back would cost more than the call:
//! two threads that wake each other take up to 40 µs each way, where an idle processor sleeps.
//!
//! Such a call begins where its caller is. A guest that turns slow there holds that thread up for one tick and
//! no longer, once in [`IN_A_ROW`] calls at most.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use crate::scheduler::First;

/// A call that takes no longer is quick.
const QUICK: Duration = Duration::from_micros(250);
/// So many quick calls, one after the other, make the next one begin where its caller is.
const IN_A_ROW: u32 = 64;
/// Calls with more text than this go to the guests' threads in any case.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// How quick one hook of one revision was of late.
#[derive(Debug, Default)]
pub(crate) struct Pace(AtomicU32);

impl Pace {
    /// Where the next call takes its first turn.
    pub(crate) fn first(&self, text_bytes: usize) -> First {
        match text_bytes <= TEXT_BYTES_MAX && self.0.load(Relaxed) >= IN_A_ROW {
            true => First::Here,
            false => First::Queued,
        }
    }

    /// A call used so much of its own time.
    pub(crate) fn took(&self, own: Duration) {
        // What others count meanwhile may be lost: this is no more than a habit.
        let quick = if own <= QUICK { self.0.load(Relaxed).saturating_add(1) } else { 0 };
        self.0.store(quick, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_calls_in_a_row_begin_where_the_caller_is_until_one_is_slow() {
        let pace = Pace::default();
        let quick = |calls: u32| (0..calls).for_each(|_| pace.took(QUICK));
        quick(IN_A_ROW - 1);
        assert_eq!(pace.first(0), First::Queued);
        quick(1);
        assert_eq!((pace.first(0), pace.first(TEXT_BYTES_MAX + 1)), (First::Here, First::Queued));
        pace.took(QUICK + Duration::from_micros(1));
        assert_eq!(pace.first(0), First::Queued);
        quick(IN_A_ROW);
        assert_eq!(pace.first(0), First::Here);
    }
}
