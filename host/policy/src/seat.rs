//! A policy's seat among those in force: it keeps its place whatever happens to the policy. Every call
//! into a policy goes through its seat, which asks the breaker first and reports to it afterwards.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    BreakerSettings, Failure, Hook, OnFailure, Outage, PerHook, PolicyError, PolicyRef,
    breaker::{Breaker, Event, Outcome, Pass},
    hook::Refusal,
    policy::Policy,
};

/// Between two log lines about failures of one hook.
const LOG_PAUSE: Duration = Duration::from_secs(10);

/// Notified when a breaker opens or closes or wants a probe. Must not block.
pub(crate) type Notice = Arc<dyn Fn(&Arc<Seat>, Hook, Event) + Send + Sync>;

/// One revision in force.
pub(crate) struct Seat {
    pub(crate) id: PolicyRef,
    /// Hooks that the revision has.
    pub(crate) hooks: Vec<Hook>,
    pub(crate) on_failure: PerHook<OnFailure>,
    /// The policy, or why its component can't be run and since when.
    pub(crate) policy: Result<Arc<Policy>, Unusable>,
    /// Of a canary: the revision in force, which is asked where the canary can't be or fails.
    pub(crate) instead: Option<Arc<Seat>>,
    watches: PerHook<Mutex<Watch>>,
    notice: Notice,
}

/// Why a stored component can't be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unusable {
    pub(crate) problem: String,
    pub(crate) since_unix_ms: u64,
}

/// What is known about one hook.
struct Watch {
    breaker: Breaker,
    /// When it was last taken out of service.
    since_unix_ms: u64,
    log_again: Option<Instant>,
    unsaid: u64,
}

/// Why and since when a hook is not in service without reserve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Absence {
    pub(crate) outage: Outage,
    pub(crate) since_unix_ms: u64,
    /// Whether one live call at a time is let through.
    pub(crate) on_trial: bool,
}

/// The right to make one call. Dropped without an outcome, it says nothing about the revision.
pub(crate) struct Ticket {
    seat: Arc<Seat>,
    policy: Arc<Policy>,
    hook: Hook,
    pass: Option<Pass>,
}

pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

impl Seat {
    pub(crate) fn new(
        id: PolicyRef,
        hooks: Vec<Hook>,
        on_failure: PerHook<OnFailure>,
        policy: Result<Arc<Policy>, Unusable>,
        breaker: &BreakerSettings,
        notice: Notice,
        instead: Option<Arc<Seat>>,
    ) -> Self {
        let watch = |_| {
            let breaker = Breaker::new(breaker.clone());
            Mutex::new(Watch { breaker, since_unix_ms: 0, log_again: None, unsaid: 0 })
        };
        Self { id, hooks, on_failure, policy, instead, watches: PerHook::from_fn(watch), notice }
    }

    pub(crate) fn on_failure(&self, hook: Hook) -> &OnFailure {
        &self.on_failure[hook]
    }

    /// Whether it is told what came of its decisions.
    pub(crate) fn learns(&self) -> bool {
        self.policy.as_ref().is_ok_and(|policy| policy.learner.is_some())
    }

    pub(crate) fn failed(&self, hook: Hook, failure: Failure) -> PolicyError {
        PolicyError::Failed { policy: self.id.clone(), hook, failure }
    }

    pub(crate) fn refused(&self, refusal: Refusal) -> PolicyError {
        let Refusal { kind, message } = refusal;
        PolicyError::Refused { policy: self.id.clone(), kind, message }
    }

    /// Makes one call into the policy, if its hook is in service.
    pub(crate) async fn ask<T, F: Future<Output = Result<T, Failure>>>(
        self: &Arc<Self>,
        hook: Hook,
        caller: u64,
        call: impl FnOnce(Arc<Policy>) -> F,
    ) -> Result<T, Failure> {
        let ticket = self.admit(hook, caller)?;
        let outcome = call(ticket.policy.clone()).await;
        ticket.settle(outcome.as_ref().err());
        outcome
    }

