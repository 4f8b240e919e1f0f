//! Where a reply's text comes from: an expert, or somebody's whole answer, through the post policies.

use std::{collections::VecDeque, time::Duration};

use futures_util::StreamExt;
use signalbox_engine::{Event, Finish, Timings, Usage};
use signalbox_policy::{Ending, PostChain, Release};
use tokio::time::Instant;

use super::{
    experts::{Opened, Tokens, cut_off},
    refusal::Refusal,
};

/// Where a reply's text comes from.
pub(super) struct Source {
    /// The expert that answers, or the policy that answered instead.
    pub(super) model: String,
    /// Events that are there already; they come before the tokens.
    ready: VecDeque<Event>,
    tokens: Option<Tokens>,
    post: Option<PostChain>,
    /// How long the newest event was waited for.
    waited: Duration,
    /// What other experts spent on this reply.
    spent: Usage,
}

impl Source {
    /// An expert that has begun to answer.
    pub(super) fn expert(opened: Opened, spent: Usage) -> Self {
        let Opened { expert: model, first, tokens } = opened;
        Self {
            model,
            ready: VecDeque::from([first]),
            tokens: Some(tokens),
            post: None,
            waited: Duration::ZERO,
            spent,
        }
    }

    /// An expert's answer that is complete; `spent` includes it.
    pub(super) fn whole(
        model: String,
        text: String,
        reason: Finish,
        spent: Usage,
        timings: Timings,
    ) -> Self {
        let finished = Event::Finished { reason, usage: Usage::default(), timings };
        let ready = [Event::Text(text), finished].into();
        Self { model, ready, tokens: None, post: None, waited: Duration::ZERO, spent }
    }

    /// A policy's own answer: no expert was asked, so it cost no tokens.
    pub(super) fn said(policy: String, text: String) -> Self {
        Self::whole(policy, text, Finish::Stop, Usage::default(), Timings::default())
    }

    /// The same, seen through the post policies.
    pub(super) fn through(self, post: PostChain) -> Self {
        Self { post: (!post.is_empty()).then_some(post), ..self }
    }

    /// The next event of the expert's.
    pub(super) async fn event(&mut self) -> Result<Event, Refusal> {
        if let Some(event) = self.ready.pop_front() {
            return Ok(event);
        }
        let asked = Instant::now();
        let event = match &mut self.tokens {
            Some(tokens) => tokens.next().await,
            None => None,
        };
        self.waited = asked.elapsed();
        event.ok_or_else(|| cut_off(&self.model).into())
    }

    /// Text through the post policies.
    pub(super) async fn push(&mut self, text: String) -> Result<Release, Refusal> {
        match &mut self.post {
            Some(post) => Ok(post.push(text, self.waited).await?),
            None => Ok(Release { text, stop: None }),
        }
    }

    /// What the post policies still hold at the end, which is this.
    pub(super) async fn finish(&mut self, ending: Ending) -> Result<Release, Refusal> {
        match &mut self.post {
            Some(post) => Ok(post.finish(ending).await?),
            None => Ok(Release { text: String::new(), stop: None }),
        }
    }

    /// Whether an expert works on it, or has worked on it.
    pub(super) fn is_experts(&self, timings: Timings) -> bool {
        self.tokens.is_some() || timings != Timings::default()
    }

    /// What the whole reply cost, when its last expert says what it spent.
    pub(super) fn cost(&self, usage: Usage) -> Usage {
        add(usage, self.spent)
    }

    /// Cancels the generation within one step.
    pub(super) fn cancel(&mut self) {
        self.tokens = None;
    }
}

/// The sum of two costs.
pub(super) fn add(a: Usage, b: Usage) -> Usage {
    Usage {
        prompt_tokens: a.prompt_tokens.saturating_add(b.prompt_tokens),
        cached_tokens: a.cached_tokens.saturating_add(b.cached_tokens),
        completion_tokens: a.completion_tokens.saturating_add(b.completion_tokens),
    }
}
