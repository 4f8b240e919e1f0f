//! What happened lately, in fixed memory: calls in a ring of buckets, and the callers seen last.

use std::time::{Duration, Instant};

/// Pieces of a window; it is forgotten piece by piece.
const BUCKETS: usize = 12;
/// Callers remembered. When there are more, the one that called least recently is dropped.
const CALLERS: usize = 256;

/// Calls and failures of the last while.
#[derive(Debug)]
pub(super) struct Window {
    bucket: Duration,
    ring: [Bucket; BUCKETS],
    callers: Vec<Caller>,
    began: Option<Instant>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    /// Which piece of time, counted from the beginning.
    at: u64,
    calls: u64,
    failed: u64,
}

#[derive(Debug, Clone, Copy)]
struct Caller {
    id: u64,
    seen: u64,
    failed: Option<u64>,
}

/// What a window holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) calls: u64,
    pub(super) failed: u64,
    pub(super) callers: u64,
    pub(super) callers_failed: u64,
}

impl Window {
    pub(super) fn new(window_ms: u64) -> Self {
        let bucket = Duration::from_millis(window_ms.max(1)) / BUCKETS as u32;
        Self { bucket, ring: [Bucket::default(); BUCKETS], callers: Vec::new(), began: None }
    }

    /// One call by `caller`.
    pub(super) fn record(&mut self, caller: u64, failed: bool, now: Instant) {
        let at = self.piece(now);
        let bucket = &mut self.ring[at as usize % BUCKETS];
        if bucket.at != at {
            *bucket = Bucket { at, ..Bucket::default() };
        }
        bucket.calls += 1;
        bucket.failed += u64::from(failed);
        let known = self.caller(caller, at);
        known.seen = at;
        if failed {
            known.failed = Some(at);
        }
    }

    /// What is not forgotten yet.
    pub(super) fn tally(&mut self, now: Instant) -> Tally {
        let at = self.piece(now);
        let recent = |then: u64| at - then.min(at) < BUCKETS as u64;
        let buckets = || self.ring.iter().filter(|bucket| recent(bucket.at));
        let callers = || self.callers.iter().filter(|caller| recent(caller.seen));
        Tally {
            calls: buckets().map(|bucket| bucket.calls).sum(),
            failed: buckets().map(|bucket| bucket.failed).sum(),
            callers: callers().count() as u64,
            callers_failed: callers().filter(|caller| caller.failed.is_some_and(recent)).count()
                as u64,
        }
    }

    fn piece(&mut self, now: Instant) -> u64 {
        let began = *self.began.get_or_insert(now);
        (now.saturating_duration_since(began).as_nanos() / self.bucket.as_nanos().max(1)) as u64
    }

    /// The caller's entry; a new one takes the place of the stalest when there is no room.
    fn caller(&mut self, id: u64, at: u64) -> &mut Caller {
        let found = self.callers.iter().position(|caller| caller.id == id);
        let index = found.unwrap_or_else(|| {
            let new = Caller { id, seen: at, failed: None };
            let stalest = (0..self.callers.len()).min_by_key(|&index| self.callers[index].seen);
            match stalest.filter(|_| self.callers.len() >= CALLERS) {
                Some(stalest) => {
                    self.callers[stalest] = new;
                    stalest
                }
                None => {
                    self.callers.push(new);
                    self.callers.len() - 1
                }
            }
        });
        &mut self.callers[index]
    }
}
