//! What the registry remembers, and every way it may change. Pure data: no files, no WebAssembly.
//! A change is made on a copy; the registry keeps the copy only when all of it could be done.

mod places;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{Activation, Cause, Change, Hook, Pipeline, PolicyError, PolicyRef};

/// The layout of the state file.
const VERSION: u32 = 1;

/// The policies there are, the pipeline, and how it came to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Ledger {
    version: u32,
    pub(super) generation: u64,
    pub(super) pipeline: Pipeline,
    pub(super) policies: BTreeMap<String, Slot>,
    /// Oldest first.
    pub(super) history: Vec<Activation>,
}

/// One policy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Slot {
    pub(super) requested: Option<String>,
    pub(super) active: Option<String>,
    pub(super) last_good: Option<String>,
    pub(super) problem: Option<String>,
    /// Oldest first.
    pub(super) revisions: Vec<Stored>,
}

/// One revision on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) revision: String,
    pub(super) bytes: u64,
    pub(super) uploaded_unix_ms: u64,
    pub(super) hooks: Vec<Hook>,
    pub(super) imports: Vec<String>,
}

impl Slot {
    pub(super) fn find(&self, revision: &str) -> Option<&Stored> {
        self.revisions.iter().find(|stored| stored.revision == revision)
    }

    /// The revision in force.
    pub(super) fn current(&self) -> Option<&Stored> {
        self.find(self.active.as_deref()?)
    }

    fn hooks(&self) -> &[Hook] {
        self.current().map_or(&[], |stored| &stored.hooks)
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            version: VERSION,
            generation: 0,
            pipeline: Pipeline::default(),
            policies: BTreeMap::new(),
            history: Vec::new(),
        }
    }
}

// === Reading ===

impl Ledger {
    /// Reads the state file; the error is for people.
    pub(super) fn parse(text: &[u8]) -> Result<Ledger, String> {
        #[derive(Deserialize)]
        struct Layout {
            version: u32,
        }
        let Layout { version } = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if version != VERSION {
            return Err(format!("it has layout {version} and this program knows {VERSION}"));
        }
        let ledger: Ledger = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        ledger.check_whole()?;
        Ok(ledger)
    }

    /// Refuses a state that this program can't have written: following it would drop policies from
    /// the pipeline, or lead out of the registry's folder.
    fn check_whole(&self) -> Result<(), String> {
        for (hook, name) in self.pipeline.names() {
            let slot = self.policies.get(name);
            let slot =
                slot.ok_or_else(|| format!("its pipeline has '{name}', which it does not know"))?;
            if !slot.hooks().contains(&hook) {
                return Err(format!(
                    "its pipeline has '{name}' under {hook} without a revision for it"
                ));
            }
        }
        for (name, slot) in &self.policies {
            let sha256 =
                |text: &str| text.len() == 64 && text.bytes().all(|c| c.is_ascii_hexdigit());
            if let Some(odd) = slot.revisions.iter().find(|known| !sha256(&known.revision)) {
                return Err(format!("'{}' of policy '{name}' is no sha256", odd.revision));
            }
            if slot.active.is_some() && slot.current().is_none() {
                return Err(format!(
                    "the revision of '{name}' in force is not among its revisions"
                ));
            }
        }
        Ok(())
    }

    /// The state file's text.
    pub(super) fn text(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec_pretty(self)
    }

    /// Every stored revision of every policy.
    pub(super) fn revisions(&self) -> impl Iterator<Item = &str> {
        self.policies.values().flat_map(|slot| &slot.revisions).map(|known| known.revision.as_str())
    }

    /// The revisions in force.
    pub(super) fn active(&self) -> impl Iterator<Item = PolicyRef> {
        self.policies.iter().filter_map(|(name, slot)| {
            Some(PolicyRef { name: name.clone(), revision: slot.active.clone()? })
        })
    }

    fn slot(&self, name: &str) -> Result<&Slot, PolicyError> {
        self.policies.get(name).ok_or_else(|| PolicyError::UnknownPolicy { name: name.into() })
    }

