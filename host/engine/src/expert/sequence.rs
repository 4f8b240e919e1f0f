//! One running call: its cache, what is still to be fed, and the text that leaves it.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::atomic::Ordering::Relaxed,
    time::Instant,
};

use super::{Counters, Job, logprobs::weigh};
use crate::{
    EngineError, Event, Finish, Stage, Timings, Usage,
    cache::KvCache,
    constraint::Constraint,
    model::{Chunk, Model, PREFILL_CHUNK},
    tokenizer::Detokenizer,
    vision::{Picture, Placed, chunk_end},
};

/// A call between its first step and its end.
pub(super) struct Sequence {
    job: Box<Job>,
    cache: KvCache,
    /// The prompt and what was generated so far.
    tokens: Vec<u32>,
    /// How many of them are in the cache.
    fed: usize,
    /// Pictures of the prompt that are not encoded yet.
    unseen: VecDeque<Placed>,
    /// Pictures that are encoded and not fed yet.
    pictures: Vec<Picture>,
    generated: u32,
    detokenizer: Detokenizer,
    started: Instant,
    first_token: Option<Instant>,
    ended: bool,
}

impl Sequence {
    /// Models with two rotary regimes use the long one from a certain length on, and keys of one mean
    /// nothing in the other: the longest that this call can grow decides.
    pub(super) fn start(mut job: Box<Job>, model: &Model) -> Self {
        let tokens = job.prompt.clone();
        job.progress.spend_prompt(job.prompt_tokens());
        job.progress.is_at(Stage::Prefill { done: 0, of: tokens.len() });
        let detokenizer = Detokenizer::new(job.prompt_format.tokenizer.clone());
        Self {
            cache: model.new_cache(job.most_tokens()),
            unseen: std::mem::take(&mut job.images).into(),
            pictures: Vec::new(),
            job,
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
    pub(super) fn most_kv_tokens(&self) -> usize {
        self.job.most_kv_tokens()
    }

    pub(super) fn kv_bytes(&self) -> u64 {
        self.cache.bytes()
    }

    /// Finished, failed, or nobody listens.
    pub(super) fn over(&self) -> bool {
        self.ended || self.job.events.is_closed()
    }

    /// Encodes the next picture of the prompt; false when there is none.
    pub(super) fn look(&mut self, model: &Model, expert: &str) -> bool {
        let Some(next) = self.unseen.pop_front() else { return false };
        match model.see(&next) {
            Ok(picture) => self.pictures.push(picture),
            Err(problem) => self.fail(EngineError::Crashed { expert: expert.to_owned(), problem }),
        }
        true
    }

    /// Whether it is generating.
    pub(super) fn decodes(&self) -> bool {
        self.tokens.len() == self.fed + 1 && self.first_token.is_some()
    }

    /// Takes this sequence's part of the next step: one token when decoding, else a chunk of what
    /// is not fed yet, out of what is left of the step's `budget`. `None` waits for a later step.
    pub(super) fn next_chunk(&mut self, budget: &mut usize) -> Option<Chunk<'_>> {
        let share = match self.tokens.len() - self.fed {
            1 => 1,
            _ => {
                let share = self.chunk_tokens(*budget);
                *budget = budget.saturating_sub(share);
                share
            }
        };
        let tokens = &self.tokens[self.fed..self.fed + share];
        self.fed += share;
        let pictures = &self.pictures[..];
        (share > 0).then_some(Chunk { cache: &mut self.cache, tokens, pictures })
    }

    /// How many tokens are fed next: up to the first picture that is not encoded, without splitting
    /// any, and within `budget`. A picture longer than all of it has a step of its own.
    fn chunk_tokens(&self, budget: usize) -> usize {
        let known = self.unseen.front().map_or(self.tokens.len(), |next| next.span.start);
        let to = known.min(self.fed + budget);
        let spans = self.pictures.iter().map(|picture| &picture.span);
        let share = chunk_end(spans, self.fed, to) - self.fed;
        let waits = share > budget && budget < PREFILL_CHUNK;
        if waits { 0 } else { share }
    }

    /// Takes the logits `(vocab)` of the step; they mean something once everything is fed.
    pub(super) fn advance(&mut self, logits: &mut [f32], expert: &str, counters: &Counters) {
        self.pictures.retain(|picture| picture.span.end > self.fed);
        if self.fed < self.tokens.len() {
            let (done, of) = (self.fed, self.tokens.len());
            return self.job.progress.is_at(Stage::Prefill { done, of });
        }
        if self.first_token.is_none() {
            self.first_token = Some(Instant::now());
            self.job.progress.is_at(Stage::Generating);
        }
        let token = match self.draw(logits, expert) {
            Ok(token) => token,
            Err(error) => return self.fail(error),
        };
        counters.completion_tokens.fetch_add(1, Relaxed);
        self.job.progress.spend_token();
        if let Some(reason) = self.accept(token) {
            self.finish(reason, counters);
        }
    }

    /// The next token, from logits `(vocab)`, of which some are changed for it.
    fn draw(&mut self, logits: &mut [f32], expert: &str) -> Result<u32, EngineError> {
        let job = &mut *self.job;
        let invalid = |message| EngineError::InvalidRequest { message };
        let weights = job.logprobs.map(|top| (top, logits.to_vec()));
        let mask = job.constraint.as_mut().map(Constraint::mask).transpose().map_err(invalid)?;
        let barred = if self.generated < job.min_tokens { &job.ends } else { &BTreeSet::new() };
        let drawn = job.sampler.sample(logits, mask.as_ref(), barred);
        let token = drawn.ok_or_else(|| EngineError::Crashed {
            expert: expert.to_owned(),
            problem: "the model returned no finite number; its weights may be damaged".into(),
        })?;
        let accepted = job.constraint.as_mut().map(|constraint| constraint.accept(token));
        accepted.transpose().map_err(invalid)?;
        if let Some((top, weights)) = weights.filter(|_| !job.ends.contains(&token)) {
            let weighed = weigh(&weights, token, top, &job.prompt_format.tokenizer);
            let _ = job.events.send(Event::Logprobs(vec![weighed])); // nobody may listen
        }
        Ok(token)
    }

    fn accept(&mut self, token: u32) -> Option<Finish> {
        self.tokens.push(token);
        self.generated += 1;
        if self.job.ends.contains(&token) {
            return Some(self.say_rest(Finish::Stop));
        }
        let piece = self.detokenizer.push(token);
        if self.say(&piece) {
            return Some(Finish::Stop);
        }
        if self.job.constraint.as_ref().is_some_and(Constraint::is_over) {
            return Some(self.say_rest(Finish::Stop));
        }
        (self.generated >= self.job.max_tokens).then(|| self.say_rest(Finish::Length))
    }

    /// Sends what of this text may be shown; true when a stop string ends the reply.
    fn say(&mut self, piece: &str) -> bool {
        if self.generated < self.job.min_tokens {
            self.send_text(piece.to_owned());
            return false;
        }
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

    fn finish(&mut self, reason: Finish, counters: &Counters) {
        let first_token = self.first_token.unwrap_or(self.started);
        let timings = Timings {
            queued: self.started - self.job.submitted,
            loading: self.job.loading,
            prefill: first_token - self.started,
            decode: first_token.elapsed(),
        };
        let prompt_tokens = self.job.prompt_tokens();
        let usage = Usage { prompt_tokens, cached_tokens: 0, completion_tokens: self.generated };
        counters.finished(self.generated - 1, timings.decode, self.started.elapsed());
        let _ = self.job.events.send(Event::Finished { reason, usage, timings });
        self.ended = true;
    }

    /// Ends the reply early.
    pub(super) fn fail(&mut self, error: EngineError) {
        let _ = self.job.events.send(Event::Failed(error));
        self.ended = true;
    }
}

#[cfg(test)]
mod tests {
    use signalbox_kernels::Compute;

    use std::sync::Arc;

    use super::*;
    use crate::{
        Progress, TokenStream,
        checkpoint::Checkpoint,
        prompt_format::tests::toy_format,
        sampler::{Rules, Sampler},
        tokenizer::{Stops, tests::toy},
    };

    fn sequence(prompt: usize, max_tokens: u32) -> Sequence {
        let path = toy("phi4_fast");
        let rules = Rules { temperature: 0.0, ..Rules::default() };
        let job = Job {
            prompt: vec![1; prompt],
            images: Vec::new(),
            max_tokens,
            sampler: Sampler::new(rules, &[]),
            stops: Stops::new(&[]).unwrap(),
            constraint: None,
            logprobs: None,
            ends: BTreeSet::new(),
            min_tokens: 0,
            progress: Progress::default(),
            prompt_format: Arc::new(toy_format("phi4_fast")),
            events: TokenStream::open("a", 1).0,
            submitted: Instant::now(),
            loading: None,
            _hold: Box::new(()),
        };
        Sequence::start(
            Box::new(job),
            &Checkpoint::open(&path).unwrap().load(&Compute::serving()).unwrap(),
        )
    }

    #[test]
    fn the_rotary_regime_is_that_of_the_longest_it_can_become() {
        let is_long = |prompt, max_tokens| sequence(prompt, max_tokens).cache.is_long();
        assert!(!is_long(500, 12));
        assert!(is_long(500, 13));
        assert!(is_long(1, 512));
        assert!(is_long(513, 1));
    }

    /// Feeds a step with `budget`, and says how many tokens it took.
    fn feed(sequence: &mut Sequence, mut budget: usize) -> Option<usize> {
        let chunk = sequence.next_chunk(&mut budget)?;
        let tokens = chunk.tokens.len();
        chunk.cache.advance(tokens);
        Some(tokens)
    }

    fn seen(span: std::ops::Range<usize>) -> Picture {
        Picture { span, features: Vec::new() }
    }

    #[test]
    fn a_picture_longer_than_a_chunk_waits_for_a_step_of_its_own() {
        let mut sequence = sequence(400, 1);
        sequence.pictures = vec![seen(10..266), seen(270..290)];
        assert_eq!(feed(&mut sequence, PREFILL_CHUNK), Some(10), "up to the picture");
        assert_eq!(feed(&mut sequence, PREFILL_CHUNK - 1), None, "others have a part of the step");
        assert_eq!(feed(&mut sequence, PREFILL_CHUNK), Some(256), "whole");
        assert_eq!(feed(&mut sequence, 20), Some(4));
        assert_eq!(feed(&mut sequence, 19), None);
        assert_eq!(feed(&mut sequence, 20), Some(20));
        assert_eq!(feed(&mut sequence, PREFILL_CHUNK), Some(110), "the rest");
    }

    #[test]
    fn nothing_is_fed_beyond_a_picture_that_was_not_looked_at() {
        let mut sequence = sequence(40, 1);
        let image = crate::Image::raw(1, 1, vec![0; 3]);
        sequence.unseen = [Placed { span: 10..14, image }].into();
        assert_eq!(feed(&mut sequence, PREFILL_CHUNK), Some(10));
        assert_eq!(feed(&mut sequence, PREFILL_CHUNK), None);
        sequence.unseen.clear();
        sequence.pictures = vec![seen(10..14)];
        assert_eq!(feed(&mut sequence, PREFILL_CHUNK), Some(30));
    }
}
