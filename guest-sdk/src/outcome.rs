//! What came of a call, as a router that learns is told.

use std::time::Duration;

use crate::bindings::signalbox::policy::outcomes;
use crate::host;

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallEnd {
    /// The reply is whole, or calls a tool.
    Whole,
    /// The reply has as many tokens as it may.
    Length,
    /// A policy ended the reply.
    Stopped,
    /// There was no reply, or it ended early.
    Failed(Blame),
    /// The client went away before the end.
    Left,
    /// An end newer than this SDK, by its name.
    Other(String),
}

/// Whose it was that a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Blame {
    /// The client's: it asked for what the expert can't do.
    Client,
    /// A policy's.
    Policy,
    /// The expert's.
    Expert,
    /// The host's: no room, no time, a silence that was too long.
    Host,
    /// One newer than this SDK, by its name.
    Other(String),
}

impl From<outcomes::End> for CallEnd {
    fn from(end: outcomes::End) -> Self {
        match end {
            outcomes::End::Whole => Self::Whole,
            outcomes::End::Length => Self::Length,
            outcomes::End::Stopped => Self::Stopped,
            outcomes::End::Failed(blame) => Self::Failed(blame.into()),
            outcomes::End::Left => Self::Left,
            outcomes::End::Other(name) => Self::Other(name),
        }
    }
}

impl From<outcomes::Blame> for Blame {
    fn from(blame: outcomes::Blame) -> Self {
        match blame {
            outcomes::Blame::Client => Self::Client,
            outcomes::Blame::Policy => Self::Policy,
            outcomes::Blame::Expert => Self::Expert,
            outcomes::Blame::Host => Self::Host,
            outcomes::Blame::Other(name) => Self::Other(name),
        }
    }
}

/// What came of a call. Tokens are those of all experts together where several were asked.
#[derive(Debug)]
pub struct CallOutcome<'a>(pub(crate) host::Outcome<'a>);

impl CallOutcome<'_> {
    /// Who answered, in a consensus the judge; `None` when nobody began to.
    pub fn expert(&self) -> Option<String> {
        self.0.expert()
    }

    /// How it ended.
    pub fn end(&self) -> CallEnd {
        self.0.end().into()
    }

    /// From received to the first text; `None` when none came.
    pub fn first_text(&self) -> Option<Duration> {
        self.0.first_text_ms().map(milliseconds)
    }

    /// From received to the end.
    pub fn total(&self) -> Duration {
        milliseconds(self.0.total_ms())
    }

    /// Tokens of the prompt.
    pub fn prompt_tokens(&self) -> Option<u32> {
        self.0.prompt_tokens()
    }

    /// Tokens of the prompt that were computed for an earlier call.
    pub fn cached_tokens(&self) -> Option<u32> {
        self.0.cached_tokens()
    }

    /// Tokens that were generated.
    pub fn completion_tokens(&self) -> Option<u32> {
        self.0.completion_tokens()
    }

    /// What its caller thinks of the reply, -1 to 1; `None` until it says so.
    pub fn rating(&self) -> Option<f32> {
        self.0.rating()
    }

    /// What its caller says of it beside.
    pub fn note(&self) -> Option<String> {
        self.0.note()
    }
}

fn milliseconds(ms: u32) -> Duration {
    Duration::from_millis(u64::from(ms))
}
