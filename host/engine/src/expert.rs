//! One loaded expert: a thread that owns the model and answers what it is sent.
//!
//! Nothing else touches the model, so nothing locks it. The thread listens to a closed set of
//! commands between steps; each step moves every running sequence forward by one batched pass.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{self, SendError, Sender},
    },
    thread::{self, JoinHandle},
};

use crate::{EngineError, executor::Seat, model::Model};

mod counters;
mod job;
mod logprobs;
mod lookup;
mod pace;
mod plan;
mod prefixes;
mod scheduler;
mod sequence;
mod stream;
#[cfg(test)]
mod tests;
mod waiting;
mod weighing;

pub(crate) use counters::Counters;
use job::Command;
pub(crate) use job::{Bounds, Job};
use scheduler::Scheduler;
pub use stream::TokenStream;
pub(crate) use weighing::Weighing;

/// What an expert's thread reports of its own end.
pub(crate) enum Notice {
    /// A step panicked; the thread is ending and takes no more commands.
    Crashed(String),
    /// The model's memory is free. Always the last notice.
    Gone,
}

/// The handle of a running expert. Dropped without [`stop`](Self::stop), the expert finishes what
/// it was sent and then ends.
pub(crate) struct Expert {
    commands: Sender<Command>,
    thread: JoinHandle<()>,
    /// Address of the weights.
    pub(crate) address: usize,
}

/// A way to send jobs to a running expert.
pub(crate) struct Commands(Sender<Command>);

impl Expert {
    /// Starts the thread of an expert.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub(crate) fn spawn(
        id: &str,
        model: Model,
        bounds: Bounds,
        counters: Arc<Counters>,
        seat: Seat,
        notify: impl Fn(Notice) + Send + 'static,
    ) -> io::Result<Self> {
        let (commands, inbox) = mpsc::channel();
        let address = model.address();
        let scheduler = Scheduler::new(id.to_owned(), model, inbox, bounds, counters, seat);
        let thread =
            thread::Builder::new().name(id.to_owned()).spawn(move || live(scheduler, &notify))?;
        Ok(Self { commands, thread, address })
    }

    pub(crate) fn commands(&self) -> Commands {
        Commands(self.commands.clone())
    }

    /// Ends the expert and waits until its memory is free. Blocks for up to one step.
    pub(crate) fn stop(self) {
        // Either fails only when the thread has ended already.
        let _ = self.commands.send(Command::Stop);
        let _ = self.thread.join();
    }
}

impl Commands {
    /// Hands a job over, or back when the expert has ended.
    pub(crate) fn submit(&self, job: Box<Job>) -> Result<(), Box<Job>> {
        match self.0.send(Command::Submit(job)) {
            Err(SendError(Command::Submit(job))) => Err(job),
            Ok(()) | Err(SendError(Command::Stop)) => Ok(()),
        }
    }
}

/// The thread's whole life. A panic ends this expert's replies and nothing else.
fn live(mut scheduler: Scheduler, notify: &impl Fn(Notice)) {
    let outcome = catch_unwind(AssertUnwindSafe(|| scheduler.run()));
    let error = match outcome {
        Ok(()) => EngineError::ShuttingDown,
        Err(panic) => {
            let problem = panic_words(&*panic);
            notify(Notice::Crashed(problem.clone()));
            EngineError::Crashed { expert: scheduler.id().to_owned(), problem }
        }
    };
    scheduler.abandon(&error);
    drop(scheduler);
    notify(Notice::Gone);
}

/// What a panic said.
pub(crate) fn panic_words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it panicked without a word".into())
}
