//! The `pre` hook: one call into a fresh instance, edits taken out whole or not at all.

use std::sync::Arc;

use wasmtime::{
    Store,
    component::{Instance, Resource},
};

use super::{Answer, Policy, Refusal, check_output, no_hook};
use crate::{
    Call, Failure, Hook,
    bindings::exports::signalbox::policy::pre::{GuestIndices, Outcome},
    import::{edits::Edits, request::ShownRequest},
    store::State,
};

/// What a `pre` policy made of a call.
pub(crate) enum Handled {
    /// Go on with this call.
    Proceed(Call),
    /// The policy answers by itself.
    Answer(String),
}

impl Policy {
    /// Asks the policy about `call`.
    pub(crate) async fn handle(&self, call: Arc<Call>) -> Result<Answer<Handled>, Failure> {
        self.call(Hook::Pre, async {
            let guest = self.program.pre.as_ref().ok_or_else(|| no_hook(Hook::Pre))?;
            let (mut store, instance) = self.fresh(Hook::Pre, call.text_bytes()).await?;
            let said = handle(&mut store, &instance, guest, call).await;
            let (answer, edits) = said.map_err(|error| store.data().failure(error))?;
            drop(store);
            self.outcome(answer, edits)
        })
        .await
    }

    fn outcome(&self, answer: Answer<Outcome>, edits: Edits) -> Result<Answer<Handled>, Failure> {
        match answer {
            Ok(Outcome::Proceed) => Ok(Ok(Handled::Proceed(edits.apply()))),
            Ok(Outcome::Answer(text)) => {
                check_output(text.len(), self.lent.limits.output_bytes)?;
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
    let limit = store.data().lent.limits.output_bytes;
    let table = &mut store.data_mut().table;
    let edits = table.push(Edits::new(call.clone(), limit))?;
    let request = table.push(ShownRequest(call))?;
    let lent = Resource::new_borrow(edits.rep());
    let answer = guest.call_handle(&mut *store, request, lent).await?;
    let edits = store.data_mut().table.delete(edits)?;
    Ok((answer.map_err(Refusal::from), edits))
}
