//! One running call: its cache, what is still to be fed, and the text that leaves it.

mod memory;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, VecDeque},
    ops::Range,
    sync::atomic::Ordering::Relaxed,
    time::Instant,
};

use super::{Counters, Job, logprobs::weigh, lookup::Lookup};
use crate::{
    EngineError, Event, Finish, Stage, Timings, Usage,
    cache::KvCache,
    constraint::Constraint,
    model::{Chunk, Model, PREFILL_CHUNK},
    tokenizer::Detokenizer,
    vision::{Picture, Placed, chunk_end},
};

/// A call between its first step and its end, or until it yields its memory to others and begins anew.
pub(super) struct Sequence {
    job: Box<Job>,
    cache: KvCache,
    /// The prompt and what was generated so far.
    tokens: Vec<u32>,
    /// How many of them are in the cache, or in the step under way.
    fed: usize,
    /// Tokens behind them in the step under way that are a guess.
    guess: Vec<u32>,
    /// Pictures of the prompt that are not encoded yet.
    unseen: VecDeque<Placed>,
    /// Pictures that are encoded and not fed yet.
    pictures: Vec<Picture>,
    /// Where pictures stand in the prompt, and what tells them apart.
    fingerprints: Vec<(Range<usize>, u64)>,
    /// It has taken part in a step since it last began.
    begun: bool,
    /// Prompt tokens that were not computed for this call; `None` before its first step.
    cached: Option<usize>,
    generated: u32,
    lookup: Lookup,
    detokenizer: Detokenizer,
    admitted: Option<Instant>,
    first_token: Option<Instant>,
    ended: bool,
}

impl Sequence {
    /// Models with two rotary regimes use the long one from a certain length on, and keys of one mean
    /// nothing in the other: the longest that this call can grow decides.
    pub(super) fn new(mut job: Box<Job>, model: &Model) -> Self {
        job.progress.spend_prompt(job.prompt_tokens());
        let images = std::mem::take(&mut job.images);
        let fingerprint = |placed: &Placed| (placed.span.clone(), placed.image.fingerprint());
        Self {
            cache: model.new_cache(job.most_tokens()),
            tokens: job.prompt.clone(),
            fed: 0,
            guess: Vec::new(),
            fingerprints: images.iter().map(fingerprint).collect(),
            unseen: images.into(),
            pictures: Vec::new(),
            begun: false,
            cached: None,
            generated: 0,
            lookup: Lookup::new(&job.prediction, &job.prompt),
            detokenizer: Detokenizer::new(job.prompt_format.tokenizer.clone()),
            job,
            admitted: None,
            first_token: None,
            ended: false,
        }
    }

    /// From now on it is among those that run.
    pub(super) fn admit(&mut self) {
        self.admitted.get_or_insert_with(Instant::now);
        self.tell_prefill();
    }

    /// So many calls are before it.
    pub(super) fn wait_behind(&self, before: usize) {
        if self.first_token.is_none() {
            self.job.progress.is_at(Stage::Queued { before });
        }
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

    /// Whether nothing was computed of it but what it shares with others.
    pub(super) fn waits_for_its_first_step(&self) -> bool {
        !self.begun
    }

    /// Whose sequences share beginnings with it.
    pub(super) fn scope(&self) -> u64 {
        self.job.scope
    }

    /// Whether its keys are rotated for long contexts.
    pub(super) fn is_long(&self) -> bool {
        self.cache.is_long()
    }

    /// A guess at no more than `most` tokens that come next.
    pub(super) fn lookahead(&self, most: usize) -> &[u32] {
        let rest = (self.job.max_tokens - self.generated).saturating_sub(1) as usize;
        if self.decodes() && self.job.weighing.is_none() {
            self.lookup.guess(most.min(rest))
        } else {
            &[]
        }
    }

    /// The chance that a guessed token is right.
    pub(super) fn chance(&self) -> f32 {
        self.lookup.chance()
    }

    /// Takes this sequence's part of the next step: `share` tokens of those that are not fed yet, and a guess
    /// of at most `guessed` behind them.
    pub(super) fn chunk(&mut self, share: usize, guessed: usize) -> Chunk<'_> {
        self.begun = true;
        self.cached.get_or_insert(self.fed);
        self.guess = self.lookahead(guessed).to_vec();
        let from = self.fed;
        self.fed += share;
        let whole = self.fed == self.tokens.len();
        self.tokens.extend(&self.guess);
        Chunk {
            cache: &mut self.cache,
            tokens: &self.tokens[from..from + share + self.guess.len()],
            wanted: if whole { 1 + self.guess.len() } else { 0 },
            pictures: &self.pictures,
        }
    }

