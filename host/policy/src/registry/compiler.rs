//! The one thread that compiles: of low priority, because compiling takes a whole core for a while
//! and must not slow replies down, and behind a bounded queue.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{self, Receiver, SyncSender, TrySendError},
    thread,
};

use tokio::sync::oneshot;

use crate::PolicyError;

/// How far the thread steps back behind others; 0 to 19.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

type Job = Box<dyn FnOnce() + Send>;

/// The thread, and the bounded queue before it.
pub(super) struct Compiler {
    jobs: SyncSender<Job>,
    waiting_max: usize,
}

impl Compiler {
    /// Starts the thread; it ends when the compiler is dropped.
    pub(super) fn start(waiting_max: usize) -> Result<Compiler, PolicyError> {
        let (jobs, queue) = mpsc::sync_channel(waiting_max);
        thread::Builder::new()
            .name("policy-compile".into())
            .spawn(move || work(&queue))
            .map_err(|error| PolicyError::Runtime { problem: error.to_string() })?;
        Ok(Compiler { jobs, waiting_max })
    }

    fn send(&self, job: Job) -> Result<(), PolicyError> {
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => PolicyError::Busy { waiting: self.waiting_max },
            TrySendError::Disconnected(_) => gone(),
        })
    }

    /// Runs `job` on the thread and waits without blocking.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PolicyError> {
        let (tell, told) = oneshot::channel();
        self.send(Box::new(move || drop(tell.send(job()))))?;
        told.await.map_err(|_| gone())
    }

    /// Runs `job` on the thread and blocks until it is done.
    pub(super) fn run_blocking<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PolicyError> {
        let (tell, told) = mpsc::sync_channel(1);
        self.send(Box::new(move || drop(tell.send(job()))))?;
        told.recv().map_err(|_| gone())
    }
}

fn gone() -> PolicyError {
    PolicyError::Runtime { problem: "the compiler crashed on this component".into() }
}

/// A job that panics (a bug in the compiler) ends alone.
fn work(queue: &Receiver<Job>) {
    step_back();
    for job in queue {
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!("the policy compiler crashed; the upload is refused");
        }
    }
}

/// Lowers this thread's priority. Elsewhere than on Linux it would be the process's.
fn step_back() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::warn!("policies are compiled at normal priority: {error}");
    }
}
