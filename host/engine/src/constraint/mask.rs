//! Tokens that may come next, as a grammar's library says it; and what is said where it can't.

use llguidance::{Matcher, api::StopReason, toktrie::SimpleVob};

/// Tokens that may come next.
pub(crate) struct Mask(pub(super) SimpleVob);

impl Mask {
    /// Bars every other token from logits `(vocab)`.
    pub(crate) fn apply(&self, logits: &mut [f32]) {
        let known = logits.len().min(self.0.len());
        for (&word, logits) in self.0.as_slice().iter().zip(logits[..known].chunks_mut(32)) {
            if word == u32::MAX {
                continue;
            }
            for (bit, logit) in logits.iter_mut().enumerate() {
                if word >> bit & 1 == 0 {
                    *logit = f32::NEG_INFINITY;
                }
            }
        }
        logits[known..].fill(f32::NEG_INFINITY);
    }
}

/// The library's words tell of states that nobody else knows.
pub(super) fn cant_follow(matcher: &Matcher, error: &dyn std::fmt::Display) -> String {
    let what = match matcher.stop_reason() {
        StopReason::LexerTooComplex | StopReason::ParserTooComplex => "takes too much time",
        _ => "can't be followed",
    };
    tracing::debug!(%error, what, "a grammar fails while it is followed");
    format!("the form that the reply is to have {what}; ask for a simpler one")
}
