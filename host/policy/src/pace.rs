//! Whether calls of a hook are so short that going to a thread of the guests and back would cost more than the call:
//! two threads that wake each other take up to 40 µs each way, where an idle processor sleeps.
//!
//! Such a call begins where its caller is, one of a hook at a time. A guest that turns slow there holds that thread up
//! for one tick; while it runs all others queue, and so do the next [`TRUSTED`] calls. A call that was slow and shorter
//! than a tick costs [`SLOW_COSTS`] quick ones: where the machine's owner lends the core to others, one call in
//! thirty looks slow whatever the guest does.

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

use crate::{
    runtime::TICK,
    scheduler::{First, OwnTime},
};

/// A call that takes no longer is quick.
const QUICK: Duration = Duration::from_micros(250);
/// With so much credit, a call begins where its caller is. A quick call earns 1.
const TRUSTED: u32 = 64;
/// No hook has more credit.
const CREDIT_MAX: u32 = 2 * TRUSTED;
/// What a call costs that was not quick. Quick calls between two such ones keep the caller's thread waiting for about
/// as long on the whole as one of a tick.
const SLOW_COSTS: u32 = 16;
/// Calls with more text than this go to the guests' threads in any case.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// How quick one hook of one revision was of late.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    credit: AtomicU32,
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
        let quick = text_bytes <= TEXT_BYTES_MAX && self.credit.load(Relaxed) >= TRUSTED;
        let first =
            if quick && !self.here.swap(true, Acquire) { First::Here } else { First::Queued };
        Paced { pace: self, own_time: own_time.clone(), first }
    }

    fn took(&self, own: Duration) {
        // What others count meanwhile may be lost: this is no more than a habit.
        let credit = self.credit.load(Relaxed);
        let credit = if own <= QUICK {
            CREDIT_MAX.min(credit + 1)
        } else if own < TICK {
            credit.saturating_sub(SLOW_COSTS)
        } else {
            0
        };
        self.credit.store(credit, Relaxed);
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

    /// Where the next call begins after so many quick ones, and one of `last`.
    fn after(quick_calls: u32, last: Duration) -> First {
        let pace = quick(quick_calls);
        pace.took(last);
        first(&pace, 0)
    }

    #[test]
    fn calls_begin_where_the_caller_is_once_enough_of_them_were_quick() {
        assert_eq!(first(&quick(TRUSTED - 1), 0), First::Queued);
        let pace = quick(TRUSTED);
        let (short, long) = (first(&pace, 0), first(&pace, TEXT_BYTES_MAX + 1));
        assert_eq!((short, long), (First::Here, First::Queued));
    }

    #[test]
    fn one_slow_call_among_many_quick_ones_changes_nothing_and_a_whole_tick_does() {
        let slow = QUICK + Duration::from_micros(1);
        assert_eq!(after(TRUSTED, slow), First::Queued);
        assert_eq!(after(TRUSTED + SLOW_COSTS, slow), First::Here);
        assert_eq!(after(u32::from(u16::MAX), TICK), First::Queued);
    }

    #[test]
    fn a_hook_whose_calls_turn_slow_loses_its_place_after_a_few() {
        let pace = quick(u32::from(u16::MAX));
        (0..=TRUSTED / SLOW_COSTS).for_each(|_| pace.took(QUICK * 2));
        assert_eq!(first(&pace, 0), First::Queued);
    }

    #[test]
    fn one_call_at_a_time_begins_where_its_caller_is_and_one_that_is_given_up_counts() {
        let (pace, own_time) = (quick(TRUSTED), Arc::default());
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
