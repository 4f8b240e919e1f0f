//! Penalties on tokens that were there already, as vLLM and llama.cpp compute them.

use std::collections::{HashMap, HashSet};

/// How tokens that were there already are made less likely.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Penalties {
    /// Logits of tokens in prompt and reply are divided by it where positive, multiplied where not;
    /// 1 changes nothing.
    pub(crate) repetition: f32,
    /// Taken off for every time that a token stands in the reply.
    pub(crate) frequency: f32,
    /// Taken off once for a token that stands in the reply.
    pub(crate) presence: f32,
}

impl Penalties {
    /// Changes nothing.
    pub(crate) const NONE: Self = Self { repetition: 1.0, frequency: 0.0, presence: 0.0 };
}

/// What one sequence has seen and said, and what that costs.
pub(super) struct Seen {
    penalties: Penalties,
    prompt: HashSet<u32>,
    said: HashMap<u32, u32>,
}

impl Seen {
    /// `None` where nothing is penalised, so that nothing is remembered.
    pub(super) fn new(penalties: Penalties, prompt: &[u32]) -> Option<Self> {
        // Only repetition looks at the prompt.
        let prompt = if penalties.repetition == 1.0 { &[] } else { prompt };
        (penalties != Penalties::NONE).then(|| Self {
            penalties,
            prompt: prompt.iter().copied().collect(),
            said: HashMap::new(),
        })
    }

    /// A token was drawn.
    pub(super) fn say(&mut self, token: u32) {
        *self.said.entry(token).or_default() += 1;
    }

    /// Changes the logits `(vocab)` of all that was there already.
    pub(super) fn penalise(&self, logits: &mut [f32]) {
        let Penalties { repetition, frequency, presence } = self.penalties;
        let unsaid = self.prompt.iter().filter(|token| !self.said.contains_key(token));
        for &token in self.said.keys().chain(unsaid) {
            if let Some(logit) = logits.get_mut(token as usize) {
                *logit *= if *logit > 0.0 { repetition.recip() } else { repetition };
            }
        }
        for (&token, &times) in &self.said {
            if let Some(logit) = logits.get_mut(token as usize) {
                *logit -= frequency * times as f32 + presence;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(penalties: Penalties, expect: [f32; 4]) {
        let mut seen = Seen::new(penalties, &[0, 1]).unwrap();
        [1, 2, 2].into_iter().for_each(|token| seen.say(token));
        let mut logits = [2.0, -2.0, 2.0, 2.0];
        seen.penalise(&mut logits);
        assert_eq!(logits, expect);
    }

    #[test]
    fn what_was_there_already_costs() {
        check(Penalties { repetition: 2.0, ..Penalties::NONE }, [1.0, -4.0, 1.0, 2.0]);
        check(Penalties { frequency: 0.5, ..Penalties::NONE }, [2.0, -2.5, 1.0, 2.0]);
        check(Penalties { presence: 0.5, ..Penalties::NONE }, [2.0, -2.5, 1.5, 2.0]);
        assert!(Seen::new(Penalties::NONE, &[1]).is_none());
    }
}
