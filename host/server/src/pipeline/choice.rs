//! Who is to answer a call, and who said so.

use std::fmt;

use signalbox_policy::{Plan, PolicyRef, Told};

/// A plan and its grounds.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    /// Who chose.
    pub(crate) route: Route,
    /// Who is to answer.
    pub(crate) plan: Plan,
    /// One line, for people.
    pub(crate) reason: String,
    /// The router's own measure, 0 to 1.
    pub(crate) confidence: Option<f32>,
    /// The router's labels.
    pub(crate) tags: Vec<(String, String)>,
    /// For the router, once it is known what came of it.
    pub(crate) told: Option<Told>,
}

/// Who chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// The client named an expert.
    Client,
    /// No router was there to ask.
    Default,
    /// A route policy.
    Policy(PolicyRef),
    /// A pre policy answered by itself.
    Answered(PolicyRef),
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client => f.write_str("client"),
            Self::Default => f.write_str("default"),
            Self::Policy(policy) | Self::Answered(policy) => policy.fmt(f),
        }
    }
}
