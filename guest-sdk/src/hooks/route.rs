//! The hook that chooses who answers.

use super::Refusal;
use crate::bindings;
use crate::call::Request;
use crate::expert::Expert;

bindings::hook!("route-policy");

/// Routing: choose who answers. Exactly one route policy is active.
pub trait Route {
    /// Called when the client did not name an expert. `experts` is the menu of this moment.
    ///
    /// # Errors
    /// A refusal ends the call; the client reads its message.
    fn choose(request: &Request, experts: &[Expert]) -> Result<Decision, Refusal>;
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

/// Between the trait and what the bindings want.
#[cfg(target_arch = "wasm32")]
mod glue {
    use super::generated::exports::signalbox::policy::route;
    use super::{Decision, Mode, Plan, Route};
    use crate::bindings::signalbox::policy::types;
    use crate::call::Request;
    use crate::expert::Expert;
    use crate::hooks::Exported;

    impl<P: Route> route::Guest for Exported<P> {
        fn choose(
            request: &types::Request,
            experts: Vec<types::Expert>,
        ) -> Result<route::Decision, types::Refusal> {
            let experts: Vec<Expert> = experts.into_iter().map(Expert).collect();
            Ok(P::choose(&Request(request), &experts)?.into())
        }
    }

    impl From<Decision> for route::Decision {
        fn from(decision: Decision) -> Self {
            let Decision { plan, reason, confidence, tags } = decision;
            Self { plan: plan.into(), reason, confidence, tags }
        }
    }

    impl From<Plan> for route::Plan {
        fn from(plan: Plan) -> Self {
            match plan {
                Plan::Expert(id) => Self::Expert(id),
                Plan::Fallback(ids) => Self::Fallback(ids),
                Plan::Consensus { members, judge, mode } => {
                    Self::Consensus(route::Consensus { members, judge, mode: mode.into() })
                }
            }
        }
    }

    impl From<Mode> for route::ConsensusMode {
        fn from(mode: Mode) -> Self {
            match mode {
                Mode::Parallel => Self::Parallel,
                Mode::Turns => Self::Turns,
            }
        }
    }
}
