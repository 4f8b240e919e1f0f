//! The scheduler of an expert's thread, continuous batching: take commands, admit sequences, step. They
//! join and leave between any two steps. A token does not depend on who else is in the step, on where its prompt was
//! cut, or on what was computed before, so all of this is a matter of speed alone.

use std::{
    cmp::Reverse,
    sync::{
        Arc,
        atomic::Ordering::Relaxed,
        mpsc::{Receiver, TryRecvError},
    },
    time::Instant,
};

use super::{
    Counters,
    job::{Bounds, Command, Job},
    pace::Pace,
    plan::{Part, guess, plan},
    prefixes::{Beginnings, Key, Prefixes, common},
    sequence::Sequence,
    waiting::Waiting,
    work::Work,
};
use crate::{EngineError, Priority, cache::KvCache, executor::Seat, model::Model};

/// Tokens that a sequence waits for which another one, with the same beginning, is about to compute.
const WORTH_WAITING: usize = 64;

/// The state of an expert's thread.
pub(super) struct Scheduler {
    id: String,
    model: Model,
    inbox: Receiver<Command<Job>>,
    bounds: Bounds,
    counters: Arc<Counters>,
    seat: Seat,
    pace: Pace,
    prefixes: Prefixes,
    waiting: Waiting<Sequence>,
    /// Oldest first.
    running: Vec<Sequence>,
    steps: usize,
    stopped: bool,
}

impl Scheduler {
    pub(super) fn new(
        id: String,
        model: Model,
        inbox: Receiver<Command<Job>>,
        bounds: Bounds,
        counters: Arc<Counters>,
        seat: Seat,
        beginnings: Arc<Beginnings>,
    ) -> Self {
        Self {
            id,
            model,
            inbox,
            bounds,
            counters,
            seat,
            pace: Pace::default(),
            prefixes: Prefixes::new(beginnings),
            waiting: Waiting::default(),
            running: Vec::new(),
            steps: 0,
            stopped: false,
        }
    }

