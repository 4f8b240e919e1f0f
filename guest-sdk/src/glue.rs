//! Between a policy's traits and what the bindings want. Exists on wasm only.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::time::Duration;

use crate::bindings::post::exports::signalbox::policy::post;
use crate::bindings::pre::exports::signalbox::policy::pre;
use crate::bindings::route::exports::signalbox::policy::route;
use crate::bindings::signalbox::policy::types;
use crate::{
    Action, Decision, Edits, Expert, Mode, Outcome, Plan, Post, Pre, Refusal, RefusalKind, Request,
    Route,
};

/// What a component exports in a policy's name.
#[derive(Debug)]
pub struct Exported<P>(PhantomData<P>);

impl<P: Pre> pre::Guest for Exported<P> {
    fn handle(
        request: &types::Request,
        edits: &types::Edits,
    ) -> Result<pre::Outcome, types::Refusal> {
        Ok(P::handle(&Request(request), &Edits(edits))?.into())
    }
}

impl<P: Route> route::Guest for Exported<P> {
    fn choose(
        request: &types::Request,
        experts: Vec<types::Expert>,
    ) -> Result<route::Decision, types::Refusal> {
        let experts: Vec<Expert> = experts.into_iter().map(Expert).collect();
        Ok(P::choose(&Request(request), &experts)?.into())
    }
}

impl<P: Post> post::Guest for Exported<P> {
    type Session = Session<P>;
}

/// One reply's policy, behind the shared reference that the bindings give.
#[derive(Debug)]
pub struct Session<P>(RefCell<P>);

impl<P: Post> post::GuestSession for Session<P> {
    fn new(request: &types::Request, expert: String) -> Self {
        Self(RefCell::new(P::open(&Request(request), &expert)))
    }

    fn push(&self, window: String) -> post::Action {
        self.0.borrow_mut().push(&window).into()
    }

    fn finish(&self, window: String) -> post::Action {
        self.0.borrow_mut().finish(&window).into()
    }
}

impl From<Outcome> for pre::Outcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Proceed => Self::Proceed,
            Outcome::Answer(text) => Self::Answer(text),
        }
    }
}

impl From<Action> for post::Action {
    fn from(action: Action) -> Self {
        match action {
            Action::Emit => Self::Emit,
            Action::Hold => Self::Hold,
            Action::Replace { text, keep } => {
                let keep = u32::try_from(keep).unwrap_or(u32::MAX);
                Self::Replace(post::Replacement { text, keep })
            }
            Action::Stop(text) => Self::Stop(text),
        }
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

impl From<Refusal> for types::Refusal {
    fn from(refusal: Refusal) -> Self {
        Self { kind: refusal.kind.into(), message: refusal.message }
    }
}

impl From<RefusalKind> for types::RefusalKind {
    fn from(kind: RefusalKind) -> Self {
        match kind {
            RefusalKind::Forbidden => Self::Forbidden,
            RefusalKind::TooLarge => Self::TooLarge,
            RefusalKind::RateLimited(retry) => Self::RateLimited(milliseconds(retry)),
            RefusalKind::Other(code) => Self::Other(code),
        }
    }
}

fn milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}
