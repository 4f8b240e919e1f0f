//! Workers that share the tasks of one call after another. They are started once, look for the next
//! call for as long as waking them would take, then sleep; with their pool they end.
//!
//! A call is a job on the caller's stack. Workers join it while it is open, and the caller, who takes
//! tasks like they do, leaves only when it is closed and nobody is in it.
#![expect(unsafe_code, reason = "workers borrow from the stack of a caller who waits for them")]

use std::{
    any::Any,
    fmt, hint,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    ptr,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How long a worker looks for the next call before it sleeps: several times what waking it takes, and
/// longer than a step of decoding spends between two products.
const LOOKING: Duration = Duration::from_micros(200);
/// Looks between two readings of the clock, and before a caller who waits gives its processor away.
const LOOKS: u32 = 64;
/// The bit of [`Shared::state`] that says that a job may be joined.
const OPEN: u32 = 1 << 31;

/// The workers of one thread budget.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held by the caller whose job the workers do.
    turn: Mutex<()>,
}

struct Shared {
    /// [`OPEN`], and the number of workers that are in the job.
    state: AtomicU32,
    /// Valid for as long as a worker is in the job.
    job: AtomicPtr<Job<'static>>,
    /// Workers that sleep or are about to.
    sleeping: AtomicUsize,
    closing: AtomicBool,
    bed: Mutex<()>,
    woken: Condvar,
}

