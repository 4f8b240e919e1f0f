//! How a reply ended, as a [`Post`](crate::Post) policy is told.

use crate::bindings::signalbox::policy::types;
use crate::host;

/// Why a reply ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FinishReason {
    /// The expert had said everything, or came to a text that it was to end before.
    Stop,
    /// It had as many tokens as it may.
    Length,
    /// A policy before this one ended it.
    Policy,
    /// A reason newer than this SDK, by its name.
    Other(String),
}

impl From<types::FinishReason> for FinishReason {
    fn from(reason: types::FinishReason) -> Self {
        match reason {
            types::FinishReason::Stop => Self::Stop,
            types::FinishReason::Length => Self::Length,
            types::FinishReason::Policy => Self::Policy,
            types::FinishReason::Other(name) => Self::Other(name),
        }
    }
}

/// How a reply ended and what it cost. Tokens are those of all experts together where several were
/// asked, and `None` when a policy before this one ended the reply.
#[derive(Debug)]
pub struct Ending<'a>(pub(crate) host::Ending<'a>);

impl Ending<'_> {
    /// Why it ended.
    pub fn reason(&self) -> FinishReason {
        self.0.reason().into()
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
}
