//! When a load that lacked something is tried again.

use std::{
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};

use crate::inspect::Faults;

/// The first pause after a lack, which doubles with every further one up to the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// When to try again after a lack.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    tries: u32,
    /// Not before, and what was lacking.
    until: Option<(Instant, Faults)>,
}

impl Backoff {
    /// The rest of the pause, and why there is one.
    pub(super) fn pause(&self) -> Option<(Duration, &Faults)> {
        let (until, faults) = self.until.as_ref()?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some((left, faults))
    }

    /// It lacked again; answers for how long it is left alone.
    pub(super) fn lacked(&mut self, faults: &Faults) -> Duration {
        let pause = PAUSE.0.saturating_mul(1 << self.tries.min(16)).min(PAUSE.1);
        self.tries += 1;
        // Between three and four quarters, so that experts that failed together don't return together.
        let jitter = RandomState::new().hash_one(self.tries) % 256;
        let pause = pause.mul_f64(1.0 - jitter as f64 / 1024.0);
        self.until = Some((Instant::now() + pause, faults.clone()));
        pause
    }

    /// All is well again.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::Finding;

    fn lack(message: &str) -> Faults {
        Finding::error("resources-short", message, "").into()
    }

    #[test]
    fn pauses_double_up_to_a_bound_and_end_with_success() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..40).map(|_| backoff.lacked(&lack("no threads"))).collect();
        assert!(pauses[0] <= PAUSE.0 && pauses[0] * 4 >= PAUSE.0 * 3, "{pauses:?}");
        assert!(pauses[1] > pauses[0] && pauses[2] > pauses[1], "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= PAUSE.1), "{pauses:?}");
        assert_eq!(backoff.pause().unwrap().1, &lack("no threads"));
        backoff.clear();
        assert!(backoff.pause().is_none());
        assert!(backoff.lacked(&lack("again")) <= PAUSE.0);
    }
}
