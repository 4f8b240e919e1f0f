//! The `pre` hook: every policy in order, one call into a fresh instance, edits taken out whole or not
//! at all.

use std::sync::Arc;

use wasmtime::{
    Store,
    component::{Instance, Resource},
};

use super::{Answer, Refusal, Spec, bounds, post};
use crate::{
    Call, Failure, Hook, OnFailure, PolicyError, PreVerdict,
    bindings::exports::signalbox::policy::pre::{GuestIndices, Outcome},
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

/// What a `pre` policy made of a call.
pub(crate) enum Handled {
    /// Go on with these edits made.
    Proceed(Box<Edits>),
    /// The policy answers by itself.
    Answer(String),
}

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
            let shown = Arc::new(call);
            call = match self.handle(seat, &shown).await? {
                None => Arc::unwrap_or_clone(shown),
                Some((_, Handled::Proceed(edits))) => {
                    drop(shown); // so that the texts are moved, not copied
                    edits.apply()
                }
                Some((seat, Handled::Answer(text))) => {
                    let call = Arc::unwrap_or_clone(shown);
                    return Ok(PreVerdict::Answer { policy: seat.id.clone(), text, call });
                }
            };
        }
        // Better now than after an expert has worked for a reply that nobody may see.
        match self.pipeline().post.iter().find_map(|seat| self.refuses(&post::SPEC, seat)) {
            Some(error) => Err(error),
            None => Ok(PreVerdict::Proceed(call)),
        }
    }

    /// Who handled the call and how; `None` when the policy failed and is skipped.
    async fn handle(
        &self,
        seat: &Arc<Seat>,
        call: &Arc<Call>,
    ) -> Result<Option<(Arc<Seat>, Handled)>, PolicyError> {
        let asked = |policy: Arc<Policy>| async move { policy.handle(call.clone()).await };
        self.ask(&SPEC, seat, call.caller, asked).await
    }
}

impl Policy {
    /// Asks the policy about `call`.
    pub(crate) async fn handle(
        self: &Arc<Self>,
        call: Arc<Call>,
    ) -> Result<Answer<Handled>, Failure> {
        let text_bytes = call.text_bytes();
        let asking = |policy: Arc<Self>, turn, held| async move {
            let guest = policy.program.pre.as_ref().ok_or_else(|| no_hook(Hook::Pre))?;
            let (mut store, instance) = policy.fresh(Hook::Pre, turn, held).await?;
            let said = handle(&mut store, &instance, guest, call).await;
            let (answer, edits) = said.map_err(|error| store.data().failure(error))?;
            drop(store);
            policy.outcome(answer, edits, text_bytes)
        };
        self.call(&SPEC, text_bytes, self.room(text_bytes), asking).await
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
