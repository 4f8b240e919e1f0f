//! How far the packing of a checkpoint is, for whoever shows it.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How much of a whole is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackProgress {
    /// Bytes of packed weights so far.
    pub done: u64,
    /// Bytes of all of them.
    pub whole: u64,
}

impl PackProgress {
    /// Of hundred parts of the whole, those that are done.
    pub fn percent(&self) -> u64 {
        self.done * 100 / self.whole.max(1)
    }
}

/// Whom progress is told, from any thread.
pub(crate) type Report<'a> = &'a (dyn Fn(PackProgress) + Sync);

/// Adds up what several threads do.
pub(crate) struct Counting<'a> {
    done: AtomicU64,
    whole: u64,
    report: Report<'a>,
}

impl<'a> Counting<'a> {
    /// Of so many bytes.
    pub(crate) fn of(whole: usize, report: Report<'a>) -> Self {
        Self { done: AtomicU64::new(0), whole: whole as u64, report }
    }

    /// So many more are done.
    pub(crate) fn add(&self, bytes: usize) {
        let done = self.done.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        (self.report)(PackProgress { done, whole: self.whole });
    }
}

/// Lets something through every so often: what goes to a log.
pub(crate) struct Paced {
    every: Duration,
    next: Mutex<Instant>,
}

impl Paced {
    pub(crate) fn new(every: Duration) -> Self {
        Self { every, next: Mutex::new(Instant::now() + every) }
    }

    /// Whether it is time again.
    pub(crate) fn is_due(&self) -> bool {
        let (now, mut next) =
            (Instant::now(), self.next.lock().unwrap_or_else(PoisonError::into_inner));
        let due = *next <= now;
        if due {
            *next = now + self.every;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paces_are_kept() {
        let (seldom, often) = (Paced::new(Duration::from_secs(60)), Paced::new(Duration::ZERO));
        assert!(!seldom.is_due() && often.is_due() && often.is_due());
    }

    #[test]
    fn nothing_of_nothing_is_no_percent() {
        let percent = |done, whole| PackProgress { done, whole }.percent();
        assert_eq!([percent(0, 0), percent(1, 3), percent(3, 3)], [0, 33, 100]);
    }
}
