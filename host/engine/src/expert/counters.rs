//! What an expert has done, counted and measured. Outlives unloading, and is read without asking
//! the expert's thread.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

/// Weight of the newest measurement in a moving average.
const NEWEST: f64 = 0.3;

/// Counters of one expert. Each is exact by itself; together they are no snapshot.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Calls accepted.
    pub(crate) requests: AtomicU64,
    /// Prompt tokens of accepted calls.
    pub(crate) prompt_tokens: AtomicU64,
    /// Tokens generated.
    pub(crate) completion_tokens: AtomicU64,
    /// Tokens that were guessed ahead by prompt lookup, and those of them that were right.
    pub(crate) guessed: AtomicU64,
    pub(crate) guessed_right: AtomicU64,
    /// Times that a sequence gave its memory to others, to be computed anew.
    pub(crate) yielded: AtomicU64,
    /// Prompt tokens that were not computed anew.
    pub(crate) cached_tokens: AtomicU64,
    /// Sequences running now.
    pub(crate) running: AtomicUsize,
    /// Bytes of KV cache now.
    pub(crate) kv_bytes: AtomicU64,
    averages: Mutex<Averages>,
}

/// Moving averages; `None` until something was measured.
#[derive(Debug, Default, Clone, Copy)]
struct Averages {
    /// Decode speed of one sequence.
    tokens_per_second: Option<f64>,
    /// From a call's first step to its end, seconds.
    service: Option<f64>,
}

impl Counters {
    /// Takes in a call that ran to its end: `tokens` came after the first, in `decode`.
    pub(crate) fn finished(&self, tokens: u32, decode: Duration, service: Duration) {
        let mut averages = self.averages.lock().unwrap_or_else(PoisonError::into_inner);
        blend(&mut averages.service, service.as_secs_f64());
        if tokens > 0 && !decode.is_zero() {
            blend(&mut averages.tokens_per_second, f64::from(tokens) / decode.as_secs_f64());
        }
    }

    /// Decode speed of one sequence, tokens per second.
    pub(crate) fn tokens_per_second(&self) -> Option<f32> {
        self.averages().tokens_per_second.map(|speed| speed as f32)
    }

    /// How long a call waits for its first step when `queue` calls are before it and `abreast` run
    /// together.
    pub(crate) fn wait(&self, queue: usize, abreast: usize) -> Option<Duration> {
        let service = self.averages().service?;
        let rounds = queue / abreast.max(1);
        Some(Duration::from_secs_f64(service * rounds as f64))
    }

    /// How long it takes until one of so many replies under way ends.
    pub(crate) fn between_ends(&self, abreast: usize) -> Option<Duration> {
        let service = self.averages().service?;
        Some(Duration::from_secs_f64(service / abreast.max(1) as f64))
    }

    /// Sets the gauges of what runs now.
    pub(crate) fn now(&self, running: usize, kv_bytes: u64) {
        self.running.store(running, Relaxed);
        self.kv_bytes.store(kv_bytes, Relaxed);
    }

    fn averages(&self) -> Averages {
        *self.averages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn blend(average: &mut Option<f64>, newest: f64) {
    *average = Some(average.map_or(newest, |old| old + NEWEST * (newest - old)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_claimed_before_it_is_measured() {
        let counters = Counters::default();
        assert_eq!((counters.tokens_per_second(), counters.wait(9, 2)), (None, None));
        counters.finished(0, Duration::ZERO, Duration::from_secs(2));
        assert_eq!(counters.tokens_per_second(), None);
        assert_eq!(counters.wait(0, 2), Some(Duration::ZERO));
        assert_eq!(counters.wait(5, 2), Some(Duration::from_secs(4)));
        assert_eq!(counters.between_ends(4), Some(Duration::from_millis(500)));
    }

    #[test]
    fn averages_follow_what_happens() {
        let counters = Counters::default();
        counters.finished(10, Duration::from_secs(1), Duration::from_secs(1));
        assert_eq!(counters.tokens_per_second(), Some(10.0));
        counters.finished(20, Duration::from_secs(1), Duration::from_secs(1));
        assert_eq!(counters.tokens_per_second(), Some(13.0));
    }
}
