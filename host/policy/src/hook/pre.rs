//! The `pre` hook: one call into a fresh instance, edits taken out whole or not at all.

use std::sync::Arc;

use wasmtime::{
    Store,
    component::{Instance, Resource},
};

use super::{Answer, Policy, Refusal, bounds, no_hook};
use crate::{
    Call, Failure, Hook,
    bindings::exports::signalbox::policy::pre::{GuestIndices, Outcome},
    edits::Edits,
    import::shown::ShownRequest,
    store::State,
};

/// What a `pre` policy made of a call.
pub(crate) enum Handled {
    /// Go on with these edits made.
    Proceed(Edits),
    /// The policy answers by itself.
    Answer(String),
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
        self.call(Hook::Pre, text_bytes, self.room(text_bytes), asking).await
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
                Ok(Ok(Handled::Proceed(edits)))
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
    let table = &mut store.data_mut().table;
    let edits = table.push(Edits::new(call.clone(), limit))?;
    let request = table.push(ShownRequest(call))?;
    let lent = Resource::new_borrow(edits.rep());
    let answer = guest.call_handle(&mut *store, request, lent).await?;
    let edits = store.data_mut().table.delete(edits)?;
    Ok((answer.map_err(Refusal::from), edits))
}