    /// How many tokens are fed next: up to the first picture that is not encoded, without splitting
    /// any, and within `budget`. A picture longer than all of it has a step of its own. Zero waits for a later
    /// step.
    pub(super) fn share(&self, budget: usize) -> usize {
        if self.tokens.len() - self.fed == 1 {
            return 1;
        }
        let known = self.unseen.front().map_or(self.tokens.len(), |next| next.span.start);
        let to = known.min(self.fed + budget);
        let spans = self.pictures.iter().map(|picture| &picture.span);
        let share = chunk_end(spans, self.fed, to) - self.fed;
        let waits = share > budget && budget < PREFILL_CHUNK;
        if waits { 0 } else { share }
    }

    /// Takes the logits `(wanted)(vocab)` of the step: the token behind what was fed, and then the guess as far
    /// as the model agrees with it, each with the token behind it.
    pub(super) fn advance(&mut self, logits: &mut [Vec<f32>], expert: &str, counters: &Counters) {
        self.pictures.retain(|picture| picture.span.end > self.fed);
        if logits.is_empty() {
            return self.tell_prefill();
        }
        if self.first_token.is_none() {
            self.first_token = Some(Instant::now());
            self.job.progress.is_at(Stage::Generating);
        }
        if self.job.weighing.is_some() {
            return self.weigh(&logits[0], expert, counters);
        }
        let guess = std::mem::take(&mut self.guess);
        self.tokens.truncate(self.fed);
        // What was not tried tells as well what guesses are worth now.
        let untried = guess.is_empty().then(|| self.lookup.guess(1).first().copied()).flatten();
        let mut right = 0;
        for (index, logits) in logits.iter_mut().enumerate() {
            let token = match self.draw(logits, expert) {
                Ok(token) => token,
                Err(error) => return self.fail(error),
            };
            counters.completion_tokens.fetch_add(1, Relaxed);
            self.job.progress.spend_token();
            if let Some(untried) = untried {
                self.lookup.fared(usize::from(untried == token), 1);
            }
            if let Some(reason) = self.accept(token) {
                self.finish(reason, counters);
                break;
            }
            if guess.get(index) != Some(&token) {
                break;
            }
            right += 1;
            self.fed += 1;
        }
        if !guess.is_empty() {
            counters.guessed.fetch_add(guess.len() as u64, Relaxed);
            counters.guessed_right.fetch_add(right as u64, Relaxed);
            self.lookup.fared(right, guess.len());
        }
        self.cache.truncate(self.fed);
    }

    /// Weighs what may come here, and goes to the next place where something is to be weighed.
    fn weigh(&mut self, logits: &[f32], expert: &str, counters: &Counters) {
        let Some(weighing) = &mut self.job.weighing else { return };
        if !weighing.take(logits) {
            return self.fail(damaged(expert));
        }
        match weighing.place() {
            Some(place) => {
                self.tokens.truncate(self.job.prompt.len());
                self.tokens.extend(place);
                self.fed = self.tokens.len() - 1;
                self.cache.truncate(self.fed);
            }
            None => {
                let _ = self.job.events.send(Event::Weighed(weighing.logprobs())); // nobody may listen
                self.finish(Finish::Stop, counters);
            }
        }
    }

