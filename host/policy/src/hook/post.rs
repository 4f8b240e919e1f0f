//! The `post` hook: one instance for the life of a reply, called for every piece of it.

mod chain;
mod ending;
mod reply;
pub(crate) mod window;

use std::{future::ready, sync::Arc, time::Duration};

use wasmtime::{
    Store,
    component::{Instance, Resource, ResourceAny},
};

use super::Spec;
use crate::{
    Call, ExpertView, Failure, Hook, OnFailure, Runs,
    bindings::exports::signalbox::policy::post::{self, Guest, GuestIndices},
    instances::InstancePermit,
    lent::Turn,
    policy::{Policy, no_hook},
    store::{Held, State},
};
pub use ending::{Ending, Reason};
pub use reply::{PostChain, Seats};
use window::{Action, Window};

/// A guard that fails must not let text through.
pub(crate) static SPEC: Spec = Spec {
    hook: Hook::Post,
    deadline_ms: |limits| limits.post_deadline_ms,
    on_failure: OnFailure::Refuse,
    guards: true,
};

/// The reply that a policy is probed with: pieces as an expert would send them.
const PROBE: [&str; 6] = ["Of", " course: é", "crivez à a", "na@exa", "mple.com", " ✓\n"];

/// A reply under way in one policy. A failure or a dropped call leaves nothing behind.
pub(crate) struct Session {
    store: Store<State>,
    guest: Guest,
    handle: ResourceAny,
    /// Of the call whose reply this is.
    runs: Runs,
}

/// Which of the two calls a session gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// New text arrived.
    Push,
    /// The reply is complete.
    Finish(Ending),
}

impl Step {
    /// Whether nothing may stay held after it.
    pub(crate) fn is_last(self) -> bool {
        matches!(self, Self::Finish(_))
    }
}

impl Policy {
    /// Begins a reply by `expert`, in the `room` that was taken for it.
    pub(crate) async fn open(
        self: &Arc<Self>,
        call: &Arc<Call>,
        expert: &str,
        room: InstancePermit,
    ) -> Result<Session, Failure> {
        let (text_bytes, runs) = (call.text_bytes(), call.runs.clone());
        let (call, expert) = (call.clone(), expert.to_owned());
        let opening = |policy: Arc<Self>, turn, room| async move {
            let guest = policy.program.post.as_ref().ok_or_else(|| no_hook(Hook::Post))?;
            let (mut store, instance) = policy.fresh(Hook::Post, turn, Held::Session(room)).await?;
            match open(&mut store, &instance, guest, &call, &expert).await {
                Ok((guest, handle)) => {
                    Ok(Session { store, guest, handle, runs: call.runs.clone() })
                }
                Err(error) => Err(store.data().failure(error)),
            }
        };
        self.call(&SPEC, &runs, text_bytes, ready(Ok(room)), opening).await
    }

    /// Shows the window to a session; gives it back for the next step, with the time it took.
    pub(crate) async fn step(
        self: &Arc<Self>,
        session: Session,
        step: Step,
        window: &str,
    ) -> Result<(Session, Action, Duration), Failure> {
        let (shown, runs) = (window.to_owned(), session.runs.clone());
        let stepping = |_, turn: Turn, mut session: Session| async move {
            let own_time = turn.own_time.clone();
            State::restart(&mut session.store, turn);
            match session.step(step, &shown).await {
                Ok(action) => Ok((session, action.try_into()?, own_time.spent_in_turn())),
                Err(error) => Err(session.store.data().failure(error)),
            }
        };
        self.call(&SPEC, &runs, window.len(), ready(Ok(session)), stepping).await
    }
}

impl Session {
    async fn step(&mut self, step: Step, window: &str) -> wasmtime::Result<post::Action> {
        let session = self.guest.session();
        match step {
            Step::Push => session.call_push(&mut self.store, self.handle, window).await,
            Step::Finish(ending) => {
                let shown = self.store.data_mut().table.push(ending)?;
                let lent = Resource::new_borrow(shown.rep());
                let said = session.call_finish(&mut self.store, self.handle, window, lent).await?;
                self.store.data_mut().table.delete(shown)?;
                Ok(said)
            }
        }
    }
}

/// Tries one whole reply.
pub(super) async fn probe(
    policy: &Arc<Policy>,
    call: &Arc<Call>,
    menu: &[ExpertView],
) -> Result<(), Failure> {
    let room = policy.runtime.instances.probe(policy.lent.limits.host_wait()).await?;
    let mut session = policy.open(call, &menu[0].id, room).await?;
    let mut window = Window::new(&policy.lent.limits);
    let pushes = PROBE.map(|text| (Step::Push, text));
    let finish = Step::Finish(Ending::probe(PROBE.len() as u32));
    for (step, text) in pushes.into_iter().chain([(finish, "")]) {
        window.extend(text, Duration::ZERO);
        let (same, action, took) = policy.step(session, step, window.text()).await?;
        session = same;
        if window.apply(action, step.is_last(), took)?.stop {
            break;
        }
    }
    Ok(())
}

async fn open(
    store: &mut Store<State>,
    instance: &Instance,
    guest: &GuestIndices,
    call: &Arc<Call>,
    expert: &str,
) -> wasmtime::Result<(Guest, ResourceAny)> {
    let guest = guest.load(&mut *store, instance)?;
    let request = store.data_mut().show(call.clone())?;
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
