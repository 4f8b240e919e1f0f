//! What happens around breakers: who takes over when one opens, the host's own probes, and what
//! operators are shown.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use super::{Policies, Registry, ledger::Ledger, probe};
use crate::{
    Activation, Cause, Hook, OnFailure, OutOfService, PolicyError, PolicyRef,
    breaker::{Event, Outcome},
    hook::table::spec,
    seat::{Notice, Seat, now_ms},
};

impl Policies {
    /// Every hook in force that is not in service without reserve.
    pub fn out_of_service(&self) -> Vec<OutOfService> {
        let snapshot = self.snapshot();
        let set = snapshot.set();
        let every =
            set.active.values().flat_map(|seat| seat.hooks.iter().map(move |hook| (seat, *hook)));
        let message = every.filter_map(|(seat, hook)| {
            let absence = seat.absence(hook)?;
            let in_pipeline = set.pipeline.of(hook).iter().any(|place| Arc::ptr_eq(place, seat));
            Some(OutOfService {
                policy: seat.id.name.clone(),
                revision: seat.id.revision.clone(),
                hook,
                reason: absence.outage.to_string(),
                since_unix_ms: absence.since_unix_ms,
                mode: seat.on_failure(hook).clone(),
                in_pipeline,
                on_trial: absence.on_trial,
                refuses: in_pipeline && snapshot.refuses(spec(hook), seat).is_some(),
            })
        });
        message.collect()
    }

    /// How often a hook was taken out of service since the process started.
    pub fn openings(&self) -> BTreeMap<(String, Hook), u64> {
        self.0.upkeep.openings.iter().map(|opened| (opened.key().clone(), *opened)).collect()
    }
}

impl Registry {
    /// What seats report to the registry. Everything that takes time is done aside.
    pub(super) fn notice(self: &Arc<Self>) -> Notice {
        let registry = Arc::downgrade(self);
        Arc::new(move |seat, hook, event| {
            let Some(registry) = registry.upgrade() else { return };
            // Calls run on a runtime; without one there is nobody to report to.
            let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
            match event {
                Event::Probe => drop(runtime.spawn(examine(registry, seat.clone(), hook))),
                Event::Opened => {
                    registry.opened(seat, hook);
                    runtime.spawn(recover(Arc::downgrade(&registry), Arc::downgrade(seat), hook));
                    let seat = seat.clone();
                    runtime.spawn_blocking(move || registry.give_way(&seat, hook));
                }
                Event::Closed => {
                    tracing::info!("the {hook} hook of policy {} is in service again", seat.id);
                }
            }
        })
    }

    fn opened(&self, seat: &Seat, hook: Hook) {
        *self.upkeep.openings.entry((seat.id.name.clone(), hook)).or_default() += 1;
        let mode = seat.on_failure(hook);
        tracing::error!(
            ?mode,
            "the {hook} hook of policy {} kept failing: out of service",
            seat.id
        );
    }

    /// Lets the last good revision take over, or the router before; else the policy keeps its place
    /// and its failure mode answers.
    fn give_way(self: &Arc<Self>, seat: &Seat, hook: Hook) {
        let failed = &seat.id;
        let problem = format!("revision {failed} kept failing in its {hook} hook");
        match self.end_canary(failed, Cause::Breaker, &problem) {
            Ok(None) => {}
            Ok(Some(_)) => return,
            Err(error) => return tracing::error!("{problem}, but it stays a canary: {error}"),
        }
        let keeps = *seat.on_failure(hook) == OnFailure::Refuse;
        let demote = |ledger: &mut Ledger| {
            let demoted = ledger.demote(failed, Cause::Breaker, &problem, now_ms());
            let reroute = hook == Hook::Route && !keeps;
            demoted
                .or_else(|| reroute.then(|| ledger.reroute(failed, &problem, now_ms())).flatten())
        };
        match self.change_if(demote, failed) {
            Ok(Some(_)) => tracing::error!("{problem}; another took over"),
            Ok(None) => tracing::error!("{problem}; nothing can take over, so it keeps its place"),
            Err(error) => tracing::error!("{problem}; nothing could take over: {error}"),
        }
    }

    /// Makes a change if there is one to make. A last good revision that can't be run is none.
    pub(super) fn change_if(
        self: &Arc<Self>,
        edit: impl Fn(&mut Ledger) -> Option<Activation>,
        failed: &PolicyRef,
    ) -> Result<Option<Activation>, PolicyError> {
        let change = |edit: &dyn Fn(&mut Ledger) -> Option<Activation>| {
            if edit(&mut self.book().ledger.clone()).is_none() {
                return Ok(None);
            }
            let gone = || PolicyError::UnknownPolicy { name: failed.name.clone() };
            self.change(|ledger| edit(ledger).ok_or_else(gone)).map(Some)
        };
        match change(&edit) {
            Err(PolicyError::Unusable { .. }) => change(&|ledger| {
                ledger.distrust(&failed.name);
                edit(ledger)
            }),
            done => done,
        }
    }
}

/// Tries a hook on the host's own calls: what no client has a say in.
async fn probed(registry: &Registry, seat: &Arc<Seat>, hook: Hook) -> Outcome {
    let (Ok(policy), Ok(_turn)) = (&seat.policy, registry.upkeep.probing.acquire().await) else {
        return Outcome::Unknown;
    };
    match probe::hook(&registry.on_probe(&registry.rules.load(), &seat.id, &policy.program), hook)
        .await
    {
        Ok(()) => Outcome::Good,
        Err((what, failure)) if failure.is_the_policys() => {
            tracing::warn!("policy {} failed its probe on {what} in {hook}: {failure}", seat.id);
            Outcome::Failed
        }
        Err(_) => Outcome::Unknown,
    }
}

async fn examine(registry: Arc<Registry>, seat: Arc<Seat>, hook: Hook) {
    let outcome = probed(&registry, &seat, hook).await;
    seat.probed(hook, outcome);
}

/// While a breaker is open: probes after each cool-down. Ends with the trial that a good probe begins,
/// or with the seat.
async fn recover(registry: Weak<Registry>, seat: Weak<Seat>, hook: Hook) {
    loop {
        let Some(at) = seat.upgrade().and_then(|seat| seat.probe_at(hook)) else { return };
        tokio::time::sleep_until(at.into()).await;
        let (Some(registry), Some(seat)) = (registry.upgrade(), seat.upgrade()) else { return };
        let outcome = probed(&registry, &seat, hook).await;
        seat.probed(hook, outcome);
    }
}
