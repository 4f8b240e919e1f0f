//! The `pre` hook: every policy in order, one call into a fresh instance, edits taken out whole or not
//! at all.

use std::sync::Arc;

use wasmtime::{
    Store,
    component::{Instance, Resource},
};

use super::{Answer, Handled, Refusal, Spec, bounds, post};
use crate::{
    Call, Failure, Hook, OnFailure, PolicyError, PreVerdict,
    bindings::exports::signalbox::policy::pre::{GuestIndices, Outcome},
    comparison::Verdict,
    edits::Edits,
    policy::{Policy, no_hook},
    seat::Seat,
    snapshot::Snapshot,
    store::State,
};

/// A guard that fails must not let calls through.
pub(crate) static SPEC: Spec = Spec {
    hook: Hook::Pre,
    deadline_ms: |limits| limits.pre_deadline_ms,
    on_failure: OnFailure::Refuse,
    guards: true,
};

impl Snapshot {
    /// Shows `call` to every `pre` policy in order.
    ///
    /// # Errors
    /// [`PolicyError::Refused`] when a policy turns the call away, [`PolicyError::Failed`] when one
    /// fails and its failure mode is to refuse, or when one that every reply has to pass is out of
    /// service; [`PolicyError::Unreadable`] when nobody knows which policies are in force.
    pub async fn pre(&self, mut call: Call) -> Result<PreVerdict, PolicyError> {
        self.check_sealed()?;
        for seat in &self.pipeline().pre {
            call = match self.examined(seat, call).await? {
                PreVerdict::Proceed(call) => call,
                answer => return Ok(answer),
            };
        }
        // Better now than after an expert has worked for a reply that nobody may see.
        match self.pipeline().post.iter().find_map(|seat| self.refuses(&post::SPEC, seat)) {
            Some(error) => Err(error),
            None => Ok(PreVerdict::Proceed(call)),
        }
    }

    /// What the policy at `seat` makes of a call, which stays as it is where that policy failed and is skipped.
    async fn examined(&self, seat: &Arc<Seat>, call: Call) -> Result<PreVerdict, PolicyError> {
        let shown = Arc::new(call);
        let witness = self.witness(seat, Hook::Pre, &shown, &Arc::default());
        match self.handle(seat, &shown).await {
            Err(error) => {
                witness.into_iter().for_each(|witness| witness.ended(&error));
                Err(error)
            }
            Ok(None) => {
                drop(witness); // so that the texts are moved, not copied
                Ok(PreVerdict::Proceed(Arc::unwrap_or_clone(shown)))
            }
            Ok(Some((by, Handled::Proceed(edits)))) => {
                drop(shown);
                let call = edits.apply();
                witness.into_iter().for_each(|witness| witness.passed(&by.id, &call));
                Ok(PreVerdict::Proceed(call))
            }
            Ok(Some((by, Handled::Answer(text)))) => {
                let said = Verdict::answered(&text);
                witness.into_iter().for_each(|witness| witness.said(&by.id, said.clone()));
                let (policy, call) = (by.id.clone(), Arc::unwrap_or_clone(shown));
                Ok(PreVerdict::Answer { policy, text, call })
            }
        }
    }

    /// Who handled the call and how; `None` when the policy failed and is skipped.
    async fn handle(
        &self,
        seat: &Arc<Seat>,
        call: &Arc<Call>,
    ) -> Result<Option<(Arc<Seat>, Handled)>, PolicyError> {
        let asked = |policy: Arc<Policy>| async move { policy.handle(call.clone()).await };
        self.ask(&SPEC, seat, call, asked).await
    }
}

impl Policy {
    /// Asks the policy about `call`.
    pub(crate) async fn handle(
        self: &Arc<Self>,
        call: Arc<Call>,
    ) -> Result<Answer<Handled>, Failure> {
        let (text_bytes, runs) = (call.text_bytes(), call.runs.clone());
        let asking = |policy: Arc<Self>, turn, held| async move {
            let guest = policy.program.pre.as_ref().ok_or_else(|| no_hook(Hook::Pre))?;
            let (mut store, instance) = policy.fresh(Hook::Pre, turn, held).await?;
            let said = handle(&mut store, &instance, guest, call).await;
            let (answer, edits) = said.map_err(|error| store.data().failure(error))?;
            drop(store);
            policy.outcome(answer, edits, text_bytes)
        };
        self.call(&SPEC, &runs, text_bytes, self.room(text_bytes), asking).await
    }

    fn outcome(
        &self,
        answer: Answer<Outcome>,
        edits: Edits,
        text_bytes: usize,
    ) -> Result<Answer<Handled>, Failure> {
        match answer {
            Ok(Outcome::Proceed) => {
                edits.check(&self.lent.bounds)?;
                Ok(Ok(Handled::Proceed(Box::new(edits))))
            }
            Ok(Outcome::Answer(text)) => {
                bounds::output(text.len(), self.lent.limits.answer_bytes(text_bytes))?;
                Ok(Ok(Handled::Answer(text)))
            }
            Ok(Outcome::Other(outcome)) => {
                Err(Failure::Invalid(format!("the outcome '{outcome}' is not known here")))
            }
            Err(refusal) => self.refusal(Hook::Pre, refusal),
        }
    }
}

async fn handle(
    store: &mut Store<State>,
    instance: &Instance,
    guest: &GuestIndices,
    call: Arc<Call>,
) -> wasmtime::Result<(Answer<Outcome>, Edits)> {
    let guest = guest.load(&mut *store, instance)?;
    let limit = store.data().lent.limits.answer_bytes(call.text_bytes());
    let edits = store.data_mut().table.push(Edits::new(call.clone(), limit))?;
    let request = store.data_mut().show(call)?;
    let lent = Resource::new_borrow(edits.rep());
    let answer = guest.call_handle(&mut *store, request, lent).await?;
    let edits = store.data_mut().table.delete(edits)?;
    Ok((answer.map_err(Refusal::from), edits))
}
