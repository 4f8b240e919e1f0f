//! How many calls run at once. A permit is taken before a call is parsed and any policy runs, and held
//! until the reply ends or is dropped.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use signalbox_engine::Priority;

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
    taken: Arc<AtomicUsize>,
    max: AtomicUsize,
    /// Places that calls of each class leave to those above.
    kept: [AtomicUsize; Priority::ALL.len()],
}

/// The right to run one call; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    _place: Place,
    _entry: Option<Entry>,
    _text: Option<Held>,
    _charge: Option<Charge>,
}

/// One of the places; free again when dropped.
#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

impl Place {
    /// `None` when `most` are taken.
    fn take(taken: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let one_more = |taken| (taken < most).then_some(taken + 1);
        taken.fetch_update(Relaxed, Relaxed, one_more).ok()?;
        Some(Self(taken.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
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
        let admission = Self { taken: Arc::default(), max: AtomicUsize::new(max), kept };
        admission.serve(max, classes);
        admission
    }

    /// From now on so many calls are taken, of callers of these classes. Those that were let in stay.
    pub(crate) fn serve(&self, max: usize, classes: impl Iterator<Item = Priority>) {
        self.max.store(max, Relaxed);
        let mut used = [false; Priority::ALL.len()];
        classes.for_each(|class| used[class.index()] = true);
        for (class, kept) in self.kept.iter().enumerate() {
            let above = used[..class].iter().filter(|used| **used).count();
            kept.store(above * max / KEPT_OF, Relaxed);
        }
    }

    /// The places that callers like this one may fill.
    fn open_to(&self, caller: &Caller) -> usize {
        let kept = self.kept[caller.priority().index()].load(Relaxed);
        self.max.load(Relaxed).saturating_sub(kept)
    }

    fn full(&self) -> Refusal {
        Refusal::Full { max: self.max.load(Relaxed) }
    }

    /// Whether a call would be let in now, before its body is read.
    ///
    /// # Errors
    /// [`Refusal::Full`] when as many calls run as may, [`Refusal::Exceeded`] when the caller has had its own.
    pub(crate) fn ask(&self, caller: &Caller) -> Result<(), Refusal> {
        if self.in_flight() >= self.open_to(caller) {
            return Err(self.full());
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
        let place = Place::take(&self.taken, self.open_to(caller)).ok_or_else(|| self.full())?;
        Ok(Permit { _place: place, _entry: None, _text: None, _charge: None })
    }

    /// Calls in flight now.
    pub(crate) fn in_flight(&self) -> usize {
        self.taken.load(Relaxed)
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
        alone.serve(16, Priority::ALL.into_iter());
        assert_eq!(Priority::ALL.map(kept), [0, 2, 4]);
    }

    #[test]
    fn fewer_places_turn_nobody_out() {
        let (admission, caller) = (Admission::new(3, [].into_iter()), Caller::at(None));
        let mut permits: Vec<_> = (0..3).map(|_| admission.admit(&caller).unwrap()).collect();
        admission.serve(1, [].into_iter());
        assert_eq!(admission.in_flight(), 3);
        permits.truncate(1);
        assert!(matches!(admission.admit(&caller), Err(Refusal::Full { max: 1 })));
        permits.clear();
        assert!(admission.admit(&caller).is_ok());
    }
}
