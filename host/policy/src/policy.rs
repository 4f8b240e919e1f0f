//! A policy that can run, and what every call into it has in common: a fresh instance, turns, a deadline, and
//! counters.

use std::{future::Future, sync::Arc, time::Instant};

use signalbox_confine::{LINE_BYTES, clean};
use wasmtime::{Store, component::Instance};

use crate::{
    Failure, Hook, PerHook, PolicyRef, Runs,
    hook::{Answer, Refusal, Spec, bounds},
    lent::{Lent, Turn},
    meter::{Gauge, Meters},
    pace::Pace,
    program::Program,
    runtime::Runtime,
    scheduler::{Budget, First, Late, OwnTime},
    store::{Held, State},
};

/// One revision of one policy, ready to run.
pub(crate) struct Policy {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) program: Arc<Program>,
    pub(crate) lent: Arc<Lent>,
    pub(crate) meters: Arc<Meters>,
    pub(crate) paces: PerHook<Pace>,
    /// The same revision as it learns, where it does: aside, with counters of its own.
    pub(crate) learner: Option<Arc<Policy>>,
}

impl Policy {
    pub(crate) fn id(&self) -> &PolicyRef {
        &self.lent.policy
    }

    /// Runs `body` with what it is `given`, under the hook's deadline, and counts what came of it, also among the `runs` of the
    /// call.
    pub(crate) async fn call<T, G, F>(
        self: &Arc<Self>,
        spec: &Spec,
        runs: &Runs,
        text_bytes: usize,
        given: impl Future<Output = Result<G, Failure>>,
        body: impl FnOnce(Arc<Self>, Turn, G) -> F,
    ) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let (started, own_time) = (Instant::now(), Arc::new(OwnTime::default()));
        let limit = spec.deadline(&self.lent.limits, text_bytes);
        let turn = Turn { own_time: own_time.clone(), limit, text_bytes };
        let outcome = match given.await {
            Ok(given) => {
                let paced = self.paces[spec.hook].begin(text_bytes, &own_time);
                let body = body(self.clone(), turn.clone(), given);
                self.in_turns(&turn, started, paced.first, body).await
            }
            Err(failure) => Err(failure),
        };
        let outcome = outcome.map_err(one_line);
        let failure = outcome.as_ref().err();
        let (took, own) = (started.elapsed(), own_time.spent());
        self.meters.call(spec.hook, took, own, failure);
        runs.took(spec.hook, self.id(), took, own);
        outcome
    }

    /// Runs `body` within the hook's budget.
    async fn in_turns<T: Send + 'static>(
        &self,
        turn: &Turn,
        started: Instant,
        first: First,
        body: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        let limit_ms = self.lent.limits.host_wait_ms;
        let wall = self.lent.limits.host_wait().saturating_sub(started.elapsed());
        let budget = Budget { own: turn.limit, wall };
        let (lane, own_time) = (self.lent.lane(), &turn.own_time);
        let ran = self.runtime.scheduler.run(lane, own_time, budget, first, body).await;
        ran.unwrap_or_else(|late| {
            Err(match late {
                Late::Guest => Failure::Deadline { limit_ms: turn.limit.as_millis() as u64 },
                Late::Host => Failure::Overloaded { limit_ms },
                Late::Crashed => Failure::Broken("its log says how".into()),
            })
        })
    }

    /// Counts a refusal, unless it can't be one.
    pub(crate) fn refusal<T>(&self, hook: Hook, refusal: Refusal) -> Result<Answer<T>, Failure> {
        bounds::refusal(&refusal)?;
        self.meters.refusal(hook);
        Ok(Err(refusal))
    }

    /// An instance that nobody used before, with its store.
    pub(crate) async fn fresh(
        &self,
        hook: Hook,
        turn: Turn,
        held: Held,
    ) -> Result<(Store<State>, Instance), Failure> {
        let started = Instant::now();
        let gauge = Gauge { meters: self.meters.clone(), hook };
        let mut store = self.runtime.store(&self.lent, turn, held, gauge);
        let made = self.program.instance.instantiate_async(&mut store).await;
        let instance = made.map_err(|error| store.data().failure(error))?;
        self.meters.instance(hook, started.elapsed());
        Ok((store, instance))
    }

    /// Room for one instance before the expert.
    pub(crate) async fn room(&self, text_bytes: usize) -> Result<Held, Failure> {
        let within = self.lent.limits.host_wait();
        if self.lent.aside {
            return self.runtime.instances.aside(within).await.map(Held::Aside);
        }
        self.runtime.instances.call(text_bytes, within).await.map(Held::Call)
    }
}

/// A guest's words are in some failures: on one line, and not too long.
fn one_line(failure: Failure) -> Failure {
    match failure {
        Failure::Invalid(why) => Failure::Invalid(clean(&why, LINE_BYTES)),
        other => other,
    }
}

/// The hook is not there, although it was when the component was read.
pub(crate) fn no_hook(hook: Hook) -> Failure {
    Failure::Invalid(format!("it has no {hook} hook"))
}
