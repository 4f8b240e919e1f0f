//! A policy in force, and what every call into it has in common: a fresh instance, turns on the
//! threads of guests, a deadline, counters, and the breaker.

mod bounds;
pub(crate) mod post;
pub(crate) mod pre;
pub(crate) mod route;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};

use signalbox_confine::{LINE_BYTES, clean};
use wasmtime::{Store, component::Instance};

use crate::{
    Failure, Hook, OnFailure, PolicyError, PolicyRef, RefusalKind,
    bindings::signalbox::policy::types,
    meter::Meters,
    program::Program,
    runtime::Runtime,
    store::{Held, Lent, State, Turn},
    turns::{Budget, Late, OwnTime},
};

/// What a hook says: its verdict, or that it turns the call away.
pub(crate) type Answer<T> = Result<T, Refusal>;

/// A call turned away on purpose.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) kind: RefusalKind,
    pub(crate) message: String,
}

/// One revision of one policy in force.
pub(crate) struct Policy {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) program: Arc<Program>,
    pub(crate) lent: Arc<Lent>,
    pub(crate) on_failure: [OnFailure; 3],
    pub(crate) meters: Arc<Meters>,
    pub(crate) breaker: Breaker,
}

impl Policy {
    pub(crate) fn id(&self) -> &PolicyRef {
        &self.lent.policy
    }

    pub(crate) fn on_failure(&self, hook: Hook) -> &OnFailure {
        &self.on_failure[hook as usize]
    }

    pub(crate) fn failed(&self, hook: Hook, failure: Failure) -> PolicyError {
        PolicyError::Failed { policy: self.id().clone(), hook, failure }
    }

    pub(crate) fn refused(&self, refusal: Refusal) -> PolicyError {
        let Refusal { kind, message } = refusal;
        PolicyError::Refused { policy: self.id().clone(), kind, message }
    }

    /// Runs `body` with what it is `given`, under the hook's deadline, counts what came of it, and
    /// tells the breaker.
    async fn call<T, G, F>(
        self: &Arc<Self>,
        hook: Hook,
        text_bytes: usize,
        given: impl Future<Output = Result<G, Failure>>,
        body: impl FnOnce(Arc<Self>, Turn, G) -> F,
    ) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let (started, own_time) = (Instant::now(), Arc::new(OwnTime::default()));
        let limit = self.lent.limits.deadline(hook, text_bytes);
        let turn = Turn { own_time: own_time.clone(), limit, text_bytes };
        let outcome = match given.await {
            Ok(given) => {
                self.in_turns(&turn, started, body(self.clone(), turn.clone(), given)).await
            }
            Err(failure) => Err(failure),
        };
        let outcome = outcome.map_err(one_line);
        let failure = outcome.as_ref().err();
        self.meters.call(hook, started.elapsed(), own_time.spent(), failure);
        self.breaker.note(self.id(), hook, failure);
        outcome
    }

    /// Runs `body` on the threads of guests.
    async fn in_turns<T: Send + 'static>(
        &self,
        turn: &Turn,
        started: Instant,
        body: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        let limit_ms = self.lent.limits.host_wait_ms;
        let wall = self.lent.limits.host_wait().saturating_sub(started.elapsed());
        let budget = Budget { own: turn.limit, wall };
        let ran = self.runtime.turns.run(self.lent.lane(), &turn.own_time, budget, body).await;
        ran.unwrap_or_else(|late| {
            Err(match late {
                Late::Guest => Failure::Deadline { limit_ms: turn.limit.as_millis() as u64 },
                Late::Host => Failure::Overloaded { limit_ms },
                Late::Crashed => Failure::Broken("its log says how".into()),
            })
        })
    }

    /// Counts a refusal, unless it can't be one.
    fn refusal<T>(&self, hook: Hook, refusal: Refusal) -> Result<Answer<T>, Failure> {
        bounds::refusal(&refusal)?;
        self.meters.refusal(hook);
        Ok(Err(refusal))
    }

    /// An instance that nobody used before, with its store.
    async fn fresh(
        &self,
        hook: Hook,
        turn: Turn,
        held: Held,
    ) -> Result<(Store<State>, Instance), Failure> {
        let started = Instant::now();
        let mut store = State::store(&self.runtime, &self.lent, turn, held);
        let made = self.program.instance.instantiate_async(&mut store).await;
        let instance = made.map_err(|error| store.data().failure(error))?;
        self.meters.instance(hook, started.elapsed());
        Ok((store, instance))
    }

    /// Room for one instance before the expert.
    async fn room(&self, text_bytes: usize) -> Result<Held, Failure> {
        let within = self.lent.limits.host_wait();
        self.runtime.rooms.call(text_bytes, within).await.map(Held::Call)
    }
}

