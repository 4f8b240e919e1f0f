//! Every way the state may change.

use std::collections::{BTreeMap, BTreeSet};

use super::{Ledger, Slot, Stored};
use crate::{Activation, Cause, Change, Hook, Pipeline, PolicyError, PolicyRef};

impl Ledger {
    /// Stores a revision; what nothing needs beyond `keep` revisions is forgotten.
    pub(in crate::registry) fn add(&mut self, name: &str, stored: Stored, keep: usize) {
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
    pub(in crate::registry) fn remove(
        &mut self,
        name: &str,
        revision: &str,
    ) -> Result<(), PolicyError> {
        if let Some(reason) = self.needed(name, revision) {
            let policy = PolicyRef { name: name.into(), revision: revision.into() };
            return Err(PolicyError::InUse { policy, reason });
        }
        if let Some(slot) = self.policies.get_mut(name) {
            slot.revisions.retain(|stored| stored.revision != revision);
            slot.last_good.take_if(|good| good == revision);
            if slot.revisions.is_empty() {
                self.policies.remove(name);
            }
        }
        Ok(())
    }

    /// Puts a revision in force: a router replaces the router, others join the pipeline's end.
    pub(in crate::registry) fn activate(
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
            (slot.problem, slot.canary) = (None, None);
            let joins = |hook: &&Hook| **hook == Hook::Route || !placed || !had.contains(hook);
            for hook in slot.hooks().to_vec().iter().filter(joins) {
                ledger.pipeline.join(name, *hook);
            }
        }))
    }

    /// Takes a policy out.
    pub(in crate::registry) fn deactivate(
        &mut self,
        name: &str,
        now: u64,
    ) -> Result<Activation, PolicyError> {
        self.slot(name)?;
        Ok(self.change(Cause::Deactivate, Some(name), now, |ledger| {
            let slot = ledger.policies.entry(name.to_string()).or_default();
            (slot.active, slot.requested, slot.problem) = (None, None, None);
        }))
    }

    /// Sets who is called and in which order.
    pub(in crate::registry) fn set_pipeline(
        &mut self,
        pipeline: Pipeline,
        now: u64,
    ) -> Result<Activation, PolicyError> {
        let mut seen = BTreeSet::new();
        for (hook, name) in pipeline.iter() {
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
    pub(in crate::registry) fn roll_back(
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

    /// The same, but a canary that is newer goes first; and but for what nobody who says "back" means: to leave no router where there is one, or to bring
    /// back what was taken out of force on purpose. On an error this ledger is to be thrown away.
    pub(in crate::registry) fn roll_back_if_clear(
        &mut self,
        name: Option<&str>,
        now: u64,
    ) -> Result<Activation, PolicyError> {
        if let Some(canary) = self.newest_canary(name) {
            return Ok(self.change(Cause::Rollback, Some(&canary), now, |ledger| {
                ledger.policies.entry(canary.clone()).or_default().canary = None;
            }));
        }
        let unclear = |message| Err(PolicyError::RollbackUnclear { message });
        if let Some(past) = self.undoable(name).filter(|_| name.is_none())
            && past.cause == Cause::Deactivate
        {
            let policy = past.policy.as_deref().unwrap_or_default();
            return unclear(format!(
                "the newest change took '{policy}' out of force, so undoing it would bring '{policy}' \
                 back; if you mean that, roll back '{policy}' by name or activate a revision of it"
            ));
        }
        let undone = self.roll_back(name, now)?;
        if undone.before.route.is_some() && undone.after.route.is_none() {
            return unclear(format!(
                "undoing change {} would leave no router, so the host's own default would choose; \
                 activate the router that you want, or deactivate this one",
                undone.undoes.unwrap_or_default()
            ));
        }
        Ok(undone)
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
    pub(in crate::registry) fn successor(&self, name: &str) -> Option<String> {
        let slot = self.policies.get(name)?;
        let good = slot.find(slot.last_good.as_deref()?)?;
        let whole = self.pipeline.places(name).iter().all(|hook| good.hooks.contains(hook));
        let other = slot.active.as_deref() != Some(&good.revision);
        (whole && other).then(|| good.revision.clone())
    }

    /// Lets the last good revision take over from one that can't go on. Without one, nothing
    /// changes and this is `None`: the policy keeps its place.
    pub(in crate::registry) fn demote(
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
    pub(in crate::registry) fn reroute(
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
    pub(in crate::registry) fn distrust(&mut self, name: &str) {
        if let Some(slot) = self.policies.get_mut(name) {
            slot.last_good = None;
        }
    }

    /// Remembers at most `keep` activations.
    pub(in crate::registry) fn trim(&mut self, keep: usize) {
        let excess = self.history.len().saturating_sub(keep);
        self.history.drain(..excess);
    }

    /// Makes a change and writes it into the history.
    pub(super) fn change(
        &mut self,
        cause: Cause,
        policy: Option<&str>,
        now: u64,
        edit: impl FnOnce(&mut Ledger),
    ) -> Activation {
        let (before, was) = (self.pipeline.clone(), self.in_force());
        let canaries = self.canary_revisions();
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
            canaries: differences(&canaries, &self.canary_revisions()),
            reason: None,
        };
        self.history.push(activation.clone());
        activation
    }

    fn in_force(&self) -> BTreeMap<String, Option<String>> {
        self.policies.iter().map(|(name, slot)| (name.clone(), slot.active.clone())).collect()
    }

    /// Takes out of the pipeline whoever has no revision in force with that hook: an operator took it away, and ends
    /// trials that have nothing to stand beside any more. Failures and damage leave a revision in force.
    fn settle(&mut self) {
        let policies = &self.policies;
        let has = |name: &String, hook| {
            policies.get(name).is_some_and(|slot| slot.hooks().contains(&hook))
        };
        self.pipeline.retain(|hook, name| has(name, hook));
        self.settle_trials();
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