/// One call.
struct Job<'a> {
    work: &'a (dyn Fn(usize) + Sync),
    tasks: usize,
    /// The next task that nobody has taken.
    next: AtomicUsize,
    /// What the first failing task panicked with.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Pool {
    /// A pool for `threads`, the caller's among them: fewer where the system gives no more.
    pub(crate) fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared {
            state: AtomicU32::new(0),
            job: AtomicPtr::new(ptr::null_mut()),
            sleeping: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
            bed: Mutex::new(()),
            woken: Condvar::new(),
        });
        let start = |index: usize| {
            let shared = Arc::clone(&shared);
            let builder = thread::Builder::new().name(format!("compute-{index}"));
            builder.spawn(move || while shared.join_next() {}).ok()
        };
        let workers = (1..threads).map_while(start).collect();
        Self { shared, workers, turn: Mutex::new(()) }
    }

    /// Threads that share a call, the caller's among them.
    pub(crate) fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `work` with every number below `tasks`, in any order and on any thread, and returns when
    /// all are done. A caller who finds the workers taken does its tasks alone: it has a processor
    /// already, and the other has the rest.
    ///
    /// # Panics
    /// When a task does, with what that one panicked with.
    pub(crate) fn run(&self, tasks: usize, work: &(dyn Fn(usize) + Sync)) {
        match self.turn() {
            Some(turn) if tasks > 1 => {
                let panic = self.share(&Job {
                    work,
                    tasks,
                    next: AtomicUsize::new(0),
                    panic: Mutex::new(None),
                });
                drop(turn);
                if let Some(panic) = panic {
                    resume_unwind(panic);
                }
            }
            _ => (0..tasks).for_each(work),
        }
    }

    /// The right to the workers, if there are any and they are free.
    fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        if self.workers.is_empty() {
            return None;
        }
        match self.turn.try_lock() {
            Ok(turn) => Some(turn),
            Err(TryLockError::Poisoned(turn)) => Some(turn.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Does a job together with the workers. The caller has the turn, so no other job is open.
    fn share(&self, job: &Job<'_>) -> Option<Box<dyn Any + Send>> {
        let shared = &*self.shared;
        shared.job.store(ptr::from_ref(job).cast::<Job<'static>>().cast_mut(), Ordering::Relaxed);
        shared.state.store(OPEN, Ordering::SeqCst);
        if shared.sleeping.load(Ordering::SeqCst) > 0 {
            // Whoever counted itself before this lock has begun to wait when the lock is had.
            drop(lock(&shared.bed));
            shared.woken.notify_all();
        }
        shared.take_tasks(job);
        let mut looks = 0;
        while shared.state.load(Ordering::Acquire) != 0 {
            looks += 1;
            if looks % LOOKS == 0 { thread::yield_now() } else { hint::spin_loop() }
        }
        lock(&job.panic).take()
    }
}

impl Shared {
    /// Waits for a job and helps with it. False when there will be no more.
    fn join_next(&self) -> bool {
        if self.closing.load(Ordering::Relaxed) {
            return false;
        }
        if !self.look() {
            self.sleep();
            return true;
        }
        let state = self.state.load(Ordering::Relaxed);
        let joined = state & OPEN != 0
            && self
                .state
                .compare_exchange(state, state + 1, Ordering::Acquire, Ordering::Relaxed)
                .is_ok();
        if joined {
            // SAFETY: `share` published this job before it set `OPEN`, which the exchange above saw, and
            // it does not return, so the job and what it borrows live, until the count is zero again.
            let job = unsafe { &*self.job.load(Ordering::Relaxed) };
            self.take_tasks(job);
            self.state.fetch_sub(1, Ordering::Release);
        }
        true
    }

    /// Whether a job opens within [`LOOKING`].
    fn look(&self) -> bool {
        let start = Instant::now();
        loop {
            for _ in 0..LOOKS {
                if self.state.load(Ordering::Relaxed) & OPEN != 0 {
                    return true;
                }
                hint::spin_loop();
            }
            if start.elapsed() > LOOKING {
                return false;
            }
        }
    }

    /// Sleeps until a job opens or may have.
    fn sleep(&self) {
        let bed = lock(&self.bed);
        self.sleeping.fetch_add(1, Ordering::SeqCst);
        let open = self.state.load(Ordering::SeqCst) & OPEN != 0;
        if !open && !self.closing.load(Ordering::SeqCst) {
            drop(self.woken.wait(bed).unwrap_or_else(PoisonError::into_inner));
        }
        self.sleeping.fetch_sub(1, Ordering::SeqCst);
    }

    /// Takes tasks until there are none left, and closes the job then.
    fn take_tasks(&self, job: &Job<'_>) {
        loop {
            let task = job.next.fetch_add(1, Ordering::Relaxed);
            if task >= job.tasks {
                break;
            }
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (job.work)(task))) {
                lock(&job.panic).get_or_insert(panic);
            }
        }
        self.state.fetch_and(!OPEN, Ordering::AcqRel);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        drop(lock(&self.shared.bed));
        self.shared.woken.notify_all();
        for worker in self.workers.drain(..) {
            // A worker's panics are caught within its tasks.
            let _ = worker.join();
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool of {}", self.threads())
    }
}

/// A lock whose data no panic can leave half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// How often each of `tasks` was done.
    fn count(pool: &Pool, tasks: usize) -> Vec<usize> {
        let done: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
        pool.run(tasks, &|task| {
            done[task].fetch_add(1, Ordering::Relaxed);
        });
        done.into_iter().map(AtomicUsize::into_inner).collect()
    }

    #[test]
    fn every_task_is_done_once() {
        for threads in [0, 1, 2, 5] {
            let pool = Pool::new(threads);
            assert_eq!(pool.threads(), threads.max(1));
            for tasks in [0, 1, 2, 3, 100] {
                assert_eq!(count(&pool, tasks), vec![1; tasks], "{threads} threads");
            }
        }
    }

    #[test]
    fn workers_that_slept_are_woken() {
        let pool = Pool::new(3);
        for _ in 0..20 {
            thread::sleep(LOOKING * 2);
            let seen = Mutex::new(HashSet::new());
            pool.run(3, &|_| {
                seen.lock().unwrap().insert(thread::current().id());
                // Leaves a task to each, however late it wakes.
                let start = Instant::now();
                while seen.lock().unwrap().len() < 3 && start.elapsed() < Duration::from_secs(20) {
                    thread::yield_now();
                }
            });
            assert_eq!(seen.into_inner().unwrap().len(), 3);
        }
    }

    #[test]
    fn many_short_calls_from_several_threads() {
        let pool = Pool::new(3);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..2000).for_each(|_| assert_eq!(count(&pool, 5), [1; 5])));
            }
        });
    }

    #[test]
    fn a_call_within_a_call_is_done_by_its_caller() {
        let pool = Pool::new(2);
        pool.run(4, &|_| assert_eq!(count(&pool, 3), [1; 3]));
    }

    #[test]
    fn panics_come_through_and_the_pool_goes_on() {
        let pool = Pool::new(2);
        let failing = || pool.run(8, &|task| assert!(task != 3, "the fourth"));
        let panic = catch_unwind(AssertUnwindSafe(failing)).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"the fourth"));
        assert_eq!(count(&pool, 8), [1; 8]);
    }
}
