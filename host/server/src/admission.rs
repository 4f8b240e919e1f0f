//! How many calls run at once. A permit is taken before a call is parsed and any policy runs, and held
//! until the reply ends or is dropped.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{bodies::Held, pipeline::refusal::Refusal};

/// The door.
pub(crate) struct Admission {
    free: Arc<Semaphore>,
    max: usize,
}

/// The right to run one call; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    _place: OwnedSemaphorePermit,
    _text: Option<Held>,
}

impl Permit {
    /// With the memory of the call's text, which ends with the call.
    pub(crate) fn holding(self, text: Held) -> Self {
        Self { _text: Some(text), ..self }
    }
}

impl Admission {
    pub(crate) fn new(max: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(max)), max }
    }

    /// Whether a call would be let in now, before its body is read.
    ///
    /// # Errors
    /// [`Refusal::Full`] when as many calls run as may.
    pub(crate) fn ask(&self) -> Result<(), Refusal> {
        match self.free.available_permits() {
            0 => Err(Refusal::Full { max: self.max }),
            _ => Ok(()),
        }
    }

    /// Lets a call in, or turns it away at once: queues belong to experts, which know their length.
    ///
    /// # Errors
    /// [`Refusal::Full`] when as many calls run as may.
    pub(crate) fn admit(&self) -> Result<Permit, Refusal> {
        match self.free.clone().try_acquire_owned() {
            Ok(place) => Ok(Permit { _place: place, _text: None }),
            Err(_) => Err(Refusal::Full { max: self.max }),
        }
    }

    /// Calls in flight now.
    pub(crate) fn in_flight(&self) -> usize {
        self.max - self.free.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_comes_back_when_it_is_dropped() {
        let admission = Admission::new(1);
        let permit = admission.admit().unwrap();
        assert_eq!(admission.in_flight(), 1);
        assert!(matches!(admission.ask(), Err(Refusal::Full { max: 1, .. })));
        assert!(matches!(admission.admit(), Err(Refusal::Full { max: 1, .. })));
        drop(permit);
        assert!(admission.ask().is_ok() && admission.admit().is_ok());
    }
}
