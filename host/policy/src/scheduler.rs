//! The scheduler of guests: they run on threads of their own and take turns there, one slice each, round robin among
//! policies, so that a guest that loops holds up neither a request nor another policy. One that was quick so far may
//! take its first turn where its caller is. What a guest is blamed for is its own time only: the CPU time of its
//! turns and what it sleeps of its own will.

mod run_queue;
mod task;
mod time;

use std::{
    future::Future,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::oneshot,
    time::{Instant, timeout_at},
};

pub(crate) use run_queue::{ASIDE, RunQueue};
use task::{Shared, Task};
pub(crate) use time::{HostWork, OwnTime};

/// A guest that is about to be late is looked after this often.
const LOOK_AFTER: Duration = Duration::from_millis(5);

/// Why a guest's work came to no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Late {
    /// It used up its own time.
    Guest,
    /// The host did not get round to it.
    Host,
    /// The host crashed in it.
    Crashed,
}

/// Where a guest takes its first turn; for all others it queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    /// On the thread of its caller, which waits for no longer than one slice.
    Here,
    /// On the threads of guests, behind others.
    Queued,
}

/// The threads that guests run on. They end when this is dropped.
pub(crate) struct Scheduler {
    shared: Arc<Shared>,
    /// Where timers and host calls of guests live.
    host: Handle,
}

/// What one hook's call may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    /// The guest's own time.
    pub(crate) own: Duration,
    /// Wall clock with everything that the host adds.
    pub(crate) wall: Duration,
}

impl Scheduler {
    /// Starts `workers` threads; timers and host calls of guests live in the runtime of `host`.
    ///
    /// # Errors
    /// Threads that can't be started.
    pub(crate) fn start(workers: usize, host: &Handle) -> std::io::Result<Scheduler> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            ready: Condvar::new(),
            waiting: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        });
        let scheduler = Scheduler { shared, host: host.clone() };
        for _ in 0..workers {
            let (shared, host) = (scheduler.shared.clone(), host.clone());
            let name = "policy-guest".to_owned();
            thread::Builder::new().name(name).spawn(move || work(&shared, &host))?;
        }
        Ok(scheduler)
    }

    /// Runs `body` in turns that are taken in `lane`, one lane per policy, and waits for its end.
    /// Dropping the future ends the guest at its next tick.
    ///
    /// # Errors
    /// Whose time ran out.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        lane: u64,
        own_time: &Arc<OwnTime>,
        budget: Budget,
        first: First,
        body: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Late> {
        let (sender, mut receiver) = oneshot::channel();
        let own = own_time.clone();
        let work = Box::pin(async move {
            let done = body.await;
            own.count_so_far();
            drop(sender.send(done));
        });
        let task = Task::new(self.shared.clone(), lane, own_time.clone(), work);
        let _end = EndOnDrop(task.clone());
        match first {
            First::Here => self.take_turn(task),
            First::Queued => task.queue(),
        }
        let end = Instant::now() + budget.wall;
        let mut look = budget.own;
        loop {
            let at = end.min(Instant::now() + look);
            if let Ok(ended) = timeout_at(at, &mut receiver).await {
                return ended.map_err(|_| Late::Crashed);
            }
            let left = budget.own.saturating_sub(own_time.spent());
            if left.is_zero() {
                return Err(Late::Guest);
            }
            if Instant::now() >= end {
                return Err(Late::Host);
            }
            look = left.max(LOOK_AFTER);
        }
    }

    fn take_turn(&self, task: Arc<Task>) {
        let _host = self.host.enter();
        task.take_turn();
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.queue().clear();
        self.shared.ready.notify_all();
    }
}

/// Ends a task whose caller is gone.
struct EndOnDrop(Arc<Task>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn work(shared: &Shared, host: &Handle) {
    let _host = host.enter();
    while let Some(task) = shared.next() {
        task.take_turn();
    }
}

/// Gives the turn back once; the task is next when all others had theirs.
pub(crate) async fn give_way() {
    let mut given = false;
    std::future::poll_fn(|context| {
        if given {
            return std::task::Poll::Ready(());
        }
        given = true;
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests;
