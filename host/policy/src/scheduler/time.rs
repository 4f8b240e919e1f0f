//! Time that a guest is blamed for. A thread that the system took off its core does not run, so
//! turns are measured on the thread's own clock.

use std::{
    cell::Cell,
    sync::{
        LazyLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

thread_local! {
    /// When the turn under way on this thread began, on the thread's clock.
    static BEGAN: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// What one call of a hook has used of its own time.
#[derive(Debug, Default)]
pub(crate) struct OwnTime {
    ran_ns: AtomicU64,
    slept_ns: AtomicU64,
    /// Since when it sleeps of its own will, in nanoseconds of this process; 0 while it does not.
    asleep_since_ns: AtomicU64,
    with_host: AtomicBool,
}

impl OwnTime {
    /// All of it, the turn under way on this thread included.
    pub(crate) fn spent(&self) -> Duration {
        let since = self.asleep_since_ns.load(Ordering::Acquire);
        let asleep = if since == 0 { 0 } else { now_ns().saturating_sub(since) };
        let before = self.ran_ns.load(Ordering::Acquire) + self.slept_ns.load(Ordering::Acquire);
        Duration::from_nanos(before + asleep)
    }

    /// The same, seen from within a turn.
    pub(crate) fn spent_in_turn(&self) -> Duration {
        let turn = BEGAN.get().map_or(Duration::ZERO, |began| cpu().saturating_sub(began));
        self.spent() + turn
    }

    /// Counts the turn under way on this thread as far as it has come, so that whoever waits for its outcome on another
    /// thread sees what it took.
    pub(super) fn count_so_far(&self) {
        let Some(began) = BEGAN.get() else { return };
        let now = cpu();
        BEGAN.set(Some(now));
        self.ran(now.saturating_sub(began));
    }

    fn ran(&self, took: Duration) {
        self.ran_ns.fetch_add(took.as_nanos() as u64, Ordering::AcqRel);
    }

    /// Measures one turn.
    pub(crate) fn turn<T>(&self, work: impl FnOnce() -> T) -> T {
        let began = cpu();
        BEGAN.set(Some(began));
        let done = work();
        let began = BEGAN.take().unwrap_or(began);
        self.ran(cpu().saturating_sub(began));
        done
    }

    /// The guest waits for something: for the host, or for a clock that it set itself.
    pub(super) fn falls_asleep(&self) {
        if !self.with_host.load(Ordering::Acquire) {
            self.asleep_since_ns.store(now_ns(), Ordering::Release);
        }
    }

    pub(super) fn wakes_up(&self) {
        let since = self.asleep_since_ns.swap(0, Ordering::AcqRel);
        if since != 0 {
            self.slept_ns.fetch_add(now_ns().saturating_sub(since), Ordering::AcqRel);
        }
    }

    /// Awaits host work that is not the guest's time.
    pub(crate) async fn with_host<T>(&self, work: impl Future<Output = T>) -> T {
        self.with_host.store(true, Ordering::Release);
        let done = work.await;
        self.with_host.store(false, Ordering::Release);
        done
    }
}

/// Nanoseconds since this process first asked; never 0.
fn now_ns() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_nanos() as u64 + 1
}

/// CPU time of this thread.
#[cfg(unix)]
fn cpu() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Wall clock, where threads have no clock of their own.
#[cfg(not(unix))]
fn cpu() -> Duration {
    Duration::from_nanos(now_ns())
}
