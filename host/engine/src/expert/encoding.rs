//! The work of an encoder's thread: texts of several calls go through the layers together, as many as a step bears, one
//! text of each call after the other so that a long list holds up no short one. A text's vector does not depend on any
//! of that.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        mpsc::{Receiver, TryRecvError},
    },
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{Counters, job::Command, plan::order, work::Work};
use crate::{
    EngineError, Priority, Progress,
    encoder::{Encoder, Tokens},
    executor::Seat,
};

/// Tokens that go through the layers together; a longer text goes alone.
pub(crate) const STEP_TOKENS: usize = 256;
/// Texts that go together, each of which holds keys and values of a block at least.
pub(crate) const STEP_TEXTS: usize = 32;

/// The vectors of texts, in their order.
pub(crate) type Vectors = Vec<Vec<f32>>;

/// One call, prepared: the tokens of its texts.
pub(crate) struct Encoding {
    /// Each has at least one, no more than the encoder holds, all below the vocabulary size.
    pub(crate) texts: Vec<Tokens>,
    /// Whether it goes before others.
    pub(crate) priority: Priority,
    /// Told what it has cost.
    pub(crate) progress: Progress,
    /// Where the vectors go. Whoever drops the other end cancels what is still to come.
    pub(crate) reply: oneshot::Sender<Result<Vectors, EngineError>>,
    /// Dropped with the job: while it lives, the expert is not idle.
    pub(crate) _hold: Box<dyn Send>,
}

/// A call that is worked on.
struct Running {
    job: Box<Encoding>,
    /// Those of the first texts.
    vectors: Vectors,
    began: Option<Instant>,
}

/// The state of an encoder's thread.
pub(super) struct Encodings {
    id: String,
    encoder: Encoder,
    inbox: Receiver<Command<Encoding>>,
    counters: Arc<Counters>,
    seat: Seat,
    /// Those first that have waited longest for a text of theirs.
    running: Vec<Running>,
    steps: usize,
    stopped: bool,
}

impl Encodings {
    pub(super) fn new(
        id: String,
        encoder: Encoder,
        inbox: Receiver<Command<Encoding>>,
        counters: Arc<Counters>,
        seat: Seat,
    ) -> Self {
        let (running, steps, stopped) = (Vec::new(), 0, false);
        Self { id, encoder, inbox, counters, seat, running, steps, stopped }
    }

    /// Obeys what has come; waits for something when there is nothing to do. False ends the loop.
    fn listen(&mut self) -> bool {
        if self.running.is_empty() {
            match self.inbox.recv() {
                Ok(command) => self.obey(command),
                Err(_) => return false,
            }
        }
        loop {
            match self.inbox.try_recv() {
                Ok(command) => self.obey(command),
                Err(TryRecvError::Empty) => return !self.stopped,
                Err(TryRecvError::Disconnected) => {
                    return !self.stopped && !self.running.is_empty();
                }
            }
        }
    }

    fn obey(&mut self, command: Command<Encoding>) {
        match command {
            Command::Submit(job) => {
                self.running.push(Running { job, vectors: Vec::new(), began: None });
            }
            Command::Stop => self.stopped = true,
        }
    }

    /// Takes the next texts through all layers.
    fn step(&mut self) {
        let chosen = self.choose();
        if chosen.is_empty() {
            return;
        }
        let texts: Vec<&Tokens> =
            chosen.iter().map(|(call, text)| &self.running[*call].job.texts[*text]).collect();
        let mut passing = self.encoder.begin(&texts);
        loop {
            // Others have their turn between any two layers: a text may be as long as many steps of a reply.
            let _turn = self.seat.turn();
            if !self.encoder.advance(&mut passing) {
                break;
            }
        }
        for ((call, text), vector) in chosen.iter().zip(self.encoder.finish(passing)) {
            let running = &mut self.running[*call];
            running.job.progress.spend_prompt(running.job.texts[*text].ids.len() as u32);
            running.vectors.push(vector);
        }
        self.steps = self.steps.wrapping_add(1);
        self.go_behind(&chosen);
    }

    /// Calls and texts of the next step: the next of every call in turn until the step is full.
    fn choose(&mut self) -> Vec<(usize, usize)> {
        let order = order(self.running.iter().map(|running| running.job.priority), self.steps);
        let (now, mut chosen, mut tokens) = (Instant::now(), Vec::new(), 0);
        for round in 0.. {
            let before = chosen.len();
            for call in &order {
                let running = &mut self.running[*call];
                let at = running.vectors.len() + round;
                let Some(text) = running.job.texts.get(at) else { continue };
                let full = chosen.len() == STEP_TEXTS || tokens + text.ids.len() > STEP_TOKENS;
                if full && !chosen.is_empty() {
                    return chosen;
                }
                running.began.get_or_insert(now);
                tokens += text.ids.len();
                chosen.push((*call, at));
            }
            if chosen.len() == before {
                break;
            }
        }
        chosen
    }

    /// Calls of which a step had texts let the others go first.
    fn go_behind(&mut self, chosen: &[(usize, usize)]) {
        let served: BTreeSet<usize> = chosen.iter().map(|(call, _)| *call).collect();
        let calls = self.running.drain(..).enumerate();
        let (behind, mut first): (Vec<_>, Vec<_>) =
            calls.partition(|(call, _)| served.contains(call));
        first.extend(behind);
        self.running = first.into_iter().map(|(_, running)| running).collect();
    }

    /// Lets go of what is over: answered, or abandoned by its client.
    fn clear(&mut self) {
        let mut kept = Vec::with_capacity(self.running.len());
        for running in self.running.drain(..) {
            let Running { job, vectors, began } = running;
            if job.reply.is_closed() {
                continue;
            }
            if vectors.len() < job.texts.len() {
                kept.push(Running { job, vectors, began });
                continue;
            }
            let took = began.map(|began| began.elapsed()).unwrap_or_default();
            self.counters.finished(0, Duration::ZERO, took);
            // A client that is gone has given up.
            let _ = job.reply.send(Ok(vectors));
        }
        self.running = kept;
        self.counters.now(self.running.len(), 0);
    }
}

impl Work for Encodings {
    fn id(&self) -> &str {
        &self.id
    }

    fn run(&mut self) {
        while self.listen() {
            self.clear();
            self.step();
            self.clear();
        }
    }

    fn abandon(&mut self, error: &EngineError) {
        while let Ok(command) = self.inbox.try_recv() {
            self.obey(command);
        }
        for running in self.running.drain(..) {
            let _ = running.job.reply.send(Err(error.clone()));
        }
        self.counters.now(0, 0);
    }
}
