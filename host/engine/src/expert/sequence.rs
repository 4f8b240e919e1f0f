//! One running call: its cache, what is still to be fed, and the text that leaves it.

use std::{sync::atomic::Ordering::Relaxed, time::Instant};

use super::{Job, Tally};
use crate::{
    EngineError, Event, Finish, Timings, Usage,
    cache::KvCache,
    model::{Model, Slot},
    tokenizer::Detokenizer,
};

/// A call between its first step and its end.
pub(super) struct Sequence {
    job: Box<Job>,
    cache: KvCache,
    /// The prompt and what was generated so far.
    tokens: Vec<u32>,
    /// How many of them are in the cache.
    fed: usize,
    /// The rotary regime of the cache, where the model has two.
    long: bool,
    generated: u32,
    detokenizer: Detokenizer,
    started: Instant,
    first_token: Option<Instant>,
    ended: bool,
}

impl Sequence {
    pub(super) fn start(job: Box<Job>, model: &Model) -> Self {
        let tokens = job.prompt.clone();
        let detokenizer = Detokenizer::new(job.dialect.tokenizer.clone());
        Self {
            job,
            cache: model.new_cache(tokens.len()),
            long: model.spec().is_long(tokens.len()),
            tokens,
            fed: 0,
            generated: 0,
            detokenizer,
            started: Instant::now(),
            first_token: None,
            ended: false,
        }
    }

    /// Tokens the cache may come to hold.
    pub(super) fn most_tokens(&self) -> usize {
        self.job.most_tokens()
    }

    pub(super) fn kv_bytes(&self) -> u64 {
        self.cache.bytes()
    }

    /// Finished, failed, or nobody listens.
    pub(super) fn over(&self) -> bool {
        self.ended || self.job.events.is_closed()
    }

    /// Models with two rotary regimes use the long one from a certain length on, and keys of one
    /// mean nothing in the other. A sequence begins in the regime of its prompt; the rare one that
    /// grows across the border is fed anew, once.
    pub(super) fn keep_regime(&mut self, model: &Model) {
        if !self.long && model.spec().is_long(self.tokens.len()) {
            self.cache = model.new_cache(self.tokens.len());
            self.long = true;
            self.fed = 0;
        }
    }

    /// Takes this sequence's part of the next step: one token when decoding, else a chunk of what
    /// is not fed yet, out of what is left of the step's `budget`. `None` waits for a later step.
    pub(super) fn slot(&mut self, budget: &mut usize) -> Option<Slot<'_>> {
        let rest = &self.tokens[self.fed..];
        let share = match rest.len() {
            1 => 1,
            many => many.min(*budget),
        };
        if rest.len() > 1 {
            *budget -= share;
        }
        self.fed += share;
        (share > 0).then_some(Slot { cache: &mut self.cache, tokens: &rest[..share] })
    }

    /// Takes the logits `(vocab)` of the step; they mean something once everything is fed.
    pub(super) fn advance(&mut self, logits: &[f32], expert: &str, tally: &Tally) {
        if self.fed < self.tokens.len() {
            return;
        }
        self.first_token.get_or_insert_with(Instant::now);
        let Some(token) = self.job.sampler.sample(logits) else {
            let problem = "the model returned no finite number; its weights may be damaged".into();
            return self.fail(EngineError::Crashed { expert: expert.to_owned(), problem });
        };
        tally.completion_tokens.fetch_add(1, Relaxed);
        if let Some(reason) = self.accept(token) {
            self.finish(reason, tally);
        }
    }

    fn accept(&mut self, token: u32) -> Option<Finish> {
        self.tokens.push(token);
        self.generated += 1;
        if self.job.dialect.generation.ends.contains(&token) {
            return Some(self.say_rest(Finish::Stop));
        }
        let piece = self.detokenizer.push(token);
        if self.say(&piece) {
            return Some(Finish::Stop);
        }
        (self.generated >= self.job.max_tokens).then(|| self.say_rest(Finish::Length))
    }

    /// Sends what of this text may be shown; true when a stop string ends the reply.
    fn say(&mut self, piece: &str) -> bool {
        let released = self.job.stops.push(piece);
        self.send_text(released.text);
        released.stopped
    }

    /// Sends all that was held back, unless a stop string ends the reply before.
    fn say_rest(&mut self, reason: Finish) -> Finish {
        let rest = self.detokenizer.finish();
        if self.say(&rest) {
            return Finish::Stop;
        }
        let held = self.job.stops.finish();
        self.send_text(held);
        reason
    }

    /// Sending fails only when nobody listens, which the next step notices.
    fn send_text(&self, text: String) {
        if !text.is_empty() {
            let _ = self.job.events.send(Event::Text(text));
        }
    }

    fn finish(&mut self, reason: Finish, tally: &Tally) {
        let first_token = self.first_token.unwrap_or(self.started);
        let timings = Timings {
            queued: self.started - self.job.submitted,
            loading: self.job.loading,
            prefill: first_token - self.started,
            decode: first_token.elapsed(),
        };
        let prompt_tokens = self.job.prompt_tokens();
        let usage = Usage { prompt_tokens, completion_tokens: self.generated };
        tally.finished(self.generated - 1, timings.decode, self.started.elapsed());
        let _ = self.job.events.send(Event::Finished { reason, usage, timings });
        self.ended = true;
    }

    /// Ends the reply early.
    pub(super) fn fail(&mut self, error: EngineError) {
        let _ = self.job.events.send(Event::Failed(error));
        self.ended = true;
    }
}
