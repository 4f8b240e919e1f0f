//! Admission of instances: how many live at once, and how much memory they have together. `pre` and `route` have
//! a budget of their own, so that replies whose readers are slow stop no new call; and so have those that are only compared.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Failure, Limits};

/// Instances that uploads are probed with, beside those of calls.
pub(crate) const PROBES: usize = 4;
/// Calls with more text than this are large.
const LARGE_BYTES: usize = 1 << 20;

/// The right to one or more instances; given back when dropped.
pub(crate) type InstancePermit = Arc<OwnedSemaphorePermit>;

/// The budgets.
pub(crate) struct Instances {
    calls: Arc<Semaphore>,
    sessions: Arc<Semaphore>,
    probes: Arc<Semaphore>,
    /// Of revisions that are only compared.
    aside: Arc<Semaphore>,
    /// Large calls at once: all of them together take half of the memory at most, and the small
    /// ones never wait behind them.
    large: Arc<Semaphore>,
    pub(crate) memory: Arc<MemoryBudget>,
    /// What those that are only compared have together, beside it.
    pub(crate) memory_aside: Arc<MemoryBudget>,
}

/// What a call in `pre` or `route` holds.
pub(crate) struct CallInstance {
    _instance: OwnedSemaphorePermit,
    _large: Option<OwnedSemaphorePermit>,
}

impl Instances {
    pub(crate) fn new(limits: &Limits) -> Instances {
        let rooms = |count: u64| Arc::new(Semaphore::new(count as usize));
        Instances {
            calls: rooms(limits.instances),
            sessions: rooms(limits.sessions),
            probes: Arc::new(Semaphore::new(PROBES)),
            aside: rooms(limits.shadow_calls),
            large: rooms((limits.memory_total_bytes / 2 / limits.memory_bytes).max(1)),
            memory: Arc::new(MemoryBudget::new(limits.memory_total_bytes)),
            memory_aside: Arc::new(MemoryBudget::new(limits.memory_total_bytes / 4)),
        }
    }

    /// Room for one instance that is shown `text_bytes`, waited for at most `within`.
    pub(crate) async fn call(
        &self,
        text_bytes: usize,
        within: Duration,
    ) -> Result<CallInstance, Failure> {
        let large = match text_bytes > LARGE_BYTES {
            true => Some(one(&self.large, within).await?),
            false => None,
        };
        Ok(CallInstance { _instance: one(&self.calls, within).await?, _large: large })
    }

    /// Room for `count` sessions, at once or not at all: a call that waited for replies to end
    /// would wait for their readers.
    pub(crate) fn sessions(&self, count: usize) -> Result<InstancePermit, Failure> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let room = self.sessions.clone().try_acquire_many_owned(count);
        room.map(Arc::new).map_err(|_| Failure::NoRoom { limit_ms: 0 })
    }

    /// Room for one session of a probe.
    pub(crate) async fn probe(&self, within: Duration) -> Result<InstancePermit, Failure> {
        one(&self.probes, within).await.map(Arc::new)
    }
}

impl Instances {
    /// Room for one instance that is only compared.
    pub(crate) async fn aside(&self, within: Duration) -> Result<OwnedSemaphorePermit, Failure> {
        one(&self.aside, within).await
    }

    /// Whether there is some now.
    pub(crate) fn has_room_aside(&self) -> bool {
        self.aside.available_permits() > 0
    }
}

async fn one(room: &Arc<Semaphore>, within: Duration) -> Result<OwnedSemaphorePermit, Failure> {
    if let Ok(permit) = room.clone().try_acquire_owned() {
        return Ok(permit);
    }
    match tokio::time::timeout(within, room.clone().acquire_owned()).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(Failure::NoRoom { limit_ms: within.as_millis() as u64 }),
    }
}

/// Bytes that all instances have together.
pub(crate) struct MemoryBudget {
    used: AtomicU64,
    pub(crate) limit: u64,
}

/// Bytes of one holder; given back when dropped.
pub(crate) struct Share {
    budget: Arc<MemoryBudget>,
    bytes: u64,
}

impl MemoryBudget {
    pub(crate) fn new(limit: u64) -> Self {
        Self { used: AtomicU64::new(0), limit }
    }

    /// A share that has nothing yet.
    pub(crate) fn share(self: &Arc<Self>) -> Share {
        Share { budget: self.clone(), bytes: 0 }
    }
}

impl Share {
    /// Another share of the same budget, which has nothing yet.
    pub(crate) fn sibling(&self) -> Share {
        self.budget.share()
    }

    /// Takes more, if there is more.
    pub(crate) fn take(&mut self, bytes: u64) -> Result<(), Failure> {
        let MemoryBudget { used, limit } = &*self.budget;
        let more = |used: u64| used.checked_add(bytes).filter(|sum| sum <= limit);
        match used.fetch_update(Ordering::AcqRel, Ordering::Acquire, more) {
            Ok(_) => self.bytes += bytes,
            Err(_) => return Err(Failure::NoMemory { limit_bytes: *limit }),
        }
        Ok(())
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_come_back_when_they_are_dropped() {
        let budget = Arc::new(MemoryBudget::new(100));
        let (mut a, mut b) = (budget.share(), budget.share());
        a.take(60).unwrap();
        assert_eq!(b.take(41), Err(Failure::NoMemory { limit_bytes: 100 }));
        b.take(40).unwrap();
        drop(a);
        b.take(60).unwrap();
        assert_eq!(b.bytes(), 100);
    }

    #[tokio::test]
    async fn sessions_take_no_room_from_calls_and_large_calls_none_from_small_ones() {
        let limits = Limits {
            instances: 2,
            sessions: 2,
            memory_bytes: 1 << 27,
            memory_total_bytes: 1 << 28,
            ..Limits::default()
        };
        let rooms = Instances::new(&limits);
        let sessions = rooms.sessions(2).unwrap();
        assert!(rooms.sessions(1).is_err());
        let brief = Duration::from_millis(1);
        let large = rooms.call(2 << 20, brief).await.unwrap();
        assert!(rooms.call(2 << 20, brief).await.is_err());
        let small = rooms.call(10, brief).await.unwrap();
        drop((sessions, large, small));
        assert!(rooms.sessions(2).is_ok());
    }
}
