//! What a router is told of its decisions, once their calls have ended.

use super::Route;
use crate::bindings;
use crate::call::Request;
use crate::outcome::CallOutcome;

// The contract has no world with this alone, because a policy that only learns is refused.
bindings::hook!(
    "learning",
    inline: "package signalbox:sdk;
        world learning {
            include signalbox:policy/imports@0.2.3;
            export signalbox:policy/feedback@0.2.3;
        }"
);

/// Learning: what came of a router's decisions. No call waits for it.
///
/// A router exports it beside `route`: `export!(MyRouter: route, feedback);`. What it learns goes into its bucket
/// ([`keyvalue`](crate::keyvalue)), because every call gets a fresh instance.
pub trait Feedback: Route {
    /// Called when a call has ended for which [`Route::choose`] gave `decision`, and once more when its caller rates the
    /// reply. `request` is the call as `choose` saw it. What can't be told in time is not told at all.
    fn learn(request: &Request, decision: &Decided, outcome: &CallOutcome);
}

/// A router's own choice, as it is told again.
#[derive(Clone, Debug, PartialEq)]
pub struct Decided {
    /// Every expert that the plan named, in its order; the judge of a consensus last.
    pub experts: Vec<String>,
    /// Its one line for people.
    pub reason: String,
    /// 0 to 1.
    pub confidence: f32,
    /// Its labels: what a router wants to find again when it learns stands here.
    pub tags: Vec<(String, String)>,
}

impl Decided {
    /// The value of the first label of this key.
    pub fn tag(&self, key: &str) -> Option<&str> {
        let found = self.tags.iter().find(|(known, _)| known == key);
        found.map(|(_, value)| value.as_str())
    }
}

/// Between the trait and what the bindings want.
#[cfg(target_arch = "wasm32")]
mod glue {
    use super::generated::exports::signalbox::policy::feedback;
    use super::{Decided, Feedback};
    use crate::bindings::signalbox::policy::{outcomes, types};
    use crate::call::Request;
    use crate::hooks::Exported;
    use crate::outcome::CallOutcome;

    impl<P: Feedback> feedback::Guest for Exported<P> {
        fn learn(
            request: &types::Request,
            decision: outcomes::ToldDecision,
            outcome: &outcomes::Outcome,
        ) {
            P::learn(&Request(request), &decision.into(), &CallOutcome(outcome));
        }
    }

    impl From<outcomes::ToldDecision> for Decided {
        fn from(told: outcomes::ToldDecision) -> Self {
            let outcomes::ToldDecision { experts, reason, confidence, tags } = told;
            Self { experts, reason, confidence, tags }
        }
    }
}
