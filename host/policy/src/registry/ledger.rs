//! What the registry remembers, and every way it may change. Pure data: no files, no WebAssembly.
//! A change is made on a copy; the registry keeps the copy only when all of it could be done.

mod changes;
mod trials;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    Activation, Cause, Hook, Pipeline, PolicyError, PolicyRef, import, shadow::is_comparable,
};

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
    /// The revision in the shadow of the one in force. A program that does not know it may pass over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) shadow: Option<String>,
    /// The revision that answers a share of the calls. A program that does not know it lets the one in force answer them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) canary: Option<Canary>,
    /// Oldest first.
    pub(super) revisions: Vec<Stored>,
}

/// A revision that answers a share of the calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Canary {
    pub(super) revision: String,
    pub(super) percent: u32,
    /// The one that it began with.
    pub(super) generation: u64,
    pub(super) since_unix_ms: u64,
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

    /// Hooks in which another revision can be compared with the one in force.
    pub(super) fn compared(&self, revision: &str) -> Vec<Hook> {
        let other = self.find(revision).filter(|_| self.active.as_deref() != Some(revision));
        let hooks = other.map_or(&[][..], |stored| &stored.hooks).iter().copied();
        hooks.filter(|hook| self.hooks().contains(hook) && is_comparable(*hook)).collect()
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
        for (hook, name) in self.pipeline.iter() {
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
            let canary = slot.canary.as_ref().map(|canary| canary.revision.clone());
            let named =
                [("in force", &slot.active), ("in shadow", &slot.shadow), ("on trial", &canary)];
            for (what, revision) in named {
                if revision.as_ref().is_some_and(|revision| slot.find(revision).is_none()) {
                    return Err(format!(
                        "the revision of '{name}' {what} is not among its revisions"
                    ));
                }
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

    /// The revisions in shadow.
    pub(super) fn shadows(&self) -> impl Iterator<Item = PolicyRef> {
        self.policies.iter().filter_map(|(name, slot)| {
            Some(PolicyRef { name: name.clone(), revision: slot.shadow.clone()? })
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

    /// Refuses a revision that may do more than the one of `name` in force.
    pub(super) fn check_gained(&self, name: &str, revision: &str) -> Result<(), PolicyError> {
        let slot = self.slot(name)?;
        let (Some(now), Some(before)) = (slot.find(revision), slot.current()) else {
            return Ok(());
        };
        let imports = import::gained(&now.imports, &before.imports);
        if imports.is_empty() {
            return Ok(());
        }
        let policy = PolicyRef { name: name.into(), revision: revision.into() };
        Err(PolicyError::NewImports { policy, imports })
    }

    /// The change that a rollback would undo: the newest one by an operator that was not undone
    /// yet.
    fn undoable(&self, name: Option<&str>) -> Option<&Activation> {
        let undone: BTreeSet<u64> = self.history.iter().filter_map(|past| past.undoes).collect();
        self.history.iter().rev().find(|past| {
            let by_operator =
                matches!(past.cause, Cause::Activate | Cause::Deactivate | Cause::Pipeline);
            let meant = name.is_none() || past.policy.as_deref() == name;
            let did_something = !past.changes.is_empty() || past.before != past.after;
            by_operator && meant && did_something && !undone.contains(&past.generation)
        })
    }

    /// Why `revision` of `name` must stay.
    fn needed(&self, name: &str, revision: &str) -> Option<&'static str> {
        let slot = self.policies.get(name)?;
        if slot.active.as_deref() == Some(revision) {
            return Some("it is in force");
        }
        if slot.active.is_some() && slot.last_good.as_deref() == Some(revision) {
            return Some("it takes over when the revision in force fails");
        }
        if slot.shadow.as_deref() == Some(revision) {
            return Some("it works in shadow");
        }
        if slot.canary.as_ref().is_some_and(|canary| canary.revision == revision) {
            return Some("it is a canary");
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
            let canary = slot.canary.as_ref().map(|canary| canary.revision.clone());
            let back = self.undoable(Some(name)).into_iter().flat_map(|past| &past.changes);
            warm.extend(
                [&slot.active, &slot.last_good, &slot.shadow, &canary, &newest]
                    .into_iter()
                    .flatten()
                    .cloned(),
            );
            warm.extend(back.filter_map(|change| change.from.clone()));
        }
        warm
    }
}

#[cfg(test)]
pub(super) mod tests;
