//! The three hooks, and what they answer with.

use std::time::Duration;

use crate::{Edits, Expert, Request};

/// Before routing: look at a call, edit it, answer it, or refuse it.
pub trait Pre {
    /// Called once per call, in pipeline order.
    ///
    /// # Errors
    /// A refusal ends the call; the client reads its message.
    fn handle(request: &Request, edits: &Edits) -> Result<Outcome, Refusal>;
}

/// Routing: choose who answers. Exactly one route policy is active.
pub trait Route {
    /// Called when the client did not name an expert. `experts` is the menu of this moment.
    ///
    /// # Errors
    /// A refusal ends the call; the client reads its message.
    fn choose(request: &Request, experts: &[Expert]) -> Result<Decision, Refusal>;
}

/// After generation starts: look at the reply while it streams. One value per reply.
///
/// The *window* is the text held so far with the new text behind it, always whole characters. The
/// host bounds what may be held, in bytes and in milliseconds.
pub trait Post: Sized + 'static {
    /// Called when `expert` begins to answer `request`.
    fn open(request: &Request, expert: &str) -> Self;

    /// New text arrived.
    fn push(&mut self, window: &str) -> Action;

    /// The reply is complete; `window` is what is still held and may be empty. [`Action::Hold`] and
    /// a kept tail are invalid here.
    fn finish(&mut self, window: &str) -> Action {
        let _ = window;
        Action::Emit
    }
}

/// What happens to a call after a [`Pre`] hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Go on, with the edits that were made.
    Proceed,
    /// Answer with this text; no expert is asked.
    Answer(String),
}

/// What happens to the window of a [`Post`] hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send it as it is.
    Emit,
    /// Keep it; the next window begins with it.
    Hold,
    /// Send other text for all but a kept tail.
    Replace {
        /// What the client gets.
        text: String,
        /// How many bytes at the end of the window stay held. Must fall on a character border.
        keep: usize,
    },
    /// Send this text and end the reply; the expert stops.
    Stop(String),
}

/// A router's choice and its grounds. Reason and tags are shown to operators and, shortened, to
/// clients.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Who answers.
    pub plan: Plan,
    /// One line, for people.
    pub reason: String,
    /// 0 to 1.
    pub confidence: f32,
    /// Free-form labels for the decision log.
    pub tags: Vec<(String, String)>,
}

impl Decision {
    /// This expert answers. Confidence is 1 until [`Decision::confidence`] says otherwise.
    pub fn to(expert: impl Into<String>) -> Self {
        Self::plan(Plan::Expert(expert.into()))
    }

    /// The first of these experts that can answer does.
    pub fn first_of<I: Into<String>>(experts: impl IntoIterator<Item = I>) -> Self {
        Self::plan(Plan::Fallback(experts.into_iter().map(I::into).collect()))
    }

    /// Any plan.
    pub fn plan(plan: Plan) -> Self {
        Self { plan, reason: String::new(), confidence: 1.0, tags: Vec::new() }
    }

    /// Gives the reason: one line, for people.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }

    /// Says how sure the router is, 0 to 1.
    #[must_use]
    pub fn confidence(mut self, confidence: f32) -> Self {
        self.confidence = confidence;
        self
    }

    /// Adds a label for the decision log.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push((key.into(), value.into()));
        self
    }
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// This expert.
    Expert(String),
    /// The first of these that can answer.
    Fallback(Vec<String>),
    /// Several experts, one answer.
    Consensus {
        /// Expert ids, two or more.
        members: Vec<String>,
        /// Who merges the answers; `None` means the first member.
        judge: Option<String>,
        /// How the members work.
        mode: Mode,
    },
}

/// How the members of a consensus work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All members answer the same call; the judge sees every answer.
    Parallel,
    /// Each member sees the answers before its own.
    Turns,
}

/// A call turned away on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why, for programs.
    pub kind: RefusalKind,
    /// Why, for the client. Say what to do about it.
    pub message: String,
}

/// Why a policy turned a call away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The call is not allowed (HTTP 403).
    Forbidden,
    /// The call is too large (HTTP 413).
    TooLarge,
    /// Too many calls; retry after this long (HTTP 429).
    RateLimited(Duration),
    /// Something else, by a short stable code (HTTP 422).
    Other(String),
}

impl Refusal {
    /// The call is not allowed (HTTP 403).
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self { kind: RefusalKind::Forbidden, message: message.into() }
    }

    /// The call is too large (HTTP 413).
    pub fn too_large(message: impl Into<String>) -> Self {
        Self { kind: RefusalKind::TooLarge, message: message.into() }
    }

    /// Too many calls; the client may retry after `retry` (HTTP 429).
    pub fn rate_limited(retry: Duration, message: impl Into<String>) -> Self {
        Self { kind: RefusalKind::RateLimited(retry), message: message.into() }
    }

    /// Something else, by a short stable `code` (HTTP 422).
    pub fn other(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind: RefusalKind::Other(code.into()), message: message.into() }
    }
}
