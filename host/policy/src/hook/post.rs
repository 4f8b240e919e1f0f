//! The `post` hook: one instance for the life of a reply, called for every piece of it.

use std::sync::Arc;

use wasmtime::{
    Store,
    component::{Instance, ResourceAny},
};

use super::{Policy, no_hook};
use crate::{
    Call, Failure, Hook,
    bindings::exports::signalbox::policy::post::{self, Guest, GuestIndices},
    import::request::ShownRequest,
    store::State,
    window::Action,
};

/// A reply under way in one policy. A failure or a dropped call leaves nothing behind.
pub(crate) struct Session {
    store: Store<State>,
    guest: Guest,
    handle: ResourceAny,
}

/// Which of the two calls a session gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// New text arrived.
    Push,
    /// The reply is complete.
    Finish,
}

impl Policy {
    /// Begins a reply by `expert`.
    pub(crate) async fn open(&self, call: &Arc<Call>, expert: &str) -> Result<Session, Failure> {
        self.call(Hook::Post, async {
            let guest = self.program.post.as_ref().ok_or_else(|| no_hook(Hook::Post))?;
            let (mut store, instance) = self.fresh(Hook::Post, call.text_bytes()).await?;
            match open(&mut store, &instance, guest, call, expert).await {
                Ok((guest, handle)) => Ok(Session { store, guest, handle }),
                Err(error) => Err(store.data().failure(error)),
            }
        })
        .await
    }

    /// Shows the window to a session; gives it back for the next step.
    pub(crate) async fn step(
        &self,
        mut session: Session,
        step: Step,
        window: &str,
    ) -> Result<(Session, Action), Failure> {
        State::restart(&mut session.store, window.len());
        self.call(Hook::Post, async {
            match session.step(step, window).await {
                Ok(action) => Ok((session, action.try_into()?)),
                Err(error) => Err(session.store.data().failure(error)),
            }
        })
        .await
    }
}

impl Session {
    async fn step(&mut self, step: Step, window: &str) -> wasmtime::Result<post::Action> {
        let session = self.guest.session();
        match step {
            Step::Push => session.call_push(&mut self.store, self.handle, window).await,
            Step::Finish => session.call_finish(&mut self.store, self.handle, window).await,
        }
    }
}

async fn open(
    store: &mut Store<State>,
    instance: &Instance,
    guest: &GuestIndices,
    call: &Arc<Call>,
    expert: &str,
) -> wasmtime::Result<(Guest, ResourceAny)> {
    let guest = guest.load(&mut *store, instance)?;
    let request = store.data_mut().table.push(ShownRequest(call.clone()))?;
    let handle = guest.session().call_constructor(&mut *store, request, expert).await?;
    Ok((guest, handle))
}

impl TryFrom<post::Action> for Action {
    type Error = Failure;

    fn try_from(said: post::Action) -> Result<Self, Failure> {
        match said {
            post::Action::Emit => Ok(Self::Emit),
            post::Action::Hold => Ok(Self::Hold),
            post::Action::Replace(replacement) => {
                Ok(Self::Replace { text: replacement.text, keep: replacement.keep as usize })
            }
            post::Action::Stop(text) => Ok(Self::Stop(text)),
            post::Action::Other(action) => {
                Err(Failure::Invalid(format!("the action '{action}' is not known here")))
            }
        }
    }
}
