//! How a reply ended and what it cost, as `post` policies are told at its end.

/// Why a reply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The expert had said everything, or came to a text that it was to end before.
    Stop,
    /// It had as many tokens as it may.
    Length,
    /// A policy before this one ended it.
    Policy,
}

/// How a reply ended. Tokens are those of all experts together where several were asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// Why.
    pub reason: Reason,
    /// Tokens of the prompt; `None` where a policy ended the reply before they were known.
    pub prompt_tokens: Option<u32>,
    /// Those of them that were computed for an earlier call.
    pub cached_tokens: Option<u32>,
    /// Tokens that were generated.
    pub completion_tokens: Option<u32>,
}

impl Ending {
    /// The reply was complete after so many tokens.
    pub fn of(reason: Reason, prompt: u32, cached: u32, completion: u32) -> Self {
        let (prompt_tokens, cached_tokens) = (Some(prompt), Some(cached));
        Self { reason, prompt_tokens, cached_tokens, completion_tokens: Some(completion) }
    }

    /// A policy ended it: what it cost is not known yet.
    pub(crate) fn by_policy() -> Self {
        let reason = Reason::Policy;
        Self { reason, prompt_tokens: None, cached_tokens: None, completion_tokens: None }
    }

    /// What the reply of a probe ends with.
    pub(super) fn probe(pieces: u32) -> Self {
        Self::of(Reason::Stop, 1, 0, pieces)
    }
}
