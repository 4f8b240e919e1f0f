//! How many calls run at once. A permit is taken before a call is parsed and any policy runs, and held
//! until the reply ends or is dropped.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use signalbox_engine::Priority;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    bodies::Held,
    caller::Caller,
    pipeline::refusal::Refusal,
    quota::{Charge, Entry},
};

/// Of so many places one is kept for each priority class above a call's.
const KEPT_OF: usize = 8;

/// The door.
pub(crate) struct Admission {
    free: Arc<Semaphore>,
    max: usize,
    /// Places that calls of each class leave to those above.
    kept: [AtomicUsize; Priority::ALL.len()],
}

/// The right to run one call; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    _place: OwnedSemaphorePermit,
    _entry: Option<Entry>,
    _text: Option<Held>,
    _charge: Option<Charge>,
}

impl Permit {
    /// With the memory of the call's text, which ends with the call.
    pub(crate) fn holding(self, text: Held) -> Self {
        Self { _text: Some(text), ..self }
    }

    /// With what takes the call's tokens from its owner when it ends.
    pub(crate) fn charging(self, charge: Option<Charge>) -> Self {
        Self { _charge: charge, ..self }
    }
}

impl Admission {
    /// Takes so many calls at once, of callers of these classes.
    pub(crate) fn new(max: usize, classes: impl Iterator<Item = Priority>) -> Self {
        let kept = Default::default();
        let admission = Self { free: Arc::new(Semaphore::new(max)), max, kept };
        admission.serve(classes);
        admission
    }

    /// From now on callers are of these classes.
    pub(crate) fn serve(&self, classes: impl Iterator<Item = Priority>) {
        let mut used = [false; Priority::ALL.len()];
        classes.for_each(|class| used[class.index()] = true);
        for (class, kept) in self.kept.iter().enumerate() {
            let above = used[..class].iter().filter(|used| **used).count();
            kept.store(above * self.max / KEPT_OF, Relaxed);
        }
    }

    /// Whether all places are taken that a caller may have.
    fn is_full(&self, caller: &Caller) -> bool {
        self.free.available_permits() <= self.kept[caller.priority().index()].load(Relaxed)
    }

    /// Whether a call would be let in now, before its body is read.
    ///
    /// # Errors
    /// [`Refusal::Full`] when as many calls run as may, [`Refusal::Exceeded`] when the caller has had its own.
    pub(crate) fn ask(&self, caller: &Caller) -> Result<(), Refusal> {
        if self.is_full(caller) {
            return Err(Refusal::Full { max: self.max });
        }
        Ok(caller.account().map_or(Ok(()), |account| account.ask())?)
    }

    /// Lets a call in, or turns it away at once: queues belong to experts, which know their length.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub(crate) fn admit(&self, caller: &Caller) -> Result<Permit, Refusal> {
        let permit = self.beside(caller)?;
        let entry = caller.account().map(|account| account.enter()).transpose()?;
        Ok(Permit { _entry: entry, ..permit })
    }

    /// A place for another reply to a call that was let in.
    ///
    /// # Errors
    /// [`Refusal::Full`] when as many calls run as may.
    pub(crate) fn beside(&self, caller: &Caller) -> Result<Permit, Refusal> {
        let full = || Refusal::Full { max: self.max };
        if self.is_full(caller) {
            return Err(full());
        }
        let place = self.free.clone().try_acquire_owned().map_err(|_| full())?;
        Ok(Permit { _place: place, _entry: None, _text: None, _charge: None })
    }

    /// Calls in flight now.
    pub(crate) fn in_flight(&self) -> usize {
        self.max - self.free.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{access::Allowance, quota::Account};

    #[test]
    fn a_permit_comes_back_when_it_is_dropped() {
        let (admission, caller) = (Admission::new(1, [].into_iter()), Caller::at(None));
        let permit = admission.admit(&caller).unwrap();
        assert_eq!(admission.in_flight(), 1);
        assert!(matches!(admission.ask(&caller), Err(Refusal::Full { max: 1, .. })));
        assert!(matches!(admission.admit(&caller), Err(Refusal::Full { max: 1, .. })));
        drop(permit);
        assert!(admission.ask(&caller).is_ok() && admission.admit(&caller).is_ok());
    }

    #[test]
    fn places_are_kept_for_those_above() {
        let caller = |priority| {
            let allowance = Allowance { priority, ..Allowance::default() };
            Caller::key("app", Account::new(allowance))
        };
        let admission = Admission::new(16, [Priority::Normal, Priority::High].into_iter());
        let mut permits = Vec::new();
        let mut fill = |priority| {
            let caller = caller(priority);
            let before = permits.len();
            permits.extend(std::iter::from_fn(|| admission.admit(&caller).ok()));
            assert!(admission.ask(&caller).is_err());
            permits.len() - before
        };
        let order = [Priority::Low, Priority::Normal, Priority::High];
        assert_eq!(order.map(&mut fill), [12, 2, 2]);
        let alone = Admission::new(16, [Priority::Normal].into_iter());
        let kept = |class: Priority| alone.kept[class.index()].load(Relaxed);
        assert_eq!(kept(Priority::Normal), 0, "nobody is above");
        alone.serve(Priority::ALL.into_iter());
        assert_eq!(Priority::ALL.map(kept), [0, 2, 4]);
    }
}
