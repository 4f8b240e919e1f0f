//! Who wants to know what a policy said of a call: the revision in its shadow, and the books of its canary.

use std::sync::Arc;

use crate::{
    Call, Hook, PolicyError, PolicyRef, canary::Canary, comparison::Verdict, shadow::Beside,
};

/// A call whose verdict somebody waits for.
pub(crate) struct Witness {
    pub(crate) hook: Hook,
    pub(crate) call: Arc<Call>,
    pub(crate) beside: Option<Beside>,
    pub(crate) canary: Option<Arc<Canary>>,
}

impl Witness {
    /// The call ended. Where nobody refused it, there is no verdict.
    pub(crate) fn ended(self, error: &PolicyError) {
        if let PolicyError::Refused { policy, kind, .. } = error {
            self.said(policy, Verdict::refused(kind));
        }
    }

    /// `by` let the call go on, as `now`.
    pub(crate) fn passed(self, by: &PolicyRef, now: &Call) {
        let verdict = Verdict::passed(now.is_edited_from(&self.call).then_some(now));
        self.said(by, verdict);
    }

    /// `by` said this.
    pub(crate) fn said(self, by: &PolicyRef, verdict: Verdict) {
        if let Some(canary) = self.canary {
            canary.observe(self.hook, by, self.call.caller, &verdict);
        }
        if let Some(beside) = self.beside {
            beside.said(by, verdict);
        }
    }
}
