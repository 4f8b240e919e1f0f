//! How a reply ended, what it cost and how long it took.

use signalbox_engine::{Finish, Timings, Usage};
use signalbox_policy::PolicyRef;

/// How a reply ended and what it cost.
#[derive(Debug, Clone)]
pub(crate) struct End {
    /// Why it ended.
    pub(crate) ending: Ending,
    /// Tokens of all experts that worked on it; absent when a policy stopped the expert early.
    pub(crate) usage: Option<Usage>,
    /// Measured times.
    pub(crate) performance: Performance,
}

/// Why a reply ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The expert ended it.
    Expert(Finish),
    /// A post policy ended it.
    Stopped(PolicyRef),
    /// The expert calls tools, and waits for what they answer.
    Called,
}

/// Measured times of one reply, in seconds; absent when nothing was measured.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Performance {
    /// From received to the first text for the client.
    pub(crate) first_text: Option<f64>,
    /// From received to the end.
    pub(crate) total: f64,
    /// Decode speed: tokens after the first one per second.
    pub(crate) tokens_per_second: Option<f64>,
    /// The engine's own account; absent when no expert finished.
    pub(crate) engine: Option<Timings>,
}
