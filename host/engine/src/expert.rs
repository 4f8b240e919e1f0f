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

use crate::{EngineError, encoder::Encoder, executor::Seat, model::Model};

mod counters;
mod encoding;
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
mod work;

pub(crate) use counters::Counters;
use encoding::Encodings;
pub(crate) use encoding::{Encoding, STEP_TEXTS, STEP_TOKENS};
use job::Command;
pub(crate) use job::{Bounds, Job};
pub(crate) use prefixes::{Beginnings, keys};
use scheduler::Scheduler;
pub use stream::TokenStream;
pub(crate) use weighing::Weighing;
use work::Work;

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
    commands: Commands,
    thread: JoinHandle<()>,
    /// Address of the weights.
    pub(crate) address: usize,
    /// Of prompts, those that are computed already.
    pub(crate) beginnings: Arc<Beginnings>,
}

/// A way to send jobs to a running expert, by what it does.
#[derive(Clone)]
pub(crate) enum Commands {
    /// It replies.
    Replies(Inbox<Job>),
    /// It makes vectors of texts.
    Vectors(Inbox<Encoding>),
}

/// Where jobs of one kind are taken.
pub(crate) struct Inbox<J>(Sender<Command<J>>);

impl Expert {
    /// Starts the thread of an expert that replies.
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
        let beginnings = Arc::new(Beginnings::default());
        let kept = beginnings.clone();
        let scheduler = Scheduler::new(id.to_owned(), model, inbox, bounds, counters, seat, kept);
        let expert = Self::start(Commands::Replies(Inbox(commands)), scheduler, address, notify)?;
        Ok(Self { beginnings, ..expert })
    }

    /// Starts the thread of an expert that makes vectors.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub(crate) fn spawn_encoder(
        id: &str,
        encoder: Encoder,
        counters: Arc<Counters>,
        seat: Seat,
        notify: impl Fn(Notice) + Send + 'static,
    ) -> io::Result<Self> {
        let (commands, inbox) = mpsc::channel();
        let address = encoder.address();
        let encodings = Encodings::new(id.to_owned(), encoder, inbox, counters, seat);
        Self::start(Commands::Vectors(Inbox(commands)), encodings, address, notify)
    }

    fn start(
        commands: Commands,
        work: impl Work + Send + 'static,
        address: usize,
        notify: impl Fn(Notice) + Send + 'static,
    ) -> io::Result<Self> {
        let name = work.id().to_owned();
        let thread = thread::Builder::new().name(name).spawn(move || live(work, &notify))?;
        Ok(Self { commands, thread, address, beginnings: Arc::default() })
    }

    pub(crate) fn commands(&self) -> Commands {
        self.commands.clone()
    }

    /// Ends the expert within one step, and waits for nothing; its notice says when its memory is free.
    pub(crate) fn dismiss(&self) {
        match &self.commands {
            Commands::Replies(inbox) => inbox.stop(),
            Commands::Vectors(inbox) => inbox.stop(),
        }
    }

    /// Ends the expert and waits until its memory is free. Blocks for up to one step.
    pub(crate) fn stop(self) {
        self.dismiss();
        // Fails only when the thread has panicked, which it has said.
        let _ = self.thread.join();
    }
}

impl<J> Inbox<J> {
    /// Hands a job over, or back when the expert has ended.
    pub(crate) fn submit(&self, job: Box<J>) -> Result<(), Box<J>> {
        match self.0.send(Command::Submit(job)) {
            Err(SendError(Command::Submit(job))) => Err(job),
            Ok(()) | Err(SendError(Command::Stop)) => Ok(()),
        }
    }

    fn stop(&self) {
        // Fails only when the thread has ended already.
        let _ = self.0.send(Command::Stop);
    }
}

impl<J> Clone for Inbox<J> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// The thread's whole life. A panic ends this expert's calls and nothing else.
fn live(mut work: impl Work, notify: &impl Fn(Notice)) {
    let outcome = catch_unwind(AssertUnwindSafe(|| work.run()));
    let error = match outcome {
        Ok(()) => EngineError::ShuttingDown,
        Err(panic) => {
            let problem = panic_words(&*panic);
            notify(Notice::Crashed(problem.clone()));
            EngineError::Crashed { expert: work.id().to_owned(), problem }
        }
    };
    work.abandon(&error);
    drop(work);
    notify(Notice::Gone);
}

/// What a panic said.
pub(crate) fn panic_words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it panicked without a word".into())
}