    fn tell_prefill(&self) {
        if self.first_token.is_none() {
            let (done, of) = (self.fed, self.tokens.len());
            self.job.progress.is_at(Stage::Prefill { done, of });
        }
    }

    /// The next token, from logits `(vocab)`, of which some are changed for it.
    fn draw(&mut self, logits: &mut [f32], expert: &str) -> Result<u32, EngineError> {
        let job = &mut *self.job;
        let invalid = |message| EngineError::InvalidRequest { message };
        let weights = job.logprobs.map(|top| (top, logits.to_vec()));
        let mask = job.constraint.as_mut().map(Constraint::mask).transpose().map_err(invalid)?;
        let barred = if self.generated < job.min_tokens { &job.ends } else { &BTreeSet::new() };
        let drawn = job.sampler.sample(logits, mask.flatten().as_ref(), barred);
        let token = drawn.ok_or_else(|| damaged(expert))?;
        let accepted = job.constraint.as_mut().map(|constraint| constraint.accept(token));
        accepted.transpose().map_err(invalid)?;
        if let Some((top, weights)) = weights.filter(|_| !job.ends.contains(&token))
            && let Some(weighed) = weigh(&weights, token, top, &job.prompt_format.tokenizer)
        {
            let _ = job.events.send(Event::Logprobs(vec![weighed])); // nobody may listen
        }
        Ok(token)
    }

    fn accept(&mut self, token: u32) -> Option<Finish> {
        self.lookup.push(token);
        self.tokens.push(token);
        self.generated += 1;
        if self.job.ends.contains(&token) {
            return Some(self.say_rest(Finish::Stop));
        }
        let piece = self.detokenizer.push(token);
        if let Some(which) = self.say(&piece) {
            return Some(Finish::StopString(which));
        }
        if self.job.constraint.as_ref().is_some_and(Constraint::is_over) {
            return Some(self.say_rest(Finish::Stop));
        }
        (self.generated >= self.job.max_tokens).then(|| self.say_rest(Finish::Length))
    }

    /// Sends what of this text may be shown; says which stop string ends the reply.
    fn say(&mut self, piece: &str) -> Option<usize> {
        if self.generated < self.job.min_tokens {
            self.send_text(piece.to_owned());
            return None;
        }
        let released = self.job.stops.push(piece);
        self.send_text(released.text);
        released.stopped
    }

    /// Sends all that was held back, unless a stop string ends the reply before.
    fn say_rest(&mut self, reason: Finish) -> Finish {
        let rest = self.detokenizer.finish();
        if let Some(which) = self.say(&rest) {
            return Finish::StopString(which);
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
        let admitted = self.admitted.unwrap_or(self.job.submitted);
        let first_token = self.first_token.unwrap_or(admitted);
        let timings = Timings {
            queued: admitted - self.job.submitted,
            loading: self.job.loading,
            prefill: first_token - admitted,
            decode: first_token.elapsed(),
        };
        let prompt_tokens = self.job.prompt_tokens();
        let cached_tokens = u32::try_from(self.cached.unwrap_or(0)).unwrap_or(prompt_tokens);
        let usage = Usage { prompt_tokens, cached_tokens, completion_tokens: self.generated };
        counters.cached_tokens.fetch_add(u64::from(cached_tokens), Relaxed);
        counters.finished(self.generated.saturating_sub(1), timings.decode, admitted.elapsed());
        let _ = self.job.events.send(Event::Finished { reason, usage, timings });
        self.ended = true;
    }

    /// Ends the reply early.
    pub(super) fn fail(&mut self, error: EngineError) {
        let _ = self.job.events.send(Event::Failed(error));
        self.ended = true;
        self.cache.truncate(0); // nobody is to go on with it
    }
}

/// A model whose logits are no numbers.
fn damaged(expert: &str) -> EngineError {
    EngineError::Crashed {
        expert: expert.to_owned(),
        problem: "the model returned no finite number; its weights may be damaged".into(),
    }
}
