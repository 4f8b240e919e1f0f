//! What passes by itself: a lack of descriptors, threads or memory is no fault of an expert's files, so
//! it is distinguished from damage and tried again.

use std::{
    hash::{BuildHasher, RandomState},
    io,
    time::{Duration, Instant},
};

use rustix::io::Errno;

/// The first pause after a lack, which doubles with every further one up to the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// Whether the operating system may well say something else next time.
pub(crate) fn passes(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(
            Errno::MFILE
                | Errno::NFILE
                | Errno::NOMEM
                | Errno::NOBUFS
                | Errno::AGAIN
                | Errno::INTR
                | Errno::BUSY
                | Errno::TIMEDOUT
                | Errno::STALE
        )
    )
}

/// Why an expert's language or weights can't be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Trouble {
    /// Until somebody mends the files.
    #[error("{0}")]
    Lasting(String),
    /// For now.
    #[error("{0}")]
    Passing(String),
}

impl From<String> for Trouble {
    fn from(problem: String) -> Self {
        Self::Lasting(problem)
    }
}

/// When to try again after a lack.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    tries: u32,
    /// Not before, and what was lacking.
    until: Option<(Instant, String)>,
}

impl Backoff {
    /// The rest of the pause, and why there is one.
    pub(crate) fn pause(&self) -> Option<(Duration, &str)> {
        let (until, problem) = self.until.as_ref()?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some((left, problem.as_str()))
    }

    /// It lacked again; answers for how long it is left alone.
    pub(crate) fn lacked(&mut self, problem: &str) -> Duration {
        let pause = PAUSE.0.saturating_mul(1 << self.tries.min(16)).min(PAUSE.1);
        self.tries += 1;
        // Between three and four quarters, so that experts that failed together don't return together.
        let jitter = RandomState::new().hash_one(self.tries) % 256;
        let pause = pause.mul_f64(1.0 - jitter as f64 / 1024.0);
        self.until = Some((Instant::now() + pause, problem.to_owned()));
        pause
    }

    /// All is well again.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transient_failures_are_distinguished_from_damage() {
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::AGAIN, Errno::INTR] {
            assert!(passes(&errno.into()), "{errno}");
        }
        for errno in [Errno::IO, Errno::NOENT, Errno::ACCESS, Errno::ISDIR, Errno::INVAL] {
            assert!(!passes(&errno.into()), "{errno}");
        }
        assert!(!passes(&io::Error::other("EMFILE")));
    }

    #[test]
    fn pauses_double_up_to_a_bound_and_end_with_success() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..40).map(|_| backoff.lacked("no threads")).collect();
        assert!(pauses[0] <= PAUSE.0 && pauses[0] * 4 >= PAUSE.0 * 3, "{pauses:?}");
        assert!(pauses[1] > pauses[0] && pauses[2] > pauses[1], "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= PAUSE.1), "{pauses:?}");
        assert_eq!(backoff.pause().unwrap().1, "no threads");
        backoff.clear();
        assert!(backoff.pause().is_none());
        assert!(backoff.lacked("again") <= PAUSE.0);
    }
}
