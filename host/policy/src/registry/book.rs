//! What only one may change at a time: the state, what is on disk of it, and what is at hand of what it names.

use std::{collections::HashMap, sync::Arc};

use super::{disk::Disk, ledger::Ledger};
use crate::{
    PolicyError, PolicyRef,
    meter::{Meters, Tally},
    program::Program,
    seat::Unusable,
};

/// What only one may change at a time.
pub(super) struct Book {
    pub(super) disk: Disk,
    pub(super) ledger: Ledger,
    /// Why the state could not be read. Until an operator says what is to be in force, no call is let
    /// through and nothing is written over the state.
    pub(super) unreadable: Option<String>,
    /// Revisions in force that can't be run.
    pub(super) unusable: HashMap<PolicyRef, Unusable>,
    /// Code by revision, of those that are in force or a step away from it.
    pub(super) programs: HashMap<String, Arc<Program>>,
    pub(super) meters: HashMap<PolicyRef, Arc<Meters>>,
    /// By the names of policies.
    pub(super) tallies: HashMap<String, Arc<Tally>>,
    /// Of those that learn, what they did then, likewise.
    pub(super) lessons: HashMap<String, Arc<Tally>>,
}

impl Book {
    pub(super) fn meters(&mut self, id: &PolicyRef) -> Arc<Meters> {
        let tally = self.tallies.entry(id.name.clone()).or_default();
        let new = || Arc::new(Meters::new(tally.clone()));
        self.meters.entry(id.clone()).or_insert_with(new).clone()
    }

    /// A revision that `ledger` puts in force, in shadow or on trial and whose code is not at hand. One that is known to be
    /// unusable keeps its seat and holds no change up.
    pub(super) fn missing(&self, ledger: &Ledger) -> Option<PolicyRef> {
        let given_up = |id: &PolicyRef| {
            self.unusable.contains_key(id) && self.ledger.active().any(|active| active == *id)
        };
        let mut wanted = ledger.active().chain(ledger.shadows()).chain(ledger.canaries());
        wanted.find(|id| !self.programs.contains_key(&id.revision) && !given_up(id))
    }

    /// Before a change is written that says all of what is to be in force: a state that could not be read is kept aside.
    pub(super) fn unseal(&mut self) -> Result<(), PolicyError> {
        if self.unreadable.is_some() {
            self.disk.set_state_aside()?;
            self.unreadable = None;
        }
        Ok(())
    }

    /// Saves `ledger`, then forgets what it does not name any more. Over a state that could not be
    /// read nothing is written, and nothing that it may name is forgotten.
    pub(super) fn keep(&mut self, ledger: Ledger) -> Result<(), PolicyError> {
        if self.unreadable.is_some() {
            self.ledger = ledger;
            return Ok(());
        }
        self.disk.save(&ledger)?;
        let before = std::mem::replace(&mut self.ledger, ledger);
        let gone = before.revisions().filter(|old| !self.ledger.revisions().any(|new| new == *old));
        for revision in gone {
            self.disk.forget(revision);
        }
        let active: Vec<PolicyRef> = self.ledger.active().collect();
        self.unusable.retain(|id, _| active.contains(id));
        let warm = self.ledger.warm();
        self.programs.retain(|revision, _| warm.contains(revision));
        let policies = &self.ledger.policies;
        self.meters.retain(|id, _| {
            policies.get(&id.name).is_some_and(|slot| slot.find(&id.revision).is_some())
        });
        self.tallies.retain(|name, _| policies.contains_key(name));
        self.lessons.retain(|name, _| policies.contains_key(name));
        Ok(())
    }
}
