//! Revisions that learn: each is there a second time, aside, with counters of its own, so that what it does then is neither
//! in the way of calls nor among what it did for them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use super::{Policies, Registry, book::Book};
use crate::{
    FeedbackStatus, Hook, PolicyError, PolicyRef, lent::Lent, lessons::InForce, meter::Meters,
    policy::Policy, program::Program,
};

impl Policies {
    /// What policies were told of their decisions since the process started, and what they were not, by name.
    pub fn feedback(&self) -> BTreeMap<String, FeedbackStatus> {
        let mut all: BTreeMap<String, FeedbackStatus> = BTreeMap::new();
        for (name, tally) in &self.0.book().lessons {
            let counters = tally.read().remove(&Hook::Route).unwrap_or_default();
            let told = all.entry(name.clone()).or_default();
            (told.told, told.failures) = (counters.calls, counters.failures);
            (told.total_us, told.guest_us) = (counters.total_us, counters.guest_us);
        }
        for (name, dropped) in self.0.lessons.untold() {
            all.entry(name).or_default().dropped = dropped;
        }
        all
    }
}

impl Registry {
    /// Has somebody tell policies what came of their decisions.
    pub(super) fn teach(self: &Arc<Self>) -> Result<(), PolicyError> {
        let lessons_max = self.limits().feedback_queue as usize;
        let begun = self.lessons.start(lessons_max, in_force(Arc::downgrade(self)));
        begun.map_err(|error| PolicyError::Runtime { problem: error.to_string() })
    }

    /// A revision as it learns, if it does.
    pub(super) fn learner(
        &self,
        book: &mut Book,
        id: &PolicyRef,
        program: &Arc<Program>,
    ) -> Option<Arc<Policy>> {
        program.feedback.as_ref()?;
        let tally = book.lessons.entry(id.name.clone()).or_default();
        let meters = Arc::new(Meters::new(tally.clone()));
        let lent =
            Lent { aside: true, ..self.lend(&self.rules.load(), id, self.buckets.of(&id.name)) };
        Some(Arc::new(self.policy(lent, program.clone(), meters)))
    }
}

/// Finds the revision of a policy in force, as it learns.
fn in_force(registry: Weak<Registry>) -> InForce {
    Box::new(move |name| {
        let set = registry.upgrade()?.current.load_full();
        set.active.get(name)?.policy.as_ref().ok()?.learner.clone()
    })
}