/// A guest's words are in some failures: on one line, and not too long.
fn one_line(failure: Failure) -> Failure {
    match failure {
        Failure::Invalid(why) => Failure::Invalid(clean(&why, LINE_BYTES)),
        other => other,
    }
}

/// Refuses answers that are too large.
fn check_output(bytes: usize, limit_bytes: u64) -> Result<(), Failure> {
    if bytes as u64 > limit_bytes {
        return Err(Failure::OutputTooLarge { limit_bytes });
    }
    Ok(())
}

/// The hook is not there, although it was when the component was read.
fn no_hook(hook: Hook) -> Failure {
    Failure::Invalid(format!("it has no {hook} hook"))
}

impl From<types::Refusal> for Refusal {
    fn from(refusal: types::Refusal) -> Self {
        let kind = match refusal.kind {
            types::RefusalKind::Forbidden => RefusalKind::Forbidden,
            types::RefusalKind::TooLarge => RefusalKind::TooLarge,
            types::RefusalKind::RateLimited(retry_ms) => RefusalKind::RateLimited { retry_ms },
            types::RefusalKind::Other(code) => RefusalKind::Other(code),
        };
        Refusal { kind, message: refusal.message }
    }
}

/// Takes a revision that keeps failing out of service.
pub(crate) type Demote = Arc<dyn Fn(PolicyRef, Hook) + Send + Sync>;

/// Counts failures in a row, per hook.
pub(crate) struct Breaker {
    after: u32,
    in_a_row: [AtomicU32; 3],
    demote: Demote,
}

impl Breaker {
    /// Opens after so many failures in a row; 0 is never.
    pub(crate) fn new(after: u32, demote: Demote) -> Self {
        Self { after, in_a_row: Default::default(), demote }
    }

    fn note(&self, policy: &PolicyRef, hook: Hook, failure: Option<&Failure>) {
        let in_a_row = &self.in_a_row[hook as usize];
        match failure {
            None => in_a_row.store(0, Ordering::Relaxed),
            Some(failure) => {
                tracing::warn!("policy {policy} failed in its {hook} hook: {failure}");
                if failure.is_the_policys() && self.opens(in_a_row) {
                    (self.demote)(policy.clone(), hook);
                }
            }
        }
    }

    /// Counts one more; again after as many, should the demotion have failed.
    fn opens(&self, in_a_row: &AtomicU32) -> bool {
        let count = in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
        self.after > 0 && count.is_multiple_of(self.after)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn breaker(after: u32) -> (Breaker, Arc<Mutex<Vec<Hook>>>) {
        let demoted = Arc::new(Mutex::new(Vec::new()));
        let seen = demoted.clone();
        (Breaker::new(after, Arc::new(move |_, hook| seen.lock().unwrap().push(hook))), demoted)
    }

    fn check(after: u32, endings: &[(Hook, Option<Failure>)], expect: &[Hook]) {
        let (breaker, demoted) = breaker(after);
        let policy = PolicyRef { name: "p".into(), revision: "0".into() };
        for (hook, failure) in endings {
            breaker.note(&policy, *hook, failure.as_ref());
        }
        assert_eq!(*demoted.lock().unwrap(), expect);
    }

    #[test]
    fn the_breaker_opens_after_failures_in_a_row() {
        let bad = |hook| (hook, Some(Failure::Trap("boom".into())));
        let good = |hook| (hook, None);
        let full = |hook| (hook, Some(Failure::NoRoom { limit_ms: 1 }));
        check(2, &[bad(Hook::Pre), bad(Hook::Pre)], &[Hook::Pre]);
        check(2, &[bad(Hook::Pre), bad(Hook::Pre), bad(Hook::Pre)], &[Hook::Pre]);
        check(2, &[bad(Hook::Pre), good(Hook::Pre), bad(Hook::Pre)], &[]);
        check(2, &[bad(Hook::Pre), bad(Hook::Post)], &[]);
        check(2, &[bad(Hook::Post), good(Hook::Pre), bad(Hook::Post)], &[Hook::Post]);
        check(2, &[full(Hook::Pre), full(Hook::Pre)], &[]);
        check(0, &[bad(Hook::Pre), bad(Hook::Pre)], &[]);
    }
}
