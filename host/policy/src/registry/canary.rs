//! Canaries: how they begin and end, and their seats beside those in force.

use std::sync::Arc;

use super::{Policies, Registry, book::Book, ledger::Ledger, names};
use crate::{
    Activation, Cause, NewImports, PolicyError, PolicyRef,
    canary::{Canary, Drifted},
    seat::{Seat, now_ms},
};

impl Policies {
    /// Lets a staged revision answer `percent` of a policy's calls: those of a share of the callers, always the same. When it
    /// fails, the revision in force is asked; when it keeps failing, or decides too differently, it ends.
    ///
    /// # Errors
    /// [`PolicyError::NoCanary`], and as [`Policies::activate`].
    pub fn begin_canary(
        &self,
        name: &str,
        revision: &str,
        percent: u32,
        new_imports: NewImports,
    ) -> Result<Activation, PolicyError> {
        names::check_activated(name, &*self.0.world)?;
        self.0.change(|ledger| {
            let revision = ledger.resolve(name, revision)?;
            if new_imports == NewImports::Refused {
                ledger.check_gained(name, &revision)?;
            }
            ledger.begin_canary(name, &revision, percent, now_ms())
        })
    }

    /// Puts the canary of a policy in force for all calls.
    ///
    /// # Errors
    /// [`PolicyError::NoCanaryThere`], and as [`Policies::activate`].
    pub fn promote(&self, name: &str) -> Result<Activation, PolicyError> {
        self.0.change(|ledger| ledger.promote(name, now_ms()))
    }

    /// How often a canary of a policy was ended by the host, and why: `breaker`, `drift` or `start`.
    pub fn canaries_ended(&self) -> Vec<(String, &'static str, u64)> {
        let ended = self.0.upkeep.canaries_ended.iter();
        ended.map(|of| (of.key().0.clone(), of.key().1, *of.value())).collect()
    }
}

impl Registry {
    /// Ends the canary `failed`, if it is one. The revision in force answers its calls.
    pub(super) fn end_canary(
        self: &Arc<Self>,
        failed: &PolicyRef,
        cause: Cause,
        problem: &str,
    ) -> Result<Option<Activation>, PolicyError> {
        let ended =
            self.change_if(|ledger| ledger.end_canary(failed, cause, problem, now_ms()), failed)?;
        if ended.is_some() {
            self.count_end(failed, cause);
            tracing::error!("{problem}; the revision in force answers all calls again");
        }
        Ok(ended)
    }

    pub(super) fn count_end(&self, canary: &PolicyRef, cause: Cause) {
        let key = (canary.name.clone(), cause.name());
        *self.upkeep.canaries_ended.entry(key).or_default() += 1;
    }

    /// The canary beside `stable`, as it was if it was there before.
    pub(super) fn canary(
        self: &Arc<Self>,
        book: &mut Book,
        ledger: &Ledger,
        stable: &Arc<Seat>,
    ) -> Option<Arc<Canary>> {
        let name = &stable.id.name;
        let wanted = ledger.policies.get(name)?.canary.as_ref()?;
        let id = PolicyRef { name: name.clone(), revision: wanted.revision.clone() };
        let program = book.programs.get(&id.revision).cloned()?;
        let before = self.current.load();
        let same = before.canaries.get(name).filter(|canary| {
            let beside = canary.seat.instead.as_ref();
            canary.seat.id == id
                && canary.percent == wanted.percent
                && beside.is_some_and(|beside| Arc::ptr_eq(beside, stable))
        });
        if let Some(same) = same {
            return Some(same.clone());
        }
        let seat = self.seat(book, ledger, &id, Some(program), Some(stable.clone()));
        let (percent, since) = (wanted.percent, wanted.since_unix_ms);
        let settings = self.rules.load().settings.canary.clone();
        Some(Arc::new(Canary::new(Arc::new(seat), percent, since, settings, self.drifted())))
    }

    /// What canaries report to the registry.
    fn drifted(self: &Arc<Self>) -> Drifted {
        let registry = Arc::downgrade(self);
        Arc::new(move |canary, how| {
            let Some(registry) = registry.upgrade() else { return };
            let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
            let (canary, problem) =
                (canary.clone(), format!("the canary {canary} was ended: {how}"));
            runtime.spawn_blocking(move || {
                if let Err(error) = registry.end_canary(&canary, Cause::Drift, &problem) {
                    tracing::error!("{problem}, but that could not be written: {error}");
                }
            });
        })
    }
}
