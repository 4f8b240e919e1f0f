//! What policies decide: plain data, already validated by the host.

use crate::{Call, PolicyRef};

/// What the `pre` policies made of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum PreVerdict {
    /// Route this call.
    Proceed(Call),
    /// A policy answered by itself.
    Answer {
        /// Who answered.
        policy: PolicyRef,
        /// The answer.
        text: String,
        /// The call as the policies before left it.
        call: Call,
    },
}

/// How the members of a consensus work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsensusMode {
    /// All members answer the same call.
    Parallel,
    /// Each member sees the answers before its own.
    Turns,
}

/// Who answers. Every expert named here was on the menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// This expert.
    Expert(String),
    /// The first of these that can answer; never empty.
    Fallback(Vec<String>),
    /// Several experts and a judge.
    Consensus {
        /// Two or more expert ids.
        members: Vec<String>,
        /// Who merges the answers; `None` means the first member.
        judge: Option<String>,
        /// How the members work.
        mode: ConsensusMode,
    },
}

/// A router's choice and its grounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Who chose.
    pub policy: PolicyRef,
    /// Who answers.
    pub plan: Plan,
    /// The policy's own words, for people; any characters but NUL.
    pub reason: String,
    /// 0 to 1.
    pub confidence: f32,
    /// Labels for the decision log.
    pub tags: Vec<(String, String)>,
}

/// Text that the `post` policies let through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Release {
    /// What the client gets now; may be empty.
    pub text: String,
    /// Set when a policy ended the reply: send `text`, then stop the expert.
    pub stop: Option<PolicyRef>,
}
