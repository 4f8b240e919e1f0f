//! How far the packing of a checkpoint is, for whoever shows it.

use std::sync::atomic::{AtomicU64, Ordering};

/// How much of a whole is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackProgress {
    /// Bytes of packed weights so far.
    pub done: u64,
    /// Bytes of all of them.
    pub whole: u64,
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
