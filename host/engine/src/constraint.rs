//! Replies that have to look like something: which tokens may come next, by a grammar that llguidance compiles
//! for the vocabulary of an expert.
//!
//! A [`Constraint`] is asked for a mask before a token is drawn and told the token after it. It is a state of
//! its own, so drawing stays a function of logits and state, one position after the other.

use llguidance::Matcher;

mod calls;
mod compiler;
mod forms;
mod grammar;
mod mask;
mod vocabulary;

pub(crate) use compiler::{Compiler, Problem};
pub(crate) use grammar::Grammar;
pub(crate) use mask::Mask;

use calls::Calls;
use mask::cant_follow;

/// Where a reply stands in what it has to follow.
pub(crate) enum Constraint {
    /// A grammar, from the first token to the last.
    Whole(Box<Matcher>),
    /// The grammar of calls, where one is written.
    Calls(Box<Calls>),
}

impl Constraint {
    /// Tokens that may come next, an end token among them exactly where the grammar accepts; `None` where all may. The
    /// error says what the grammar takes too much of.
    pub(crate) fn mask(&mut self) -> Result<Option<Mask>, String> {
        match self {
            Self::Whole(reply) => {
                let mask = reply.compute_mask_or_eos();
                mask.map(|mask| Some(Mask(mask))).map_err(|error| cant_follow(reply, &error))
            }
            Self::Calls(calls) => calls.mask(),
        }
    }

    /// A token of the mask came.
    pub(crate) fn accept(&mut self, token: u32) -> Result<(), String> {
        match self {
            Self::Whole(reply) => {
                reply.consume_token(token).map_err(|error| cant_follow(reply, &error))
            }
            Self::Calls(calls) => calls.accept(token),
        }
    }

    /// Whether nothing can come any more.
    pub(crate) fn is_over(&self) -> bool {
        match self {
            Self::Whole(reply) => reply.is_stopped(),
            Self::Calls(_) => false,
        }
    }
}

#[cfg(test)]
mod tests;
