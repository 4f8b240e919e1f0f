//! Revisions on trial beside the one in force: in its shadow, or as a canary.

use std::collections::BTreeMap;

use super::{Canary, Ledger, Slot};
use crate::{Activation, Cause, Hook, PolicyError, PolicyRef};

impl Ledger {
    /// Lets a revision work in the shadow of the one in force: the hooks in which they are compared.
    pub(in crate::registry) fn cast(
        &mut self,
        name: &str,
        revision: &str,
    ) -> Result<Vec<Hook>, PolicyError> {
        let slot = self.slot(name)?;
        let policy = PolicyRef { name: name.into(), revision: revision.into() };
        let no = |why| Err(PolicyError::NoShadow { policy: policy.clone(), why });
        if slot.active.is_none() {
            return no("no revision is in force to compare it with; activate it");
        }
        if slot.active.as_deref() == Some(revision) {
            return no("it is in force; name another revision");
        }
        let hooks = slot.compared(revision);
        if hooks.is_empty() {
            return no(
                "it has neither `pre` nor `route` in common with the revision in force, and replies in `post` \
                       are not worked on twice; try it as a canary",
            );
        }
        self.policies.entry(name.to_string()).or_default().shadow = Some(revision.to_string());
        Ok(hooks)
    }

    /// Ends the shadow of a policy.
    pub(in crate::registry) fn uncast(&mut self, name: &str) -> Result<(), PolicyError> {
        self.slot(name)?;
        match self.policies.get_mut(name).and_then(|slot| slot.shadow.take()) {
            Some(_) => Ok(()),
            None => Err(PolicyError::NoShadowThere { name: name.into() }),
        }
    }

    /// Lets a revision answer a share of the calls.
    pub(in crate::registry) fn begin_canary(
        &mut self,
        name: &str,
        revision: &str,
        percent: u32,
        now: u64,
    ) -> Result<Activation, PolicyError> {
        let slot = self.slot(name)?;
        let no = |why: String| {
            let policy = PolicyRef { name: name.into(), revision: revision.into() };
            Err(PolicyError::NoCanary { policy, why })
        };
        if slot.active.is_none() {
            return no("no revision is in force beside which it could be one; activate it".into());
        }
        if slot.active.as_deref() == Some(revision) {
            return no("it is in force; name another revision".into());
        }
        let lacks = self.lacks(name, slot, revision);
        if let Some(hook) = lacks {
            return no(format!(
                "it has no {hook} hook, in which the pipeline calls the policy, so its calls would pass unexamined; take \
                 the policy out of {hook} first"
            ));
        }
        let (revision, generation) = (revision.to_string(), self.generation + 1);
        let canary = Canary { revision, percent, generation, since_unix_ms: now };
        Ok(self.change(Cause::Canary, Some(name), now, |ledger| {
            let slot = ledger.policies.entry(name.to_string()).or_default();
            (slot.canary, slot.problem) = (Some(canary), None);
        }))
    }

    /// Puts a canary in force for all calls.
    pub(in crate::registry) fn promote(
        &mut self,
        name: &str,
        now: u64,
    ) -> Result<Activation, PolicyError> {
        match self.slot(name)?.canary.clone() {
            Some(canary) => self.activate(name, &canary.revision, now),
            None => Err(PolicyError::NoCanaryThere { name: name.into() }),
        }
    }

    /// Ends the canary `failed`; the revision in force answers its calls. `None` when it is none.
    pub(in crate::registry) fn end_canary(
        &mut self,
        failed: &PolicyRef,
        cause: Cause,
        problem: &str,
        now: u64,
    ) -> Option<Activation> {
        let canary = self.policies.get(&failed.name)?.canary.as_ref()?;
        (canary.revision == failed.revision).then_some(())?;
        let activation = self.change(cause, Some(&failed.name), now, |ledger| {
            let slot = ledger.policies.entry(failed.name.clone()).or_default();
            (slot.canary, slot.problem) = (None, Some(problem.to_string()));
        });
        let reason = Some(problem.to_string());
        if let Some(newest) = self.history.last_mut() {
            newest.reason.clone_from(&reason);
        }
        Some(Activation { reason, ..activation })
    }

    /// The canaries.
    pub(in crate::registry) fn canaries(&self) -> impl Iterator<Item = PolicyRef> {
        self.policies.iter().filter_map(|(name, slot)| {
            let revision = slot.canary.as_ref()?.revision.clone();
            Some(PolicyRef { name: name.clone(), revision })
        })
    }

    pub(super) fn canary_revisions(&self) -> BTreeMap<String, Option<String>> {
        let of = |slot: &Slot| slot.canary.as_ref().map(|canary| canary.revision.clone());
        self.policies.iter().map(|(name, slot)| (name.clone(), of(slot))).collect()
    }

    /// Whose canary goes when `name` is rolled back; of all, that which began after the newest change that a
    /// rollback would undo.
    pub(super) fn newest_canary(&self, name: Option<&str>) -> Option<String> {
        let running =
            self.policies.iter().filter_map(|(of, slot)| Some((of, slot.canary.as_ref()?)));
        if let Some(name) = name {
            return running.map(|(of, _)| of.clone()).find(|of| of == name);
        }
        let before = self.undoable(None).map_or(0, |past| past.generation);
        let newest = running.max_by_key(|(_, canary)| canary.generation)?;
        (newest.1.generation > before).then(|| newest.0.clone())
    }

    /// Ends trials that have nothing to stand beside any more.
    pub(super) fn settle_trials(&mut self) {
        let names: Vec<String> = self.policies.keys().cloned().collect();
        for name in names {
            let Some(slot) = self.policies.get(&name) else { continue };
            let stands = |canary: &Canary| {
                slot.active.is_some()
                    && slot.active.as_ref() != Some(&canary.revision)
                    && self.lacks(&name, slot, &canary.revision).is_none()
            };
            let compared = |shadow: &String| !slot.compared(shadow).is_empty();
            let canary = slot.canary.clone().filter(stands);
            let shadow = slot.shadow.clone().filter(compared);
            let slot = self.policies.entry(name).or_default();
            (slot.canary, slot.shadow) = (canary, shadow);
        }
    }

    /// A hook in which the pipeline calls the policy and that a revision does not have.
    fn lacks(&self, name: &str, slot: &Slot, revision: &str) -> Option<Hook> {
        let has = slot.find(revision).map_or(&[][..], |stored| &stored.hooks);
        self.pipeline.places(name).into_iter().find(|hook| !has.contains(hook))
    }
}