    /// The one revision of `name` that begins with `prefix`.
    pub(super) fn resolve(&self, name: &str, prefix: &str) -> Result<String, PolicyError> {
        let wanted = prefix.to_ascii_lowercase();
        let known = self.slot(name)?.revisions.iter().map(|stored| &stored.revision);
        let fits: Vec<&String> = known.filter(|known| known.starts_with(&wanted)).collect();
        match fits[..] {
            [one] if !prefix.is_empty() => Ok(one.clone()),
            [] | [_] => {
                Err(PolicyError::UnknownRevision { name: name.into(), revision: prefix.into() })
            }
            _ => Err(PolicyError::AmbiguousRevision {
                name: name.into(),
                prefix: prefix.into(),
                matches: fits.len(),
            }),
        }
    }

    /// The change that a rollback would undo: the newest one by an operator that was not undone
    /// yet.
    fn undoable(&self, name: Option<&str>) -> Option<&Activation> {
        let undone: BTreeSet<u64> = self.history.iter().filter_map(|past| past.undoes).collect();
        self.history.iter().rev().find(|past| {
            let by_operator =
                matches!(past.cause, Cause::Activate | Cause::Deactivate | Cause::Pipeline);
            let meant = name.is_none() || past.policy.as_deref() == name;
            by_operator && meant && !undone.contains(&past.generation)
        })
    }

    /// Why `revision` of `name` must stay.
    fn needed(&self, name: &str, revision: &str) -> Option<&'static str> {
        let slot = self.policies.get(name)?;
        if slot.active.as_deref() == Some(revision) {
            return Some("it is in force");
        }
        if slot.last_good.as_deref() == Some(revision) {
            return Some("it takes over when the revision in force fails");
        }
        let before = [self.undoable(Some(name)), self.undoable(None)];
        let wanted = before
            .into_iter()
            .flatten()
            .flat_map(|past| &past.changes)
            .any(|change| change.policy == name && change.from.as_deref() == Some(revision));
        wanted.then_some("a rollback would bring it back")
    }

    /// Revisions whose code should stay ready: in force, about to be, or a step away.
    pub(super) fn warm(&self) -> BTreeSet<String> {
        let mut warm = BTreeSet::new();
        for (name, slot) in &self.policies {
            let newest = slot.revisions.last().map(|stored| stored.revision.clone());
            let back = self.undoable(Some(name)).into_iter().flat_map(|past| &past.changes);
            warm.extend(
                [slot.active.clone(), slot.last_good.clone(), newest].into_iter().flatten(),
            );
            warm.extend(back.filter_map(|change| change.from.clone()));
        }
        warm
    }
}

// === Changing ===

impl Ledger {
    /// Stores a revision; what nothing needs beyond `keep` revisions is forgotten.
    pub(super) fn add(&mut self, name: &str, stored: Stored, keep: usize) {
        let slot = self.policies.entry(name.to_string()).or_default();
        slot.revisions.retain(|known| known.revision != stored.revision);
        slot.revisions.push(stored);
        while self.policies[name].revisions.len() > keep {
            let known = &self.policies[name].revisions;
            let older = &known[..known.len() - 1];
            let Some(at) = older.iter().position(|old| self.needed(name, &old.revision).is_none())
            else {
                return;
            };
            self.policies.entry(name.to_string()).or_default().revisions.remove(at);
        }
    }

    /// Forgets a revision, and the policy with its last one.
    pub(super) fn remove(&mut self, name: &str, revision: &str) -> Result<(), PolicyError> {
        if let Some(reason) = self.needed(name, revision) {
            let policy = PolicyRef { name: name.into(), revision: revision.into() };
            return Err(PolicyError::InUse { policy, reason });
        }
        if let Some(slot) = self.policies.get_mut(name) {
            slot.revisions.retain(|stored| stored.revision != revision);
            if slot.revisions.is_empty() {
                self.policies.remove(name);
            }
        }
        Ok(())
    }

