//! Replies that have to look like something: which tokens may come next, by a grammar that llguidance compiles
//! for the vocabulary of an expert.
//!
//! A [`Constraint`] is asked for a mask before a token is drawn and told the token after it. It is a state of
//! its own, so drawing stays a function of logits and state, one position after the other.

use llguidance::{Matcher, api::StopReason, toktrie::SimpleVob};

mod compiler;
mod grammar;
mod vocabulary;

pub(crate) use compiler::{Compiler, Problem};
pub(crate) use grammar::Grammar;

/// Where a reply stands in its grammar.
pub(crate) struct Constraint(Matcher);

/// Tokens that may come next.
pub(crate) struct Mask(SimpleVob);

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

impl Constraint {
    /// Tokens that may come next; an end token among them exactly where the grammar accepts. The error says
    /// what the grammar takes too much of.
    pub(crate) fn mask(&mut self) -> Result<Mask, String> {
        self.0.compute_mask_or_eos().map(Mask).map_err(|error| self.problem(&error))
    }

    /// A token of the mask came.
    pub(crate) fn accept(&mut self, token: u32) -> Result<(), String> {
        self.0.consume_token(token).map_err(|error| self.problem(&error))
    }

    /// Whether nothing can come any more.
    pub(crate) fn is_over(&self) -> bool {
        self.0.is_stopped()
    }

    /// The library's words tell of states that nobody else knows.
    fn problem(&self, error: &dyn std::fmt::Display) -> String {
        let what = match self.0.stop_reason() {
            StopReason::LexerTooComplex | StopReason::ParserTooComplex => "takes too much time",
            _ => "can't be followed",
        };
        tracing::debug!(%error, what, "a grammar fails while it is followed");
        format!("the form that the reply is to have {what}; ask for a simpler one")
    }
}

#[cfg(test)]
mod tests;
