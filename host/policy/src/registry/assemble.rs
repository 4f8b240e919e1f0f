//! From what the state says is in force to what calls meet: a seat for every policy, with the code it runs and what it
//! is lent.

use std::{collections::BTreeMap, sync::Arc};

use super::{Registry, Rules, book::Book, ledger::Ledger};
use crate::{
    PerHook, PolicyRef,
    buckets::Bucket,
    lent::Lent,
    meter::Meters,
    policy::Policy,
    program::Program,
    seat::{Seat, Unusable},
    snapshot::Set,
};

impl Registry {
    /// The policies that `ledger` puts in force. Who can't be run has a seat all the same; who was in force before
    /// keeps its own, where `keeps` says so of its name.
    pub(super) fn assemble(
        self: &Arc<Self>,
        book: &mut Book,
        ledger: &Ledger,
        keeps: &dyn Fn(&str) -> bool,
    ) -> Set {
        let before = self.current.load();
        let mut active = BTreeMap::new();
        for id in ledger.active() {
            let program = book.programs.get(&id.revision).cloned();
            let usable = program.is_some();
            let same = before.active.get(&id.name);
            let same = same
                .filter(|seat| seat.id == id && seat.policy.is_ok() == usable && keeps(&id.name));
            let seat = match same {
                Some(same) => same.clone(),
                None => Arc::new(self.seat(book, ledger, &id, program, None)),
            };
            active.insert(id.name, seat);
        }
        let cast = |seat: &Arc<Seat>| {
            Some((seat.id.name.clone(), self.cast(ledger, seat, &book.programs, keeps)?))
        };
        let shadows = active.values().filter_map(cast).collect();
        let beside =
            |stable: &Arc<Seat>| Some((stable.id.name.clone(), self.canary(book, ledger, stable)?));
        let canaries = active.values().filter_map(beside).collect();
        Set {
            shadows,
            canaries,
            generation: ledger.generation,
            runtime: self.runtime.clone(),
            lessons: self.lessons.clone(),
            limits: self.limits(),
            sealed: book.unreadable.clone(),
            pipeline: ledger.pipeline.filter_map(|name| active.get(name).cloned()),
            active,
        }
    }

    /// A seat; of a canary beside that of the revision in force, which is asked `instead` where need be.
    pub(super) fn seat(
        self: &Arc<Self>,
        book: &mut Book,
        ledger: &Ledger,
        id: &PolicyRef,
        program: Option<Arc<Program>>,
        instead: Option<Arc<Seat>>,
    ) -> Seat {
        let policy = match program {
            Some(program) => {
                let meters = book.meters(id);
                let lent = self.lend(&self.rules.load(), id, self.buckets.of(&id.name));
                let learner = self.learner(book, id, &program);
                Ok(Arc::new(Policy { learner, ..self.policy(lent, program, meters) }))
            }
            None => Err(book.unusable.get(id).cloned().unwrap_or_else(Unusable::unknown)),
        };
        let stored = ledger.policies.get(&id.name).and_then(|slot| slot.find(&id.revision));
        let hooks = stored.map(|stored| stored.hooks.clone()).unwrap_or_default();
        let rules = self.rules.load();
        let modes = PerHook::from_fn(|hook| rules.settings.on_failure(&id.name, hook).clone());
        let (breaker, notice) = (&rules.settings.breaker, self.notice());
        Seat::new(id.clone(), hooks, modes, policy, breaker, notice, instead)
    }

    pub(super) fn policy(&self, lent: Lent, program: Arc<Program>, meters: Arc<Meters>) -> Policy {
        let (runtime, lent) = (self.runtime.clone(), Arc::new(lent));
        Policy { runtime, program, lent, meters, paces: PerHook::default(), learner: None }
    }

    pub(super) fn lend(&self, rules: &Rules, id: &PolicyRef, bucket: Arc<Bucket>) -> Lent {
        Lent {
            policy: id.clone(),
            world: self.world.clone(),
            config: rules.settings.settings.get(&id.name).cloned().unwrap_or_default(),
            http_hosts: rules.settings.http_hosts.get(&id.name).cloned().unwrap_or_default(),
            limits: rules.limits.clone(),
            bounds: rules.settings.bounds.clone(),
            bucket,
            sampling: self.runtime.sampling.clone(),
            aside: false,
            compared: false,
        }
    }
}
