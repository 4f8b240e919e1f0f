//! The policies in force at one moment. A call keeps its snapshot to the end, whatever is swapped
//! meanwhile; its way through a hook stands in the file of that hook.

use std::{collections::BTreeMap, future::Future, sync::Arc};

use crate::{
    Failure, Limits, Pipeline, PolicyError, PolicyRef,
    fallback::{Asked, Next},
    hook::{Answer, Spec},
    policy::Policy,
    runtime::Runtime,
    seat::{Absence, Seat},
};

/// Every policy in force: those the pipeline calls, and those that may step in for another.
pub(crate) struct Set {
    pub(crate) generation: u64,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) limits: Arc<Limits>,
    /// Why nobody knows what is in force; then no call is let through.
    pub(crate) sealed: Option<String>,
    pub(crate) pipeline: Pipeline<Arc<Seat>>,
    pub(crate) active: BTreeMap<String, Arc<Seat>>,
}

impl Set {
    /// Nothing in force, before a start has read what is.
    pub(crate) fn empty(runtime: &Arc<Runtime>, limits: &Arc<Limits>) -> Self {
        Self {
            generation: 0,
            runtime: runtime.clone(),
            limits: limits.clone(),
            sealed: None,
            pipeline: Pipeline::default(),
            active: BTreeMap::new(),
        }
    }
}

/// The policies fixed for one call. Cheap to clone.
#[derive(Clone)]
pub struct Snapshot(Arc<Set>);

impl Snapshot {
    pub(crate) fn new(set: Arc<Set>) -> Self {
        Self(set)
    }

    /// Grows by one with every change of the policies in force.
    pub fn generation(&self) -> u64 {
        self.0.generation
    }

    /// The router; `None` leaves routing to the host's own default.
    pub fn router(&self) -> Option<&PolicyRef> {
        self.0.pipeline.route.as_deref().map(|seat| &seat.id)
    }

    pub(crate) fn set(&self) -> &Arc<Set> {
        &self.0
    }

    pub(crate) fn pipeline(&self) -> &Pipeline<Arc<Seat>> {
        &self.0.pipeline
    }

    /// Lets no call through while nobody knows what it has to pass.
    pub(crate) fn check_sealed(&self) -> Result<(), PolicyError> {
        match &self.0.sealed {
            Some(problem) => Err(PolicyError::Unreadable { problem: problem.clone() }),
            None => Ok(()),
        }
    }

    /// Asks the policy at `seat`, and when it fails, who steps in for it: the verdict and whose it is;
    /// `None` when the policy failed and is skipped.
    pub(crate) async fn ask<T, F: Future<Output = Result<Answer<T>, Failure>>>(
        &self,
        spec: &Spec,
        seat: &Arc<Seat>,
        caller: u64,
        call: impl Fn(Arc<Policy>) -> F,
    ) -> Result<Option<(Arc<Seat>, T)>, PolicyError> {
        let mut asked = Asked::first(seat);
        loop {
            match asked.seat.ask(spec.hook, caller, &call).await {
                Ok(Ok(verdict)) => return Ok(Some((asked.seat, verdict))),
                Ok(Err(refusal)) => return Err(asked.seat.refused(refusal)),
                Err(failure) => match asked.after(spec, failure, &self.0.active) {
                    Next::End(error) => return Err(error),
                    Next::Skip => return Ok(None),
                    Next::Ask(other) => asked = other,
                },
            }
        }
    }

    /// Why every call that meets `seat` in a hook is turned away now; `None` when it is not.
    pub(crate) fn refuses(&self, spec: &Spec, seat: &Arc<Seat>) -> Option<PolicyError> {
        let mut asked = Asked::first(seat);
        loop {
            let Absence { outage, on_trial, .. } = asked.seat.absence(spec.hook)?;
            if on_trial {
                return None;
            }
            match asked.after(spec, Failure::OutOfService(outage), &self.0.active) {
                Next::End(error) => return Some(error),
                Next::Skip => return None,
                Next::Ask(other) => asked = other,
            }
        }
    }
}
