//! What every revision did, counted per hook.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{Failure, Hook, HookCounters, PerHook};

/// Counters of one revision of one policy, for as long as it is stored.
#[derive(Default)]
pub(crate) struct Meters(PerHook<Mutex<HookCounters>>);

impl Meters {
    /// One call into the component, of which the guest had `own` for itself, and how it failed if
    /// it did.
    pub(crate) fn call(
        &self,
        hook: Hook,
        took: Duration,
        own: Duration,
        failure: Option<&Failure>,
    ) {
        let mut counters = self.of(hook);
        counters.calls += 1;
        counters.total_us += took.as_micros() as u64;
        counters.guest_us += own.as_micros() as u64;
        counters.host_us += took.saturating_sub(own).as_micros() as u64;
        if let Some(failure) = failure {
            *counters.failures.entry(failure.code()).or_default() += 1;
        }
    }

    /// One call turned away on purpose.
    pub(crate) fn refusal(&self, hook: Hook) {
        self.of(hook).refusals += 1;
    }

    /// One fresh instance.
    pub(crate) fn instance(&self, hook: Hook, took: Duration) {
        let us = took.as_micros() as u64;
        let mut counters = self.of(hook);
        counters.instances += 1;
        counters.instance_total_us += us;
        counters.instance_max_us = counters.instance_max_us.max(us);
    }

    /// The counters of `hooks`.
    pub(crate) fn read(&self, hooks: &[Hook]) -> BTreeMap<Hook, HookCounters> {
        hooks.iter().map(|hook| (*hook, self.of(*hook).clone())).collect()
    }

    fn of(&self, hook: Hook) -> MutexGuard<'_, HookCounters> {
        self.0[hook].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
