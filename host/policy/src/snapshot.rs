//! The policies in force at one moment. A call keeps its snapshot to the end, whatever is swapped
//! meanwhile; its way through a hook stands in the file of that hook.

use std::{collections::BTreeMap, future::Future, sync::Arc};

use crate::{
    Call, ExpertView, Failure, Hook, Limits, Pipeline, PolicyError, PolicyRef,
    canary::Canary,
    fallback::{Asked, Next},
    hook::{Answer, Spec},
    lessons::Lessons,
    policy::Policy,
    runtime::Runtime,
    seat::{Absence, Seat},
    shadow::Shadow,
    witness::Witness,
};

/// How a run ends that turned its call away on purpose.
const REFUSED: &str = "refused";

/// Every policy in force: those the pipeline calls, and those that may step in for another.
pub(crate) struct Set {
    pub(crate) generation: u64,
    pub(crate) runtime: Arc<Runtime>,
    /// Who tells routers what came of their decisions.
    pub(crate) lessons: Arc<Lessons>,
    pub(crate) limits: Arc<Limits>,
    /// Why nobody knows what is in force; then no call is let through.
    pub(crate) sealed: Option<String>,
    pub(crate) pipeline: Pipeline<Arc<Seat>>,
    pub(crate) active: BTreeMap<String, Arc<Seat>>,
    /// By the names of the policies in whose shadow they are.
    pub(crate) shadows: BTreeMap<String, Arc<Shadow>>,
    /// By the names of the policies a share of whose calls they answer.
    pub(crate) canaries: BTreeMap<String, Arc<Canary>>,
}

impl Set {
    /// Nothing in force, before a start has read what is.
    pub(crate) fn empty(
        runtime: &Arc<Runtime>,
        lessons: &Arc<Lessons>,
        limits: &Arc<Limits>,
    ) -> Self {
        Self {
            generation: 0,
            runtime: runtime.clone(),
            lessons: lessons.clone(),
            limits: limits.clone(),
            sealed: None,
            pipeline: Pipeline::default(),
            active: BTreeMap::new(),
            shadows: BTreeMap::new(),
            canaries: BTreeMap::new(),
        }
    }
}

/// The policies fixed for one call. Cheap to clone.
#[derive(Clone)]
pub struct Snapshot {
    set: Arc<Set>,
    /// With canaries in the places of those in force, where any of them answers this call.
    pipeline: Option<Arc<Pipeline<Arc<Seat>>>>,
}

impl Snapshot {
    /// What is in force, canaries left out.
    pub(crate) fn new(set: Arc<Set>) -> Self {
        Self { set, pipeline: None }
    }

    /// What answers the calls of a caller.
    pub(crate) fn of_caller(set: Arc<Set>, caller: &str) -> Self {
        let taking = |seat: &Arc<Seat>| {
            let canary = set.canaries.get(&seat.id.name)?;
            canary.takes(caller).then(|| canary.seat.clone())
        };
        let taken = set.pipeline.iter().any(|(_, seat)| taking(seat).is_some());
        let pipeline = taken.then(|| {
            let whole = |seat: &Arc<Seat>| Some(taking(seat).unwrap_or_else(|| seat.clone()));
            Arc::new(set.pipeline.filter_map(whole))
        });
        Self { set, pipeline }
    }

    /// Grows by one with every change of the policies in force.
    pub fn generation(&self) -> u64 {
        self.set.generation
    }

    /// The router; `None` leaves routing to the host's own default.
    pub fn router(&self) -> Option<&PolicyRef> {
        self.pipeline().route.as_deref().map(|seat| &seat.id)
    }

    pub(crate) fn set(&self) -> &Arc<Set> {
        &self.set
    }

    pub(crate) fn pipeline(&self) -> &Pipeline<Arc<Seat>> {
        self.pipeline.as_deref().unwrap_or(&self.set.pipeline)
    }

    /// Lets no call through while nobody knows what it has to pass.
    pub(crate) fn check_sealed(&self) -> Result<(), PolicyError> {
        match &self.set.sealed {
            Some(problem) => Err(PolicyError::Unreadable { problem: problem.clone() }),
            None => Ok(()),
        }
    }

    /// Who wants to know what the policy at `seat` says of a call, if anybody does.
    pub(crate) fn witness(
        &self,
        seat: &Seat,
        hook: Hook,
        call: &Arc<Call>,
        menu: &Arc<[ExpertView]>,
    ) -> Option<Witness> {
        let name = &seat.id.name;
        let shadow = self.set.shadows.get(name);
        let beside = shadow.and_then(|shadow| shadow.beside(&seat.id, hook, call, menu));
        let canary = self.set.canaries.get(name).cloned();
        let wanted = beside.is_some() || canary.is_some();
        wanted.then(|| Witness { hook, call: call.clone(), beside, canary })
    }

    /// Asks the policy at `seat`, and when it fails, who steps in for it: the verdict and whose it is;
    /// `None` when the policy failed and is skipped.
    pub(crate) async fn ask<T, F: Future<Output = Result<Answer<T>, Failure>>>(
        &self,
        spec: &Spec,
        seat: &Arc<Seat>,
        call: &Call,
        asking: impl Fn(Arc<Policy>) -> F,
    ) -> Result<Option<(Arc<Seat>, T)>, PolicyError> {
        let mut asked = Asked::first(seat);
        loop {
            match asked.seat.ask(spec.hook, call.caller, &asking).await {
                Ok(Ok(verdict)) => return Ok(Some((asked.seat, verdict))),
                Ok(Err(refusal)) => {
                    call.runs.ended(spec.hook, &asked.seat.id, REFUSED);
                    return Err(asked.seat.refused(refusal));
                }
                Err(failure) => {
                    call.runs.ended(spec.hook, &asked.seat.id, failure.code());
                    match asked.after(spec, failure, &self.set.active) {
                        Next::End(error) => return Err(error),
                        Next::Skip => return Ok(None),
                        Next::Ask(other) => asked = other,
                    }
                }
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
            match asked.after(spec, Failure::OutOfService(outage), &self.set.active) {
                Next::End(error) => return Some(error),
                Next::Skip => return None,
                Next::Ask(other) => asked = other,
            }
        }
    }
}
