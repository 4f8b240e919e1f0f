//! What an expert's thread is sent.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::mpsc::UnboundedSender;

use super::Weighing;
use crate::{
    Event, Priority, Progress, constraint::Constraint, prompt_format::PromptFormat,
    sampler::Sampler, tokenizer::Stops, vision::Placed,
};

/// All commands of a running expert.
pub(super) enum Command<J> {
    /// Answer this.
    Submit(Box<J>),
    /// End the calls that run and free the model.
    Stop,
}

/// One call, prepared: everything its expert needs to answer it.
pub(crate) struct Job {
    /// Ids below the vocabulary size, at least one, fewer than the context.
    pub(crate) prompt: Vec<u32>,
    /// Pictures to look at, and their places in the prompt.
    pub(crate) images: Vec<Placed>,
    /// What much of the reply may be: it is tried, and changes no token.
    pub(crate) prediction: Vec<u32>,
    /// Beginnings that calls have in common are computed once within a scope.
    pub(crate) scope: u64,
    /// Whether it goes before others.
    pub(crate) priority: Priority,
    /// At least one; together with the prompt within the context.
    pub(crate) max_tokens: u32,
    /// So many come before anything but `max_tokens` ends the reply.
    pub(crate) min_tokens: u32,
    pub(crate) sampler: Sampler,
    pub(crate) stops: Stops,
    /// What the reply has to look like; `None` where it is free.
    pub(crate) constraint: Option<Constraint>,
    /// What is weighed instead of a reply; `None` where there is to be one.
    pub(crate) weighing: Option<Weighing>,
    /// Whether log probabilities are wanted, and of how many other tokens for each.
    pub(crate) logprobs: Option<u32>,
    /// Tokens that end the reply.
    pub(crate) ends: BTreeSet<u32>,
    pub(crate) prompt_format: Arc<PromptFormat>,
    /// Unbounded, so that a slow client never holds up the others; `max_tokens` bounds what it
    /// holds.
    pub(crate) events: UnboundedSender<Event>,
    pub(crate) progress: Progress,
    pub(crate) submitted: Instant,
    /// How long this call waited for the expert to load.
    pub(crate) loading: Option<Duration>,
    /// Dropped with the job: while it lives, the expert is not idle.
    pub(crate) _hold: Box<dyn Send>,
}

impl Job {
    pub(crate) fn prompt_tokens(&self) -> u32 {
        u32::try_from(self.prompt.len()).unwrap_or(u32::MAX)
    }

    /// Tokens the KV cache may come to hold for this job. Decides its rotary regime, once and for all.
    pub(super) fn most_tokens(&self) -> usize {
        self.prompt.len() + self.max_tokens as usize
    }
}

/// How much one expert may do at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Sequences that run together.
    pub(crate) sequences: usize,
    /// Blocks of KV cache that they and what is kept of others hold together. One sequence always runs.
    pub(crate) kv_blocks: usize,
    /// Tokens of a reply are guessed ahead where that pays.
    pub(crate) guesses: bool,
}
