//! One guest's work as its turns see it: a future that is polled once per turn and comes back into
//! the queue when it is woken; and the queue, which tasks and threads share.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use super::{OwnTime, run_queue::RunQueue};

/// How long a thread without work looks for some before it sleeps: the next hook of the same call
/// usually arrives by then, and waking a sleeping processor costs as much.
const LOOK_FOR_WORK: Duration = Duration::from_micros(50);
type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Waits for somebody to wake it.
const IDLE: u8 = 0;
/// In the queue.
const QUEUED: u8 = 1;
/// Has its turn.
const RUNNING: u8 = 2;
/// Has its turn and was woken meanwhile.
const WOKEN: u8 = 3;
/// Came to its end.
const DONE: u8 = 4;

/// What tasks and threads share.
pub(super) struct Shared {
    pub(super) queue: Mutex<RunQueue<Arc<Task>>>,
    pub(super) ready: Condvar,
    /// Tasks in the queue, to be looked at without the lock.
    pub(super) waiting: AtomicUsize,
    pub(super) closed: AtomicBool,
}

impl Shared {
    pub(super) fn queue(&self) -> MutexGuard<'_, RunQueue<Arc<Task>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, task: Arc<Task>, fresh: bool) {
        if self.closed.load(Ordering::Acquire) {
            return;
        }
        let mut queue = self.queue();
        queue.push(task.lane(), task, fresh);
        self.waiting.store(queue.len(), Ordering::Release);
        drop(queue);
        self.ready.notify_one();
    }

    /// The task whose turn it is; waits for one. `None` when it is over.
    pub(super) fn next(&self) -> Option<Arc<Task>> {
        let since = Instant::now();
        while self.waiting.load(Ordering::Acquire) == 0 && since.elapsed() < LOOK_FOR_WORK {
            std::hint::spin_loop();
        }
        let mut queue = self.queue();
        loop {
            if self.closed.load(Ordering::Acquire) {
                return None;
            }
            if let Some(task) = queue.pop() {
                self.waiting.store(queue.len(), Ordering::Release);
                return Some(task);
            }
            queue = self.ready.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

pub(super) struct Task {
    shared: Arc<Shared>,
    lane: u64,
    own_time: Arc<OwnTime>,
    state: AtomicU8,
    ended: AtomicBool,
    work: Mutex<Option<Work>>,
}

impl Task {
    pub(super) fn new(
        shared: Arc<Shared>,
        lane: u64,
        own_time: Arc<OwnTime>,
        work: Work,
    ) -> Arc<Task> {
        let (state, ended) = (AtomicU8::new(QUEUED), AtomicBool::new(false));
        Arc::new(Task { shared, lane, own_time, state, ended, work: Mutex::new(Some(work)) })
    }

    pub(super) fn lane(&self) -> u64 {
        self.lane
    }

    /// Into the queue, for the first time.
    pub(super) fn queue(self: &Arc<Self>) {
        self.shared.push(self.clone(), true);
    }

    /// Nobody waits for it any more: its next turn drops the work, on the threads of guests, since
    /// giving back memory takes a while.
    pub(super) fn end(self: &Arc<Self>) {
        self.ended.store(true, Ordering::Release);
        self.wake_by_ref();
    }

    /// Polls the work once.
    pub(super) fn take_turn(self: Arc<Self>) {
        self.state.store(RUNNING, Ordering::Release);
        let work = self.work.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut work) = work else { return };
        if self.ended.load(Ordering::Acquire) {
            self.state.store(DONE, Ordering::Release);
            return;
        }
        let waker = Waker::from(self.clone());
        let poll = || work.as_mut().poll(&mut Context::from_waker(&waker));
        match catch_unwind(AssertUnwindSafe(|| self.own_time.turn(poll))) {
            Ok(Poll::Pending) => self.put_back(work),
            Ok(Poll::Ready(())) => self.state.store(DONE, Ordering::Release),
            Err(_) => {
                self.state.store(DONE, Ordering::Release);
                tracing::error!("the host crashed in a policy's turn; its call ends");
            }
        }
    }

    /// Waits to be woken, or goes back into the queue when it was already.
    fn put_back(self: Arc<Self>, work: Work) {
        *self.work.lock().unwrap_or_else(PoisonError::into_inner) = Some(work);
        self.own_time.falls_asleep();
        let idle = self.state.compare_exchange(RUNNING, IDLE, Ordering::AcqRel, Ordering::Acquire);
        if idle.is_err() {
            self.own_time.wakes_up();
            self.state.store(QUEUED, Ordering::Release);
            self.shared.clone().push(self, false);
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let next = |state| match state {
            IDLE => Some(QUEUED),
            RUNNING => Some(WOKEN),
            _ => None,
        };
        if self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, next) == Ok(IDLE) {
            self.own_time.wakes_up();
            self.shared.push(self.clone(), false);
        }
    }
}
