//! The scheduler of an expert's thread, continuous batching: take commands, admit sequences, step. They
//! join and leave between any two steps.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        mpsc::{Receiver, TryRecvError},
    },
};

use super::{
    Counters,
    job::{Bounds, Command, Job},
    sequence::Sequence,
};
use crate::{
    EngineError, Event, Stage,
    model::{Model, PREFILL_CHUNK, PREFILL_CHUNK_ALONE},
};

/// The state of an expert's thread.
pub(super) struct Scheduler {
    id: String,
    model: Model,
    inbox: Receiver<Command>,
    bounds: Bounds,
    counters: Arc<Counters>,
    waiting: VecDeque<Box<Job>>,
    running: Vec<Sequence>,
    stopped: bool,
}

impl Scheduler {
    pub(super) fn new(
        id: String,
        model: Model,
        inbox: Receiver<Command>,
        bounds: Bounds,
        counters: Arc<Counters>,
    ) -> Self {
        let (waiting, running) = (VecDeque::new(), Vec::new());
        Self { id, model, inbox, bounds, counters, waiting, running, stopped: false }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Runs until asked to stop, or until nobody can send any more and all is answered.
    pub(super) fn run(&mut self) {
        while self.listen() {
            self.clear();
            self.admit();
            self.look();
            self.step();
        }
    }

    /// Obeys what has come; waits for something when there is nothing to do. False ends the loop.
    fn listen(&mut self) -> bool {
        if self.idle() {
            match self.inbox.recv() {
                Ok(command) => self.obey(command),
                Err(_) => return false,
            }
        }
        loop {
            match self.inbox.try_recv() {
                Ok(command) => self.obey(command),
                Err(TryRecvError::Empty) => return !self.stopped,
                Err(TryRecvError::Disconnected) => return !self.stopped && !self.idle(),
            }
        }
    }

    fn idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Submit(job) => self.waiting.push_back(job),
            Command::Stop => self.stopped = true,
        }
    }

    /// Lets go of what is over: answered, failed, or abandoned by its client.
    fn clear(&mut self) {
        self.running.retain(|sequence| !sequence.over());
        self.waiting.retain(|job| !job.events.is_closed());
    }

    /// Starts waiting calls, first come first served, as far as the bounds allow.
    fn admit(&mut self) {
        while let Some(next) = self.waiting.front() {
            let full = self.running.len() >= self.bounds.sequences.max(1);
            let held: usize = self.running.iter().map(Sequence::most_kv_tokens).sum();
            let fits = (held + next.most_kv_tokens()) as u64 <= self.bounds.kv_tokens;
            if full || !(fits || self.running.is_empty()) {
                break;
            }
            if let Some(job) = self.waiting.pop_front() {
                self.running.push(Sequence::start(job, &self.model));
            }
        }
        for (before, job) in self.waiting.iter().enumerate() {
            job.progress.is_at(Stage::Queued { before });
        }
    }

    /// Encodes one picture of the oldest call that waits for one. It takes as long as many steps do, so
    /// there is one between any two.
    fn look(&mut self) {
        for sequence in &mut self.running {
            if sequence.look(&self.model, &self.id) {
                break;
            }
        }
        self.clear();
    }

    /// One batched forward pass: a token for each decoding sequence, a chunk for the oldest
    /// prompts.
    fn step(&mut self) {
        let replying = self.running.iter().any(Sequence::decodes);
        let mut budget = if replying { PREFILL_CHUNK } else { PREFILL_CHUNK_ALONE };
        let (mut part, mut chunks) = (Vec::new(), Vec::new());
        for (index, sequence) in self.running.iter_mut().enumerate() {
            if let Some(chunk) = sequence.next_chunk(&mut budget) {
                part.push(index);
                chunks.push(chunk);
            }
        }
        if !chunks.is_empty() {
            let logits = self.model.forward(&mut chunks);
            for (index, mut row) in part.into_iter().zip(logits) {
                self.running[index].advance(&mut row, &self.id, &self.counters);
            }
        }
        self.clear();
        self.counters.now(self.running.len(), self.running.iter().map(Sequence::kv_bytes).sum());
    }

    /// Fails every call that is still here.
    pub(super) fn abandon(&mut self, error: &EngineError) {
        for sequence in &mut self.running {
            sequence.fail(error.clone());
        }
        while let Ok(command) = self.inbox.try_recv() {
            self.obey(command);
        }
        for job in self.waiting.drain(..) {
            let _ = job.events.send(Event::Failed(error.clone()));
        }
        self.running.clear();
        self.counters.now(0, 0);
    }
}