    /// Obeys what has come; waits for something when there is nothing to do. False ends the loop.
    fn listen(&mut self) -> bool {
        if self.idle() {
            self.seat.replies(None);
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

    fn obey(&mut self, command: Command<Job>) {
        match command {
            Command::Submit(job) => {
                let sequence = Sequence::new(job, &self.model);
                self.waiting.push(sequence.priority(), sequence);
            }
            Command::Stop => self.stopped = true,
        }
    }

    /// Lets go of what is over: answered, failed, or abandoned by its client. What was computed is kept for
    /// those that begin alike.
    fn clear(&mut self) {
        for over in self.running.extract_if(.., |sequence| sequence.over()) {
            self.prefixes.keep(over.into_prefix());
        }
        self.waiting.retain(|sequence| !sequence.over());
    }

    /// Starts waiting calls, of each class first come first served, as far as the bounds allow.
    fn admit(&mut self) {
        while let Some(mut next) = self.waiting.take() {
            let beginning = self.kept_beginning(&next);
            let (class, blocks) = (next.priority(), next.takes(beginning.as_ref()));
            if !self.has_place_for(class, blocks) {
                self.waiting.put_back(class, next);
                break;
            }
            self.waiting.goes(class);
            if let Some(beginning) = beginning {
                next.adopt(beginning);
            }
            next.admit();
            self.running.push(next);
        }
        for (before, sequence) in self.waiting.in_order().enumerate() {
            sequence.wait_behind(before);
        }
    }

    /// Whether one more sequence of this class that takes so many blocks may run. The youngest of lower classes that have
    /// had their share make way for it.
    fn has_place_for(&mut self, class: Priority, blocks: usize) -> bool {
        loop {
            if self.running.len() < self.bounds.sequences.max(1) && self.has_room_for(blocks) {
                return true;
            }
            let makes_way = |sequence: &Sequence| {
                sequence.may_yield() && self.waiting.makes_way(sequence.priority(), class)
            };
            let Some(lower) = self.running.iter().rposition(makes_way) else { return false };
            let mut lower = self.running.remove(lower);
            self.prefixes.keep(lower.yield_memory(&self.model));
            self.counters.yielded.fetch_add(1, Relaxed);
            self.waiting.wait_again(lower.priority(), lower);
        }
    }

    /// Whether one more sequence that takes so many blocks can be computed and the others can go on for a block,
    /// without what is kept of those that are over.
    fn has_room_for(&mut self, blocks: usize) -> bool {
        if self.running.is_empty() {
            return true;
        }
        let others = self.running.iter().filter(|sequence| !sequence.may_yield());
        let committed: usize = others.map(|sequence| sequence.takes(None)).sum();
        let ahead: usize = self.running.iter().map(|sequence| sequence.needs(1).max(1)).sum();
        self.make_room(blocks + committed.max(ahead))
    }

    /// Whether so many more blocks fit, once all is gone that nobody uses.
    fn make_room(&mut self, blocks: usize) -> bool {
        let fits = |model: &Model| model.blocks().in_use() + blocks <= self.bounds.kv_blocks;
        while !fits(&self.model) && self.prefixes.evict() {}
        if !fits(&self.model) {
            self.running.iter_mut().for_each(Sequence::forget_unseen);
        }
        fits(&self.model)
    }

    /// The longest beginning of a sequence that is kept of another.
    fn kept_beginning(&mut self, sequence: &Sequence) -> Option<KvCache> {
        let most = sequence.most_shared();
        self.prefixes.find(sequence.scope(), &sequence.keys(), most, sequence.is_long())
    }

    /// Gives sequences that have not begun the beginnings that running ones have computed meanwhile. Returns
    /// those that do better to wait for one that is about to.
    fn share_beginnings(&mut self) -> Vec<usize> {
        let mut held = Vec::new();
        if !self.running.iter().any(Sequence::waits_for_its_first_step) {
            return held;
        }
        let keys: Vec<Vec<Key>> = self.running.iter().map(Sequence::keys).collect();
        for index in 0..self.running.len() {
            let sequence = &self.running[index];
            if !sequence.waits_for_its_first_step() {
                continue;
            }
            let (own, most) = (&keys[index], sequence.most_shared());
            let same = |other: &&Sequence| {
                other.scope() == sequence.scope() && other.is_long() == sequence.is_long()
            };
            let alike = self.running[..index].iter().zip(&keys).filter(|(other, _)| same(other));
            let alike = alike.map(|(other, keys)| (common(keys, own).min(most), other));
            let Some((tokens, other)) = alike.max_by_key(|(tokens, _)| *tokens) else { continue };
            let computed = other.computed();
            if tokens >= computed.max(sequence.computed()) + WORTH_WAITING {
                held.push(index);
            } else if tokens.min(computed) >= sequence.computed() + WORTH_WAITING
                && let Some(beginning) = other.beginning(tokens.min(computed))
            {
                self.running[index].adopt(beginning);
            }
        }
        held
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

    /// One batched forward pass.
    fn step(&mut self) {
        let parts = self.parts();
        if !parts.is_empty() {
            self.count(&parts);
            let (mut logits, rows) = self.forward(&parts);
            let mut logits = logits.as_mut_slice();
            for (part, rows) in parts.iter().zip(rows) {
                let (own, rest) = logits.split_at_mut(rows);
                self.running[part.index].advance(own, &self.id, &self.counters);
                logits = rest;
            }
        }
        self.clear();
        let blocks = self.model.blocks();
        let bytes = blocks.in_use() * blocks.shape().block_bytes();
        self.counters.now(self.running.len(), bytes as u64);
    }

    /// Has the classes charged for what the step gives them.
    fn count(&mut self, parts: &[Part]) {
        let mut tokens = [0; Priority::ALL.len()];
        for part in parts {
            tokens[self.running[part.index].priority().index()] += part.share as u64;
        }
        self.waiting.had(tokens);
    }

    /// What the step consists of. Where there is no memory for it, the youngest sequences of the lowest class wait for
    /// the others to end.
    fn parts(&mut self) -> Vec<Part> {
        loop {
            let held = self.share_beginnings();
            let mut parts =
                plan(&self.running, &held, self.steps, &self.pace, self.seat.others_reply());
            if self.bounds.guesses {
                guess(&mut parts, &self.running, &self.pace);
            }
            let needs =
                parts.iter().map(|part| self.running[part.index].needs(part.share + part.guess));
            let fits = self.make_room(needs.sum());
            let able = (1..self.running.len()).filter(|at| self.running[*at].may_yield());
            let least = able.min_by_key(|at| (self.running[*at].priority(), Reverse(*at)));
            let Some(least) = least.filter(|_| !fits) else { return parts };
            let mut sequence = self.running.remove(least);
            drop(sequence.yield_memory(&self.model));
            self.counters.yielded.fetch_add(1, Relaxed);
            self.waiting.wait_again(sequence.priority(), sequence);
        }
    }

    /// The logits of the step, and how many rows of them are whose.
    fn forward(&mut self, parts: &[Part]) -> (Vec<Vec<f32>>, Vec<usize>) {
        let replies = self.running.iter().filter(|sequence| sequence.decodes()).count();
        self.seat.replies(self.pace.step(replies).filter(|_| replies > 0));
        let mut chunks = Vec::new();
        let mut parts = parts.iter().peekable();
        for (index, sequence) in self.running.iter_mut().enumerate() {
            if let Some(part) = parts.next_if(|part| part.index == index) {
                chunks.push(sequence.chunk(part.share, part.guess));
            }
        }
        let rows = chunks.iter().map(|chunk| chunk.tokens.len()).sum();
        let wanted = chunks.iter().map(|chunk| chunk.wanted).collect();
        self.steps = self.steps.wrapping_add(1);
        let turn = self.seat.turn();
        let began = Instant::now();
        let logits = self.model.forward(&mut chunks);
        drop(turn);
        self.pace.measured(rows, began.elapsed());
        (logits, wanted)
    }
}

impl Work for Scheduler {
    fn id(&self) -> &str {
        &self.id
    }

    fn run(&mut self) {
        while self.listen() {
            self.clear();
            self.admit();
            self.look();
            self.step();
        }
    }

    fn abandon(&mut self, error: &EngineError) {
        while let Ok(command) = self.inbox.try_recv() {
            self.obey(command);
        }
        for mut sequence in self.running.drain(..).chain(self.waiting.drain()) {
            sequence.fail(error.clone());
        }
        self.counters.now(0, 0);
    }
}
