//! What came of a call, as the router that decided it is told: plain data with public fields.

/// Whose it was that a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The client's.
    Client,
    /// A policy's.
    Policy,
    /// The expert's.
    Expert,
    /// The host's.
    Host,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallEnd {
    /// The reply is whole.
    Whole,
    /// It has as many tokens as it may.
    Length,
    /// A policy ended it.
    Stopped,
    /// There was no reply, or it ended early.
    Failed(Fault),
    /// The client went away.
    Left,
}

/// What a caller thinks of a reply.
#[derive(Debug, Clone, PartialEq)]
pub struct Rating {
    /// -1 to 1.
    pub value: f32,
    /// What it says of it.
    pub note: Option<String>,
}

/// What came of a call. Tokens are those of all experts together where several were asked.
#[derive(Debug, Clone, PartialEq)]
pub struct CallOutcome {
    /// Who answered; `None` when nobody began to.
    pub expert: Option<String>,
    /// How it ended.
    pub end: CallEnd,
    /// Milliseconds from received to the first text; `None` when none came.
    pub first_text_ms: Option<u32>,
    /// Milliseconds from received to the end.
    pub total_ms: u32,
    /// Tokens of the prompt.
    pub prompt_tokens: Option<u32>,
    /// Those of them that were computed for an earlier call.
    pub cached_tokens: Option<u32>,
    /// Tokens that were generated.
    pub completion_tokens: Option<u32>,
    /// What its caller thinks of it; `None` until it says so.
    pub rating: Option<Rating>,
}
