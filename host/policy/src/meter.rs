//! What every policy did, counted per hook: for each revision, and for the policy as a whole.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{Failure, Hook, HookCounters, PerHook};

/// Counters of one policy over all its revisions, for as long as the process lives: what failed stays counted when
/// another revision has taken over.
#[derive(Default)]
pub(crate) struct Tally(PerHook<Mutex<HookCounters>>);

/// Counters of one revision of one policy, for as long as it is stored.
pub(crate) struct Meters {
    revision: Tally,
    policy: Arc<Tally>,
}

/// Where what one instance had and did is counted.
#[derive(Clone)]
pub(crate) struct Gauge {
    pub(crate) meters: Arc<Meters>,
    pub(crate) hook: Hook,
}

impl Gauge {
    /// The instance had `bytes` of memory at its end, which is the most that it ever had.
    pub(crate) fn ended(&self, bytes: u64) {
        self.meters.memory(self.hook, bytes);
    }

    /// A request of the instance came to its end.
    pub(crate) fn request(&self, how: &'static str) {
        let count =
            |counters: &mut HookCounters| *counters.http_requests.entry(how).or_default() += 1;
        self.meters.count(self.hook, count);
    }
}

impl Meters {
    /// Of a revision of the policy whose tally this is.
    pub(crate) fn new(policy: Arc<Tally>) -> Self {
        Self { revision: Tally::default(), policy }
    }

    /// One call into the component, of which the guest had `own` for itself, and how it failed if
    /// it did.
    pub(crate) fn call(
        &self,
        hook: Hook,
        took: Duration,
        own: Duration,
        failure: Option<&Failure>,
    ) {
        self.count(hook, |counters| {
            counters.calls += 1;
            counters.total_us += took.as_micros() as u64;
            counters.guest_us += own.as_micros() as u64;
            counters.host_us += took.saturating_sub(own).as_micros() as u64;
            if let Some(failure) = failure {
                *counters.failures.entry(failure.code()).or_default() += 1;
            }
        });
    }

    /// One call turned away on purpose.
    pub(crate) fn refusal(&self, hook: Hook) {
        self.count(hook, |counters| counters.refusals += 1);
    }

    /// One fresh instance.
    pub(crate) fn instance(&self, hook: Hook, took: Duration) {
        let us = took.as_micros() as u64;
        self.count(hook, |counters| {
            counters.instances += 1;
            counters.instance_total_us += us;
            counters.instance_max_us = counters.instance_max_us.max(us);
        });
    }

    /// One thing asked of experts, and the tokens that they spent on it.
    pub(crate) fn asked(&self, hook: Hook, tokens: u64) {
        self.count(hook, |counters| {
            counters.asks += 1;
            counters.asked_tokens += tokens;
        });
    }

    /// The end of an instance, and the bytes of memory that it had come to.
    fn memory(&self, hook: Hook, bytes: u64) {
        self.count(hook, |counters| {
            counters.memory_total_bytes += bytes;
            counters.memory_max_bytes = counters.memory_max_bytes.max(bytes);
        });
    }

    /// The counters of `hooks`.
    pub(crate) fn read(&self, hooks: &[Hook]) -> BTreeMap<Hook, HookCounters> {
        hooks.iter().map(|hook| (*hook, self.revision.of(*hook).clone())).collect()
    }

    fn count(&self, hook: Hook, what: impl Fn(&mut HookCounters)) {
        for tally in [&self.revision, &*self.policy] {
            what(&mut tally.of(hook));
        }
    }
}

impl Tally {
    /// The counters of the hooks that were called.
    pub(crate) fn read(&self) -> BTreeMap<Hook, HookCounters> {
        let counters = Hook::ALL.into_iter().map(|hook| (hook, self.of(hook).clone()));
        counters.filter(|(_, counters)| counters.calls > 0).collect()
    }

    fn of(&self, hook: Hook) -> MutexGuard<'_, HookCounters> {
        self.0[hook].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