    /// Puts a revision in force: a router replaces the router, others join the pipeline's end.
    pub(super) fn activate(
        &mut self,
        name: &str,
        revision: &str,
        now: u64,
    ) -> Result<Activation, PolicyError> {
        self.slot(name)?;
        Ok(self.change(Cause::Activate, Some(name), now, |ledger| {
            let placed = !ledger.pipeline.places(name).is_empty();
            let slot = ledger.policies.entry(name.to_string()).or_default();
            let had = slot.hooks().to_vec();
            if slot.active.as_deref() != Some(revision) {
                slot.last_good = slot.active.take().or(slot.last_good.take());
            }
            slot.active = Some(revision.to_string());
            slot.requested = slot.active.clone();
            slot.problem = None;
            let joins = |hook: &&Hook| **hook == Hook::Route || !placed || !had.contains(hook);
            for hook in slot.hooks().to_vec().iter().filter(joins) {
                ledger.pipeline.join(name, *hook);
            }
        }))
    }

    /// Takes a policy out.
    pub(super) fn deactivate(&mut self, name: &str, now: u64) -> Result<Activation, PolicyError> {
        self.slot(name)?;
        Ok(self.change(Cause::Deactivate, Some(name), now, |ledger| {
            let slot = ledger.policies.entry(name.to_string()).or_default();
            (slot.active, slot.requested, slot.problem) = (None, None, None);
        }))
    }

    /// Sets who is called and in which order.
    pub(super) fn set_pipeline(
        &mut self,
        pipeline: Pipeline,
        now: u64,
    ) -> Result<Activation, PolicyError> {
        let mut seen = BTreeSet::new();
        for (hook, name) in pipeline.names() {
            let slot = self.slot(name)?;
            if !slot.hooks().contains(&hook) {
                return Err(not_callable(name, slot, hook));
            }
            if !seen.insert((hook, name)) {
                let message = format!("'{name}' stands twice under {hook}; name it once");
                return Err(PolicyError::InvalidPipeline { message });
            }
        }
        Ok(self.change(Cause::Pipeline, None, now, |ledger| ledger.pipeline = pipeline.clone()))
    }

    /// Goes back to the state before the last change by an operator; of one policy, if named.
    pub(super) fn roll_back(
        &mut self,
        name: Option<&str>,
        now: u64,
    ) -> Result<Activation, PolicyError> {
        if let Some(name) = name {
            self.slot(name)?;
        }
        let past = self.undoable(name).cloned().ok_or(PolicyError::NothingToRollBack)?;
        self.check_stored(&past.changes)?;
        let activation = self.change(Cause::Rollback, name, now, |ledger| {
            for change in &past.changes {
                ledger.reinstate(change);
            }
            match name {
                Some(name) => ledger.pipeline.restore(name, &past.before),
                None => ledger.pipeline.clone_from(&past.before),
            }
        });
        if let Some(newest) = self.history.last_mut() {
            newest.undoes = Some(past.generation);
        }
        Ok(Activation { undoes: Some(past.generation), ..activation })
    }

    fn check_stored(&self, changes: &[Change]) -> Result<(), PolicyError> {
        for Change { policy, from, .. } in changes {
            let stored = |revision| self.slot(policy).ok().and_then(|slot| slot.find(revision));
            if let Some(gone) = from.as_ref().filter(|revision| stored(revision).is_none()) {
                let (name, revision) = (policy.clone(), gone.clone());
                return Err(PolicyError::UnknownRevision { name, revision });
            }
        }
        Ok(())
    }

    fn reinstate(&mut self, change: &Change) {
        let slot = self.policies.entry(change.policy.clone()).or_default();
        slot.active.clone_from(&change.from);
        slot.requested.clone_from(&change.from);
        slot.last_good = slot.last_good.take().filter(|good| slot.active.as_ref() != Some(good));
        slot.problem = None;
    }

    /// The revision that takes over from the one of `name` in force: the last good one, if it has
    /// every hook in which the pipeline calls the policy.
    pub(super) fn successor(&self, name: &str) -> Option<String> {
        let slot = self.policies.get(name)?;
        let good = slot.find(slot.last_good.as_deref()?)?;
        let whole = self.pipeline.places(name).iter().all(|hook| good.hooks.contains(hook));
        let other = slot.active.as_deref() != Some(&good.revision);
        (whole && other).then(|| good.revision.clone())
    }

