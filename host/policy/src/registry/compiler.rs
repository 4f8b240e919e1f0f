//! Who is compiled when. Two threads, each with a bounded queue and at most one child process: one
//! for uploads, one for what operators wait for (activating and rolling back to a stored revision,
//! and the start), so that no upload is ever before them.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{self, Receiver, SyncSender, TrySendError},
    thread,
};

use tokio::sync::oneshot;

use crate::{PolicyError, compile::Haste};

/// Operators' commands that may wait for code at once.
const AWAITED_MAX: usize = 64;

type Job = Box<dyn FnOnce() + Send>;

/// Both threads.
pub(super) struct Compiler {
    awaited: Lane,
    uploads: Lane,
}

impl Compiler {
    /// Starts the threads; they end when the compiler is dropped.
    pub(super) fn start(uploads_max: usize) -> Result<Compiler, PolicyError> {
        Ok(Compiler {
            awaited: Lane::start("policy-awaited", AWAITED_MAX)?,
            uploads: Lane::start("policy-uploads", uploads_max)?,
        })
    }

    fn lane(&self, haste: Haste) -> &Lane {
        match haste {
            Haste::Awaited => &self.awaited,
            Haste::Upload => &self.uploads,
        }
    }

    /// Runs `job` on its thread and waits without blocking.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        haste: Haste,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PolicyError> {
        let (sender, receiver) = oneshot::channel();
        self.lane(haste).send(Box::new(move || drop(sender.send(job()))))?;
        receiver.await.map_err(|_| gone())
    }

    /// Runs `job` on the thread of what is awaited and blocks until it is done.
    pub(super) fn run_blocking<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PolicyError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.awaited.send(Box::new(move || drop(sender.send(job()))))?;
        receiver.recv().map_err(|_| gone())
    }
}

/// One thread, and the bounded queue before it.
struct Lane {
    jobs: SyncSender<Job>,
    waiting_max: usize,
}

impl Lane {
    fn start(name: &str, waiting_max: usize) -> Result<Lane, PolicyError> {
        let (jobs, queue) = mpsc::sync_channel(waiting_max);
        thread::Builder::new()
            .name(name.into())
            .spawn(move || work(&queue))
            .map_err(|error| PolicyError::Runtime { problem: error.to_string() })?;
        Ok(Lane { jobs, waiting_max })
    }

    fn send(&self, job: Job) -> Result<(), PolicyError> {
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => PolicyError::Busy { waiting: self.waiting_max },
            TrySendError::Disconnected(_) => gone(),
        })
    }
}

fn gone() -> PolicyError {
    PolicyError::Runtime { problem: "the compiler crashed on this component".into() }
}

/// A job that panics (a bug in the compiler) ends alone.
fn work(queue: &Receiver<Job>) {
    for job in queue {
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!("the policy compiler crashed; the upload is refused");
        }
    }
}