    /// Lets a call of `caller` into `hook`.
    ///
    /// # Errors
    /// [`Failure::OutOfService`].
    pub(crate) fn admit(self: &Arc<Self>, hook: Hook, caller: u64) -> Result<Ticket, Failure> {
        let policy = self.policy.clone().map_err(|unusable| unusable.failure())?;
        let admitted = self.watch(hook).breaker.admit(caller, Instant::now());
        let pass = Some(admitted.map_err(|wait| Failure::OutOfService(failing(wait)))?);
        Ok(Ticket { seat: self.clone(), policy, hook, pass })
    }

    /// Why `hook` is not in service without reserve; `None` when it is.
    pub(crate) fn absence(&self, hook: Hook) -> Option<Absence> {
        if let Err(Unusable { problem, since_unix_ms }) = &self.policy {
            let outage = Outage::Unusable(problem.clone());
            return Some(Absence { outage, since_unix_ms: *since_unix_ms, on_trial: false });
        }
        let watch = self.watch(hook);
        if watch.breaker.is_closed() {
            return None;
        }
        let wait = watch.breaker.is_open(Instant::now());
        let outage = failing(wait.unwrap_or_default());
        let since_unix_ms = watch.since_unix_ms;
        Some(Absence { outage, since_unix_ms, on_trial: wait.is_none() })
    }

    /// An operator put this revision in force again: every hook is back in service.
    pub(crate) fn reset(&self) {
        for hook in Hook::ALL {
            self.watch(hook).breaker.reset();
        }
    }

    /// When an open breaker wants its next probe; `None` when it is not open.
    pub(crate) fn probe_at(&self, hook: Hook) -> Option<Instant> {
        self.watch(hook).breaker.reopens()
    }

    /// How the host's own probe of `hook` ended.
    pub(crate) fn probed(self: &Arc<Self>, hook: Hook, outcome: Outcome) {
        let event = self.watch(hook).breaker.probed(outcome, Instant::now());
        self.happened(hook, event);
    }

    fn settle(self: &Arc<Self>, hook: Hook, pass: Pass, outcome: Outcome) {
        let event = self.watch(hook).breaker.settle(pass, outcome, Instant::now());
        self.happened(hook, event);
    }

    fn happened(self: &Arc<Self>, hook: Hook, event: Option<Event>) {
        let Some(event) = event else { return };
        if event == Event::Opened {
            self.watch(hook).since_unix_ms = now_ms();
        }
        (self.notice)(self, hook, event);
    }

    /// Logs a failure, unless this hook's failures were in the log just now.
    fn log(&self, hook: Hook, failure: &Failure) {
        let (id, now) = (&self.id, Instant::now());
        let mut watch = self.watch(hook);
        if watch.log_again.is_some_and(|again| now < again) {
            watch.unsaid += 1;
            return;
        }
        watch.log_again = Some(now + LOG_PAUSE);
        let unsaid = std::mem::take(&mut watch.unsaid);
        drop(watch);
        tracing::warn!(unsaid, "policy {id} failed in its {hook} hook: {failure}");
    }

    fn watch(&self, hook: Hook) -> MutexGuard<'_, Watch> {
        self.watches[hook].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unusable {
    fn failure(&self) -> Failure {
        Failure::OutOfService(Outage::Unusable(self.problem.clone()))
    }
}

fn failing(wait: Duration) -> Outage {
    Outage::Failing { retry_ms: wait.as_millis() as u64 }
}

impl Ticket {
    pub(crate) fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// The call ended, well or with a failure.
    pub(crate) fn settle(mut self, failure: Option<&Failure>) {
        if let Some(failure) = failure {
            self.seat.log(self.hook, failure);
        }
        self.end(match failure {
            None => Outcome::Good,
            Some(failure) if failure.is_the_policys() => Outcome::Failed,
            Some(_) => Outcome::Unknown,
        });
    }

    fn end(&mut self, outcome: Outcome) {
        if let Some(pass) = self.pass.take() {
            self.seat.settle(self.hook, pass, outcome);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.end(Outcome::Unknown);
    }
}
