//! Whether calls of a hook are so short that going to a thread of the guests and back would cost more than the call:
//! two threads that wake each other take up to 40 µs each way, where an idle processor sleeps.
//!
//! Such a call begins where its caller is, one of a hook at a time. A guest that turns slow there holds that thread up
//! for one tick; while it runs all others queue, and so do the next [`IN_A_ROW`] calls.

use std::{
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU32,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::Duration,
};

use crate::scheduler::{First, OwnTime};

/// A call that takes no longer is quick.
const QUICK: Duration = Duration::from_micros(250);
/// So many quick calls, one after the other, make the next one begin where its caller is.
const IN_A_ROW: u32 = 64;
/// Calls with more text than this go to the guests' threads in any case.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// How quick one hook of one revision was of late.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Quick calls since the last one that was not.
    in_a_row: AtomicU32,
    /// Whether a call is under way that began where its caller is.
    here: AtomicBool,
}

/// One call. What it took counts when this is dropped, however the call ends.
pub(crate) struct Paced<'p> {
    pace: &'p Pace,
    own_time: Arc<OwnTime>,
    /// Where it takes its first turn.
    pub(crate) first: First,
}

impl Pace {
    /// A call begins, with so much text.
    pub(crate) fn begin(&self, text_bytes: usize, own_time: &Arc<OwnTime>) -> Paced<'_> {
        let quick = text_bytes <= TEXT_BYTES_MAX && self.in_a_row.load(Relaxed) >= IN_A_ROW;
        let first =
            if quick && !self.here.swap(true, Acquire) { First::Here } else { First::Queued };
        Paced { pace: self, own_time: own_time.clone(), first }
    }

    fn took(&self, own: Duration) {
        // What others count meanwhile may be lost: this is no more than a habit.
        let quick = if own <= QUICK { self.in_a_row.load(Relaxed).saturating_add(1) } else { 0 };
        self.in_a_row.store(quick, Relaxed);
    }
}

impl Drop for Paced<'_> {
    fn drop(&mut self) {
        self.pace.took(self.own_time.spent());
        if self.first == First::Here {
            self.pace.here.store(false, Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quick(calls: u32) -> Pace {
        let pace = Pace::default();
        (0..calls).for_each(|_| pace.took(QUICK));
        pace
    }

    fn first(pace: &Pace, text_bytes: usize) -> First {
        pace.begin(text_bytes, &Arc::default()).first
    }

    #[test]
    fn quick_calls_in_a_row_begin_where_the_caller_is_until_one_is_slow() {
        assert_eq!(first(&quick(IN_A_ROW - 1), 0), First::Queued);
        let pace = quick(IN_A_ROW);
        assert_eq!(
            (first(&pace, 0), first(&pace, TEXT_BYTES_MAX + 1)),
            (First::Here, First::Queued)
        );
        pace.took(QUICK + Duration::from_micros(1));
        assert_eq!(first(&pace, 0), First::Queued);
    }

    #[test]
    fn one_call_at_a_time_begins_where_its_caller_is_and_one_that_is_given_up_counts() {
        let (pace, own_time) = (quick(IN_A_ROW), Arc::default());
        let slow = pace.begin(0, &own_time);
        assert_eq!((slow.first, first(&pace, 0)), (First::Here, First::Queued));
        while own_time.spent() <= QUICK {
            own_time
                .turn(|| std::hint::black_box((0..10_000).map(std::hint::black_box).sum::<i32>()));
        }
        drop(slow);
        assert_eq!(first(&pace, 0), First::Queued);
    }
}
