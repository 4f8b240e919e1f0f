//! Time that a guest is blamed for. A thread that the system took off its core does not run, so
//! turns are measured on the thread's own clock.

use std::{
    cell::Cell,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
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
    sleep: Mutex<Sleep>,
}

/// When a guest that has no turn sleeps of its own will.
#[derive(Debug, Default)]
struct Sleep {
    slept: Duration,
    /// Since when it does.
    since: Option<Instant>,
    /// It waits to be woken, for whatever reason.
    idle: bool,
    /// What the host does for it at the moment; while there is something, its sleep is not of its own will.
    host_works: usize,
}

/// Something that the host does for a guest, until it is dropped.
pub(crate) struct HostWork(Arc<OwnTime>);

impl Sleep {
    fn settle(&mut self) {
        match (self.idle && self.host_works == 0, self.since) {
            (true, None) => self.since = Some(Instant::now()),
            (false, Some(since)) => {
                self.slept += since.elapsed();
                self.since = None;
            }
            _ => {}
        }
    }
}

impl Drop for HostWork {
    fn drop(&mut self) {
        let mut sleep = self.0.sleep();
        sleep.host_works -= 1;
        sleep.settle();
    }
}

impl OwnTime {
    /// All of it, the turn under way on this thread included.
    pub(crate) fn spent(&self) -> Duration {
        let ran = Duration::from_nanos(self.ran_ns.load(Ordering::Acquire));
        let sleep = self.sleep();
        ran + sleep.slept + sleep.since.map_or(Duration::ZERO, |since| since.elapsed())
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
        self.is_idle(true);
    }

    pub(super) fn wakes_up(&self) {
        self.is_idle(false);
    }

    fn is_idle(&self, idle: bool) {
        let mut sleep = self.sleep();
        sleep.idle = idle;
        sleep.settle();
    }

    /// The host begins to do something for the guest: until that is done, waiting is not the guest's time.
    pub(crate) fn host_works(self: &Arc<Self>) -> HostWork {
        let mut sleep = self.sleep();
        sleep.host_works += 1;
        sleep.settle();
        drop(sleep);
        HostWork(self.clone())
    }

    /// Awaits host work that is not the guest's time.
    pub(crate) async fn with_host<T>(self: &Arc<Self>, work: impl Future<Output = T>) -> T {
        let _working = self.host_works();
        work.await
    }

    fn sleep(&self) -> MutexGuard<'_, Sleep> {
        self.sleep.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    START.elapsed()
}
