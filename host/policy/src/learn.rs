//! Telling a router what came of a decision of its: one call into a fresh instance, within the limits of any other. It has no
//! seat and no breaker, because no call waits for it and none passes through it.

use std::sync::Arc;

use wasmtime::{Store, component::Instance};

use crate::{
    Call, CallOutcome, Decision, Failure, Hook, OnFailure, Runs,
    bindings::{
        exports::signalbox::policy::feedback::GuestIndices,
        signalbox::policy::outcomes::ToldDecision,
    },
    hook::Spec,
    policy::Policy,
    store::State,
};

/// What a router does when it learns counts apart from what it does for calls, so its hook's name is a place here and no more.
static SPEC: Spec = Spec {
    hook: Hook::Route,
    deadline_ms: |limits| limits.feedback_deadline_ms,
    on_failure: OnFailure::Skip,
    guards: false,
};

/// A decision, with the call that it was made for.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) call: Arc<Call>,
    pub(crate) decision: Decision,
}

impl Policy {
    /// Tells the policy what came of a decision.
    pub(crate) async fn learn(
        self: &Arc<Self>,
        decided: &Decided,
        outcome: CallOutcome,
    ) -> Result<(), Failure> {
        let (call, decision) = (decided.call.clone(), told(&decided.decision));
        let text_bytes = call.text_bytes();
        let asking = |policy: Arc<Self>, turn, held| async move {
            let absent = || Failure::Invalid("it exports no feedback".into());
            let guest = policy.program.feedback.as_ref().ok_or_else(absent)?;
            let (mut store, instance) = policy.fresh(SPEC.hook, turn, held).await?;
            let learning = learn(&mut store, &instance, guest, call, &decision, outcome);
            learning.await.map_err(|error| store.data().failure(error))
        };
        self.call(&SPEC, &Runs::default(), text_bytes, self.room(text_bytes), asking).await
    }
}

async fn learn(
    store: &mut Store<State>,
    instance: &Instance,
    guest: &GuestIndices,
    call: Arc<Call>,
    decision: &ToldDecision,
    outcome: CallOutcome,
) -> wasmtime::Result<()> {
    let guest = guest.load(&mut *store, instance)?;
    let request = store.data_mut().show(call)?;
    let outcome = store.data_mut().table.push(outcome)?;
    guest.call_learn(&mut *store, request, decision, outcome).await
}

fn told(decision: &Decision) -> ToldDecision {
    ToldDecision {
        experts: decision.plan.experts().cloned().collect(),
        reason: decision.reason.clone(),
        confidence: decision.confidence,
        tags: decision.tags.clone(),
    }
}
