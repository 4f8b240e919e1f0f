//! What happens to a call after a policy failed in it: the failure modes, made concrete. Every hook
//! goes through here.

use std::{collections::BTreeMap, sync::Arc};

use crate::{Failure, OnFailure, PolicyError, hook::Spec, seat::Seat};

/// What happens to a call after a policy failed in it.
pub(crate) enum Next<A> {
    /// It ends.
    End(PolicyError),
    /// It goes on without the policy.
    Skip,
    /// Another is asked instead.
    Ask(A),
}

/// Who is asked: the policy of the pipeline, or the one that steps in for it.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) seat: Arc<Seat>,
    steps_in: bool,
}

impl<A> Next<A> {
    pub(crate) fn map<B>(self, ask: impl FnOnce(A) -> B) -> Next<B> {
        match self {
            Self::End(error) => Next::End(error),
            Self::Skip => Next::Skip,
            Self::Ask(other) => Next::Ask(ask(other)),
        }
    }
}

impl Asked {
    /// Who is asked first: the policy of the pipeline.
    pub(crate) fn first(seat: &Arc<Seat>) -> Self {
        Self { seat: seat.clone(), steps_in: false }
    }

    /// What happens after `failure`. For a canary the revision in force is asked. Who steps in is one of the `active`, and nobody steps in for it.
    pub(crate) fn after(
        &self,
        spec: &Spec,
        failure: Failure,
        active: &BTreeMap<String, Arc<Seat>>,
    ) -> Next<Asked> {
        let hook = spec.hook;
        if let Some(stable) = &self.seat.instead {
            return Next::Ask(Asked { seat: stable.clone(), steps_in: self.steps_in });
        }
        let unexamined = spec.guards && failure.is_the_hosts();
        let next = match self.seat.on_failure(hook) {
            _ if self.steps_in => None,
            OnFailure::Skip | OnFailure::Native if !unexamined => Some(Next::Skip),
            OnFailure::Policy(name) => {
                let other = active.get(name).filter(|other| other.hooks.contains(&hook));
                other.map(|seat| Next::Ask(Asked { seat: seat.clone(), steps_in: true }))
            }
            _ => None,
        };
        next.unwrap_or_else(|| Next::End(self.seat.failed(hook, failure)))
    }
}
