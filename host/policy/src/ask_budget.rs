//! How much one instance may have of experts: a call of `pre` or `route`, or all of `post` for one reply. What is beyond it
//! is an error that the policy reads, before anything is spent.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::{AskError, Limits};

/// What an instance has had so far.
#[derive(Default)]
pub(crate) struct AskBudget {
    calls: u64,
    texts: u64,
    bytes: u64,
    waited: Duration,
    pub(crate) tokens: Arc<AtomicU64>,
}

impl AskBudget {
    /// One more question; the tokens and the time that are left for it.
    pub(crate) fn ask(&mut self, limits: &Limits) -> Result<(u64, Duration), AskError> {
        let within = self.time_left(limits)?;
        let tokens = limits.inference_tokens.saturating_sub(self.tokens.load(Relaxed));
        let most = limits.inference_calls;
        if self.calls >= most {
            return Err(spent(&format!("{most} questions"), "inference_calls"));
        }
        if tokens == 0 {
            return Err(spent(&format!("{} tokens", limits.inference_tokens), "inference_tokens"));
        }
        self.calls += 1;
        Ok((tokens, within))
    }

    /// More texts to be embedded; the time that is left for it.
    pub(crate) fn embed(
        &mut self,
        limits: &Limits,
        texts: &[String],
    ) -> Result<Duration, AskError> {
        let within = self.time_left(limits)?;
        let of_texts: u64 = texts.iter().map(|text| text.len() as u64).sum();
        let (count, bytes) = (self.texts + texts.len() as u64, self.bytes + of_texts);
        if count > limits.embedding_texts {
            return Err(too_large(count, limits.embedding_texts, "texts"));
        }
        if bytes > limits.embedding_bytes {
            return Err(too_large(bytes, limits.embedding_bytes, "bytes"));
        }
        (self.texts, self.bytes) = (count, bytes);
        Ok(within)
    }

    /// Experts were waited for.
    pub(crate) fn waited(&mut self, time: Duration) {
        self.waited += time;
    }

    fn time_left(&self, limits: &Limits) -> Result<Duration, AskError> {
        let most = limits.inference_ms;
        let left = Duration::from_millis(most).saturating_sub(self.waited);
        match left.is_zero() {
            true => Err(spent(&format!("{most} ms of waiting for experts"), "inference_ms")),
            false => Ok(left),
        }
    }
}

fn spent(what: &str, limit: &str) -> AskError {
    let message = format!(
        "the policy has had its {what} about this call; policies.limits.{limit} says how many"
    );
    AskError::OutOfBudget(message)
}

fn too_large(asked: u64, most: u64, unit: &str) -> AskError {
    let message = format!(
        "the policy wants vectors of {asked} {unit} about this call, and policies.limits.embedding_{unit} \
         lets it have {most}"
    );
    AskError::TooLarge(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            inference_calls: 2,
            inference_tokens: 100,
            inference_ms: 50,
            embedding_texts: 3,
            embedding_bytes: 10,
            ..Limits::default()
        }
    }

    fn refused<T: std::fmt::Debug>(asked: Result<T, AskError>, words: &str) {
        let error = asked.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn questions_have_a_number_tokens_and_a_time() {
        let (limits, mut budget) = (limits(), AskBudget::default());
        assert_eq!(budget.ask(&limits), Ok((100, Duration::from_millis(50))));
        budget.waited(Duration::from_millis(20));
        budget.tokens.fetch_add(30, Relaxed);
        assert_eq!(budget.ask(&limits), Ok((70, Duration::from_millis(30))));
        refused(
            budget.ask(&limits),
            "its 2 questions about this call; policies.limits.inference_calls",
        );
        budget.calls = 0;
        budget.tokens.fetch_add(70, Relaxed);
        refused(budget.ask(&limits), "100 tokens");
        budget.waited(Duration::from_millis(30));
        refused(budget.ask(&limits), "50 ms");
        refused(budget.embed(&limits, &[]), "inference_ms");
    }

    #[test]
    fn texts_have_a_number_and_bytes_together() {
        let (limits, mut budget) = (limits(), AskBudget::default());
        let texts = |count: usize, bytes: usize| vec!["x".repeat(bytes); count];
        assert!(budget.embed(&limits, &texts(2, 4)).is_ok());
        refused(budget.embed(&limits, &texts(2, 0)), "4 texts");
        refused(budget.embed(&limits, &texts(1, 3)), "11 bytes");
        assert!(budget.embed(&limits, &texts(1, 2)).is_ok(), "what was refused took nothing");
    }
}
