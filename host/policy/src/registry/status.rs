//! What operators read of the registry.

use std::collections::BTreeMap;

use super::{
    Policies, Registry,
    book::Book,
    ledger::{Slot, Stored},
};
use crate::{
    Activation, BucketStatus, Hook, HookCounters, OutOfService, PipelineStatus, PolicyRef,
    PolicySettings, PolicyStatus, RevisionStatus, import, snapshot::Set,
};

impl Policies {
    /// Every policy, by name.
    pub fn list(&self) -> Vec<PolicyStatus> {
        let (out, set) = (self.out_of_service(), self.0.current.load());
        let book = self.0.book();
        let policies = book.ledger.policies.iter();
        let rules = self.0.rules.load();
        let status = |(name, slot): (&String, &Slot)| PolicyStatus {
            bucket: self.0.bucket(name, slot),
            ..book.status(&rules.settings, name, slot, &out, &set)
        };
        policies.map(status).collect()
    }

    /// One policy.
    pub fn show(&self, name: &str) -> Option<PolicyStatus> {
        let (out, set) = (self.out_of_service(), self.0.current.load());
        let book = self.0.book();
        let slot = book.ledger.policies.get(name)?;
        let bucket = self.0.bucket(name, slot);
        Some(PolicyStatus {
            bucket,
            ..book.status(&self.0.rules.load().settings, name, slot, &out, &set)
        })
    }

    /// The pipeline as it runs.
    pub fn pipeline(&self) -> PipelineStatus {
        let set = self.0.current.load();
        let policies = set.pipeline.filter_map(|seat| Some(seat.id.clone()));
        PipelineStatus { generation: set.generation, policies }
    }

    /// What every policy did since the process started, over all its revisions: by name, per hook.
    pub fn totals(&self) -> BTreeMap<String, BTreeMap<Hook, HookCounters>> {
        let book = self.0.book();
        book.tallies.iter().map(|(name, tally)| (name.clone(), tally.read())).collect()
    }

    /// Every remembered change of the policies in force, oldest first.
    pub fn history(&self) -> Vec<Activation> {
        self.0.book().ledger.history.clone()
    }
}

impl Registry {
    /// What a policy keeps, if its revision in force may keep something.
    fn bucket(&self, name: &str, slot: &Slot) -> Option<BucketStatus> {
        let keeps = slot.current().is_some_and(|stored| import::keeps(&stored.imports));
        keeps.then(|| self.buckets.status(name)).flatten()
    }
}

impl Book {
    fn status(
        &self,
        settings: &PolicySettings,
        name: &str,
        slot: &Slot,
        out_of_service: &[OutOfService],
        set: &Set,
    ) -> PolicyStatus {
        let current = slot.current();
        let hooks = current.map(|stored| stored.hooks.clone()).unwrap_or_default();
        let modes = hooks.iter().map(|hook| (*hook, settings.on_failure(name, *hook).clone()));
        PolicyStatus {
            name: name.to_string(),
            requested: slot.requested.clone(),
            active: slot.active.clone(),
            last_good: slot.last_good.clone(),
            imports: current.map(|stored| stored.imports.clone()).unwrap_or_default(),
            learns: set.active.get(name).is_some_and(|seat| seat.learns()),
            in_pipeline: self.ledger.pipeline.places(name),
            on_failure: modes.collect(),
            counters: self.counters(name, slot.active.as_deref(), &hooks),
            hooks,
            out_of_service: out_of_service
                .iter()
                .filter(|out| out.policy == name)
                .cloned()
                .collect(),
            problem: slot.problem.clone().or_else(|| self.unusable(name, slot)),
            shadow: set.shadows.get(name).map(|shadow| shadow.status()),
            canary: set.canaries.get(name).map(|canary| canary.status()),
            bucket: None,
            revisions: slot
                .revisions
                .iter()
                .rev()
                .map(|stored| self.revision(name, stored))
                .collect(),
        }
    }

    fn unusable(&self, name: &str, slot: &Slot) -> Option<String> {
        let id = PolicyRef { name: name.to_string(), revision: slot.active.clone()? };
        self.unusable.get(&id).map(|unusable| unusable.problem.clone())
    }

    fn revision(&self, name: &str, stored: &Stored) -> RevisionStatus {
        RevisionStatus {
            revision: stored.revision.clone(),
            bytes: stored.bytes,
            uploaded_unix_ms: stored.uploaded_unix_ms,
            hooks: stored.hooks.clone(),
            imports: stored.imports.clone(),
            counters: self.counters(name, Some(&stored.revision), &stored.hooks),
        }
    }

    fn counters(
        &self,
        name: &str,
        revision: Option<&str>,
        hooks: &[Hook],
    ) -> BTreeMap<Hook, HookCounters> {
        let Some(revision) = revision else { return BTreeMap::new() };
        let id = PolicyRef { name: name.to_string(), revision: revision.to_string() };
        self.meters.get(&id).map(|meters| meters.read(hooks)).unwrap_or_default()
    }
}
