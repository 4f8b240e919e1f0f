//! Revisions in shadow, and what a revision has to have shown before it comes into force.

use std::{collections::HashMap, sync::Arc};

use super::{Policies, Registry, ledger::Ledger};
use crate::{
    Agreement, NewImports, PolicyError, PolicyRef, ShadowStatus,
    lent::Lent,
    meter::Meters,
    policy::Policy,
    program::Program,
    seat::{Seat, now_ms},
    shadow::Shadow,
};

impl Policies {
    /// Lets a staged revision work in the shadow of the one in force: it is shown the calls of its `pre` and `route` hooks,
    /// away from callers, and what it says is only compared. Another one in shadow gives way to it.
    ///
    /// # Errors
    /// [`PolicyError::NoShadow`] where there is nothing to compare it with, [`PolicyError::NewImports`], an unknown policy or
    /// revision, a stored component that can't be run any more, a full disk.
    pub fn shadow(
        &self,
        name: &str,
        revision: &str,
        new_imports: NewImports,
    ) -> Result<ShadowStatus, PolicyError> {
        let id = self.0.edit(|ledger| {
            let revision = ledger.resolve(name, revision)?;
            if new_imports == NewImports::Refused {
                ledger.check_gained(name, &revision)?;
            }
            ledger.cast(name, &revision)?;
            Ok(PolicyRef { name: name.to_string(), revision })
        })?;
        tracing::info!("policy {id} works in shadow");
        let shadow = self.0.current.load().shadows.get(name).map(|shadow| shadow.status());
        shadow.ok_or_else(|| PolicyError::NoShadowThere { name: name.into() })
    }

    /// Ends what works in the shadow of a policy, and forgets what it has shown.
    ///
    /// # Errors
    /// [`PolicyError::NoShadowThere`], an unknown policy, a full disk.
    pub fn end_shadow(&self, name: &str) -> Result<(), PolicyError> {
        self.0.edit(|ledger| ledger.uncast(name))
    }

    /// What works in shadow, by policy.
    pub fn shadows(&self) -> Vec<(String, ShadowStatus)> {
        let set = self.0.current.load();
        set.shadows.iter().map(|(name, shadow)| (name.clone(), shadow.status())).collect()
    }

    /// Refuses a revision that has not shown, in shadow or in a replay, that it agrees with the one in force in `permille`
    /// of 1000 calls.
    ///
    /// # Errors
    /// [`PolicyError::NotAgreed`], an unknown policy or revision.
    pub fn check_agreement(
        &self,
        name: &str,
        revision: &str,
        permille: u32,
    ) -> Result<(), PolicyError> {
        let revision = self.0.book().ledger.resolve(name, revision)?;
        let calls = self.0.limits().agreement_calls;
        let shown = [self.0.shown(name, &revision), self.0.replayed(name, &revision)];
        if shown.iter().any(|shown| shown.reaches(permille, calls)) {
            return Ok(());
        }
        let shown = shown.into_iter().max_by_key(|shown| shown.compared).unwrap_or_default();
        let policy = PolicyRef { name: name.into(), revision };
        Err(PolicyError::NotAgreed { policy, shown, permille, calls })
    }
}

impl Registry {
    fn shown(&self, name: &str, revision: &str) -> Agreement {
        let set = self.current.load();
        let shadow = set.shadows.get(name).filter(|shadow| shadow.is_revision(revision));
        shadow.map(|shadow| shadow.agreement()).unwrap_or_default()
    }

    /// A revision that is only compared: nothing that it does is counted among what policies in force do, and nobody
    /// waits for it.
    pub(super) fn aside(&self, id: &PolicyRef, program: &Arc<Program>) -> Arc<Policy> {
        let lent = self.lend(&self.rules.load(), id, self.buckets.of(&id.name));
        let lent = Lent { aside: true, compared: true, ..lent };
        Arc::new(self.policy(lent, program.clone(), Arc::new(Meters::new(Arc::default()))))
    }

    /// The revision in the shadow of `seat`, with what it has shown already if it was there before.
    pub(super) fn cast(
        &self,
        ledger: &Ledger,
        seat: &Seat,
        programs: &HashMap<String, Arc<Program>>,
        keeps: &dyn Fn(&str) -> bool,
    ) -> Option<Arc<Shadow>> {
        let slot = ledger.policies.get(&seat.id.name)?;
        let revision = slot.shadow.as_deref()?;
        let before = self.current.load();
        let same = before.shadows.get(&seat.id.name);
        if let Some(same) =
            same.filter(|shadow| keeps(&seat.id.name) && shadow.is(revision, &seat.id))
        {
            return Some(same.clone());
        }
        let id = PolicyRef { name: seat.id.name.clone(), revision: revision.to_string() };
        let policy = self.aside(&id, programs.get(revision)?);
        Some(Arc::new(Shadow::new(policy, seat.id.clone(), slot.compared(revision), now_ms())))
    }
}
