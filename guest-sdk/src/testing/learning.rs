//! Outcomes for native unit tests of routers that learn.

use std::time::Duration;

use crate::bindings::signalbox::policy::outcomes;
use crate::native;
use crate::{Blame, CallEnd, CallOutcome, Decided, Decision, Plan};

/// A call that `expert` answered: the reply is whole, its first text came after 100 ms and its end after a second. Finish with
/// [`OutcomeBuilder::build`].
pub fn outcome(expert: &str) -> OutcomeBuilder {
    OutcomeBuilder(native::Outcome {
        expert: Some(expert.to_owned()),
        end: outcomes::End::Whole,
        first_text_ms: Some(100),
        total_ms: 1000,
        prompt_tokens: Some(1),
        cached_tokens: Some(0),
        completion_tokens: Some(1),
        rating: None,
        note: None,
        borrow: Default::default(),
    })
}

/// Makes a [`CallOutcome`].
#[derive(Clone, Debug)]
pub struct OutcomeBuilder(native::Outcome<'static>);

impl OutcomeBuilder {
    /// How the call ended.
    #[must_use]
    pub fn end(mut self, end: CallEnd) -> Self {
        self.0.end = match end {
            CallEnd::Whole => outcomes::End::Whole,
            CallEnd::Length => outcomes::End::Length,
            CallEnd::Stopped => outcomes::End::Stopped,
            CallEnd::Failed(blame) => outcomes::End::Failed(to_host(blame)),
            CallEnd::Left => outcomes::End::Left,
            CallEnd::Other(name) => outcomes::End::Other(name),
        };
        self
    }

    /// Nobody began to answer.
    #[must_use]
    pub fn unanswered(mut self) -> Self {
        (self.0.expert, self.0.first_text_ms, self.0.completion_tokens) = (None, None, None);
        self
    }

    /// When the first text came, and when the call ended.
    #[must_use]
    pub fn took(mut self, first_text: Duration, total: Duration) -> Self {
        let ms = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        (self.0.first_text_ms, self.0.total_ms) = (Some(ms(first_text)), ms(total));
        self
    }

    /// Tokens of the prompt, those of them that were computed before, and those that were generated.
    #[must_use]
    pub fn tokens(mut self, prompt: u32, cached: u32, completion: u32) -> Self {
        self.0.prompt_tokens = Some(prompt);
        self.0.cached_tokens = Some(cached);
        self.0.completion_tokens = Some(completion);
        self
    }

    /// What the caller thinks of the reply, -1 to 1.
    #[must_use]
    pub fn rating(mut self, rating: f32) -> Self {
        self.0.rating = Some(rating);
        self
    }

    /// What the caller says of it beside.
    #[must_use]
    pub fn note(mut self, note: &str) -> Self {
        self.0.note = Some(note.to_owned());
        self
    }

    /// The outcome.
    pub fn build(self) -> CallOutcome<'static> {
        CallOutcome(self.0)
    }
}

fn to_host(blame: Blame) -> outcomes::Blame {
    match blame {
        Blame::Client => outcomes::Blame::Client,
        Blame::Policy => outcomes::Blame::Policy,
        Blame::Expert => outcomes::Blame::Expert,
        Blame::Host => outcomes::Blame::Host,
        Blame::Other(name) => outcomes::Blame::Other(name),
    }
}

/// A decision as the host tells it again.
pub fn decided(decision: &Decision) -> Decided {
    let experts = match &decision.plan {
        Plan::Expert(expert) => vec![expert.clone()],
        Plan::Fallback(experts) => experts.clone(),
        Plan::Consensus { members, judge, .. } => members.iter().chain(judge).cloned().collect(),
    };
    let Decision { reason, confidence, tags, .. } = decision.clone();
    Decided { experts, reason, confidence, tags }
}