    /// Lets the last good revision take over from one that can't go on. Without one, nothing
    /// changes and this is `None`: the policy keeps its place.
    pub(super) fn demote(
        &mut self,
        failed: &PolicyRef,
        cause: Cause,
        problem: &str,
        now: u64,
    ) -> Option<Activation> {
        let slot = self.policies.get(&failed.name)?;
        (slot.active.as_ref() == Some(&failed.revision)).then_some(())?;
        let good = self.successor(&failed.name)?;
        Some(self.change(cause, Some(&failed.name), now, |ledger| {
            let slot = ledger.policies.entry(failed.name.clone()).or_default();
            (slot.active, slot.last_good) = (Some(good), None);
            slot.problem = Some(problem.to_string());
        }))
    }

    /// Lets the router before `failed` route again. `None` when there is no other router in force.
    pub(super) fn reroute(
        &mut self,
        failed: &PolicyRef,
        problem: &str,
        now: u64,
    ) -> Option<Activation> {
        let slot = self.policies.get(&failed.name)?;
        let routes = self.pipeline.route.as_ref() == Some(&failed.name);
        (routes && slot.active.as_ref() == Some(&failed.revision)).then_some(())?;
        let able = |name: &&String| {
            **name != failed.name
                && self.policies.get(*name).is_some_and(|slot| slot.hooks().contains(&Hook::Route))
        };
        let routers = self.history.iter().rev().filter_map(|past| past.before.route.as_ref());
        let before = routers.clone().find(able)?.clone();
        Some(self.change(Cause::Breaker, Some(&failed.name), now, |ledger| {
            ledger.pipeline.route = Some(before);
            let slot = ledger.policies.entry(failed.name.clone()).or_default();
            slot.problem = Some(problem.to_string());
        }))
    }

    /// Forgets that a revision was good: it could not be run either.
    pub(super) fn distrust(&mut self, name: &str) {
        if let Some(slot) = self.policies.get_mut(name) {
            slot.last_good = None;
        }
    }

    /// Remembers at most `keep` activations.
    pub(super) fn trim(&mut self, keep: usize) {
        let excess = self.history.len().saturating_sub(keep);
        self.history.drain(..excess);
    }

    /// Makes a change and writes it into the history.
    fn change(
        &mut self,
        cause: Cause,
        policy: Option<&str>,
        now: u64,
        edit: impl FnOnce(&mut Ledger),
    ) -> Activation {
        let (before, was) = (self.pipeline.clone(), self.in_force());
        edit(self);
        self.settle();
        self.generation += 1;
        let activation = Activation {
            generation: self.generation,
            at_unix_ms: now,
            cause,
            policy: policy.map(Into::into),
            changes: differences(&was, &self.in_force()),
            before,
            after: self.pipeline.clone(),
            undoes: None,
        };
        self.history.push(activation.clone());
        activation
    }

    fn in_force(&self) -> BTreeMap<String, Option<String>> {
        self.policies.iter().map(|(name, slot)| (name.clone(), slot.active.clone())).collect()
    }

    /// Takes out of the pipeline whoever has no revision in force with that hook: an operator took it
    /// away. Failures and damage leave a revision in force.
    fn settle(&mut self) {
        let policies = &self.policies;
        let stays = |name: &String, hook| {
            policies.get(name).is_some_and(|slot| slot.hooks().contains(&hook))
        };
        self.pipeline.pre.retain(|name| stays(name, Hook::Pre));
        self.pipeline.post.retain(|name| stays(name, Hook::Post));
        self.pipeline.route = self.pipeline.route.take().filter(|name| stays(name, Hook::Route));
    }
}

fn not_callable(name: &str, slot: &Slot, hook: Hook) -> PolicyError {
    let message = match &slot.active {
        None => format!("'{name}' has no revision in force; activate one first"),
        Some(_) => format!("'{name}' has no {hook} hook; take it out of {hook}"),
    };
    PolicyError::InvalidPipeline { message }
}

fn differences(
    was: &BTreeMap<String, Option<String>>,
    is: &BTreeMap<String, Option<String>>,
) -> Vec<Change> {
    let changed = is.iter().filter_map(|(name, to)| {
        let from = was.get(name).cloned().flatten();
        (from != *to).then(|| Change { policy: name.clone(), from, to: to.clone() })
    });
    changed.collect()
}

#[cfg(test)]
pub(super) mod tests;
