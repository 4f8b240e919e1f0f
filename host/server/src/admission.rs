//! How many calls run at once. A permit is taken before any policy runs and held until the reply
//! ends or is dropped.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::pipeline::Refusal;

/// The door.
pub(crate) struct Admission {
    free: Arc<Semaphore>,
    max: usize,
}

/// The right to run one call; given back when dropped.
pub(crate) type Permit = OwnedSemaphorePermit;

impl Admission {
    pub(crate) fn new(max: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(max)), max }
    }

    /// Lets a call in, or turns it away at once: queues belong to experts, which know their length.
    ///
    /// # Errors
    /// [`Refusal::Full`] when as many calls run as may.
    pub(crate) fn admit(&self) -> Result<Permit, Refusal> {
        let permit = self.free.clone().try_acquire_owned();
        permit.map_err(|_| Refusal::Full { max: self.max })
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
        assert!(matches!(admission.admit(), Err(Refusal::Full { max: 1 })));
        drop(permit);
        assert!(admission.admit().is_ok());
    }
}
