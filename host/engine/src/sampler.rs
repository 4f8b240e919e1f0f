//! Draws the next token from a row of logits. Deterministic: same seed and same logits, same
//! tokens.

use std::{
    cmp::Ordering,
    collections::BTreeSet,
    hash::{BuildHasher, Hasher, RandomState},
};

use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use crate::constraint::Mask;

mod penalties;

pub(crate) use penalties::Penalties;
use penalties::Seen;

/// How many of the likeliest tokens are put in order first when a nucleus is sought; nearly every
/// nucleus is smaller, and sorting a whole vocabulary of 256 000 costs more than a small model's
/// step.
const NUCLEUS_GUESS: usize = 64;

/// Everything that decides how tokens are drawn, already within bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rules {
    /// 0 is greedy.
    pub(crate) temperature: f32,
    /// Above 0, up to 1; 1 keeps all.
    pub(crate) top_p: f32,
    /// 0 keeps all.
    pub(crate) top_k: usize,
    /// Least share of the likeliest token's probability; 0 keeps all.
    pub(crate) min_p: f32,
    /// On what was there already.
    pub(crate) penalties: Penalties,
    /// `None` draws a fresh one.
    pub(crate) seed: Option<u64>,
}

impl Default for Rules {
    /// The model's own distribution.
    fn default() -> Self {
        let penalties = Penalties::NONE;
        Self { temperature: 1.0, top_p: 1.0, top_k: 0, min_p: 0.0, penalties, seed: None }
    }
}

/// The dice of one sequence.
pub(crate) struct Sampler {
    rules: Rules,
    /// `None` takes the likeliest token, the lowest id among equals.
    dice: Option<Box<ChaCha8Rng>>,
    seen: Option<Seen>,
    /// Added to the logits of these tokens.
    bias: Vec<(u32, f32)>,
}

/// A token and how likely it is; first a logit, later an unnormalised probability.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Candidate {
    token: u32,
    weight: f32,
}

impl Sampler {
    /// For a reply to a prompt of these tokens.
    pub(crate) fn new(rules: Rules, prompt: &[u32]) -> Self {
        let seed = || rules.seed.unwrap_or_else(fresh_seed);
        let dice = || Box::new(ChaCha8Rng::seed_from_u64(seed()));
        let seen = Seen::new(rules.penalties, prompt);
        let dice = (rules.temperature > 0.0).then(dice);
        Self { rules, dice, seen, bias: Vec::new() }
    }

    /// The same, with these added to the logits of tokens.
    pub(crate) fn biased(self, bias: Vec<(u32, f32)>) -> Self {
        Self { bias, ..self }
    }

    /// Draws a token that the mask lets pass and that is not `barred` from logits `(vocab)`, of which some are changed for it; `None` when
    /// not one of them is finite, which only a broken model or checkpoint produces.
    pub(crate) fn sample(
        &mut self,
        logits: &mut [f32],
        mask: Option<&Mask>,
        barred: &BTreeSet<u32>,
    ) -> Option<u32> {
        if let Some(seen) = &self.seen {
            seen.penalise(logits);
        }
        let barred = barred.iter().map(|token| (*token, f32::NEG_INFINITY));
        for (token, bias) in self.bias.iter().copied().chain(barred) {
            if let Some(logit) = logits.get_mut(token as usize) {
                *logit += bias;
            }
        }
        if let Some(mask) = mask {
            mask.apply(logits);
        }
        let token = self.draw(logits)?;
        if let Some(seen) = &mut self.seen {
            seen.say(token);
        }
        Some(token)
    }

    fn draw(&mut self, logits: &[f32]) -> Option<u32> {
        match &mut self.dice {
            None => greedy(logits),
            Some(dice) => draw(logits, &self.rules, dice.random()),
        }
    }
}

/// Entropy without a further dependency: the standard library seeds its hashers from the system.
fn fresh_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn greedy(logits: &[f32]) -> Option<u32> {
    finite(logits).min_by(likelier_first).map(|best| best.token)
}

fn finite(logits: &[f32]) -> impl Iterator<Item = Candidate> {
    logits
        .iter()
        .zip(0..)
        .filter(|(logit, _)| logit.is_finite())
        .map(|(&weight, token)| Candidate { token, weight })
}

/// A total order: by weight downwards, then by id, so that equal weights never depend on chance.
fn likelier_first(a: &Candidate, b: &Candidate) -> Ordering {
    b.weight.total_cmp(&a.weight).then(a.token.cmp(&b.token))
}

/// `dart` lies in 0..1 and picks its place in the cumulated probabilities of what the rules keep.
fn draw(logits: &[f32], rules: &Rules, dart: f64) -> Option<u32> {
    let mut kept: Vec<Candidate> = finite(logits).collect();
    if rules.top_k > 0 && rules.top_k < kept.len() {
        keep_likeliest(&mut kept, rules.top_k);
    }
    soften(&mut kept, rules.temperature);
    if rules.min_p > 0.0 {
        kept.retain(|candidate| candidate.weight >= rules.min_p);
    }
    if rules.top_p < 1.0 {
        keep_nucleus(&mut kept, rules.top_p);
    }
    pick(&kept, dart)
}

fn keep_likeliest(candidates: &mut Vec<Candidate>, count: usize) {
    candidates.select_nth_unstable_by(count - 1, likelier_first);
    candidates.truncate(count);
}

/// Logits become unnormalised probabilities; the likeliest is 1.
fn soften(candidates: &mut [Candidate], temperature: f32) {
    let most = candidates.iter().map(|c| c.weight).fold(f32::NEG_INFINITY, f32::max);
    for candidate in candidates {
        candidate.weight = ((candidate.weight - most) / temperature).exp();
    }
}

/// Keeps the smallest set of likeliest tokens that together reach `share` of the probability.
fn keep_nucleus(candidates: &mut Vec<Candidate>, share: f32) {
    let wanted = mass(candidates) * f64::from(share);
    let mut guess = NUCLEUS_GUESS.min(candidates.len());
    while guess > 0 {
        if guess < candidates.len() {
            candidates.select_nth_unstable_by(guess - 1, likelier_first);
        }
        candidates[..guess].sort_unstable_by(likelier_first);
        if let Some(enough) = reach(&candidates[..guess], wanted) {
            candidates.truncate(enough);
            return;
        }
        if guess == candidates.len() {
            return;
        }
        guess = (guess * 4).min(candidates.len());
    }
}

/// How many of these, in this order, it takes to weigh `wanted`.
fn reach(candidates: &[Candidate], wanted: f64) -> Option<usize> {
    let mut sum = 0.0;
    let last = candidates.iter().position(|candidate| {
        sum += f64::from(candidate.weight);
        sum >= wanted
    });
    last.map(|index| index + 1)
}

fn mass(candidates: &[Candidate]) -> f64 {
    candidates.iter().map(|c| f64::from(c.weight)).sum()
}

fn pick(candidates: &[Candidate], dart: f64) -> Option<u32> {
    let mut rest = dart * mass(candidates);
    for candidate in candidates {
        rest -= f64::from(candidate.weight);
        if rest < 0.0 {
            return Some(candidate.token);
        }
    }
    candidates.last().map(|c| c.token)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: Rules = Rules {
        temperature: 1.0,
        top_p: 1.0,
        top_k: 0,
        min_p: 0.0,
        penalties: Penalties::NONE,
        seed: Some(7),
    };

    fn draws(logits: &[f32], rules: Rules) -> Vec<Option<u32>> {
        let mut sampler = Sampler::new(rules, &[]);
        (0..200).map(|_| sampler.sample(&mut logits.to_vec(), None, &BTreeSet::new())).collect()
    }

    #[test]
    fn greedy_takes_the_first_of_the_likeliest() {
        let mut sampler = Sampler::new(Rules { temperature: 0.0, ..ALL }, &[]);
        let mut sample =
            |logits: &[f32]| sampler.sample(&mut logits.to_vec(), None, &BTreeSet::new());
        assert_eq!(sample(&[0.0, 3.0, -1.0, 3.0]), Some(1));
        assert_eq!(sample(&[f32::NAN, f32::INFINITY, -9.0]), Some(2));
        assert_eq!(sample(&[f32::NAN, f32::NEG_INFINITY]), None);
        assert_eq!(sample(&[]), None);
    }

    #[test]
    fn barred_tokens_are_never_drawn() {
        for temperature in [0.0, 1.0] {
            let mut sampler = Sampler::new(Rules { temperature, ..ALL }, &[]);
            let mut sample = |barred: &[u32]| {
                sampler.sample(&mut [9.0, 1.0], None, &barred.iter().copied().collect())
            };
            assert_eq!([sample(&[0]), sample(&[9, 0]), sample(&[0, 1])], [Some(1), Some(1), None]);
        }
    }

    #[test]
    fn a_penalty_changes_the_next_token_and_greedy_draws_heed_it() {
        let penalties = Penalties { repetition: 3.0, ..Penalties::NONE };
        let rules = Rules { temperature: 0.0, penalties, ..ALL };
        let mut sampler = Sampler::new(rules, &[2]);
        let mut sample = || sampler.sample(&mut [2.0, 1.0, 2.5], None, &BTreeSet::new());
        assert_eq!([sample(), sample(), sample()], [Some(0), Some(1), Some(2)]);
    }

    #[test]
    fn min_p_keeps_what_is_likely_beside_the_likeliest() {
        let logits = [0.5f32.ln(), 0.3f32.ln(), 0.15f32.ln(), 0.05f32.ln()];
        let seen = |min_p| draws(&logits, Rules { min_p, ..ALL }).into_iter().flatten().max();
        assert_eq!([seen(1.0), seen(0.5), seen(0.2)], [Some(0), Some(1), Some(2)]);
    }

    #[test]
    fn seeds_repeat_and_differ() {
        let logits: Vec<f32> = (0..50).map(|i| (i % 7) as f32 * 0.1).collect();
        assert_eq!(draws(&logits, ALL), draws(&logits, ALL));
        assert_ne!(draws(&logits, ALL), draws(&logits, Rules { seed: Some(8), ..ALL }));
        assert_ne!(draws(&logits, Rules { seed: None, ..ALL }), draws(&logits, ALL));
    }

    #[test]
    fn nucleus_keeps_the_smallest_sufficient_set() {
        let logits = [0.5f32.ln(), 0.3f32.ln(), 0.15f32.ln(), 0.05f32.ln()];
        let seen = |top_p| draws(&logits, Rules { top_p, ..ALL }).into_iter().flatten().max();
        assert_eq!(seen(0.4), Some(0));
        assert_eq!(seen(0.7), Some(1));
        assert_eq!(seen(0.9), Some(2));
    }

    #[test]
    fn a_wide_nucleus_outgrows_the_first_guess() {
        let flat = vec![0.0; 4 * NUCLEUS_GUESS];
        let mut kept: Vec<_> = finite(&flat).collect();
        soften(&mut kept, 1.0);
        keep_nucleus(&mut kept, 0.75);
        assert_eq!(kept.len(), 3 * NUCLEUS_GUESS);
    }

    #[test]
    fn temperature_sharpens() {
        let zeros = |temperature| {
            let drawn = draws(&[1.0, 0.0], Rules { temperature, ..ALL });
            drawn.iter().filter(|&&token| token == Some(0)).count()
        };
        assert!(zeros(0.1) > zeros(2.0), "{} {}", zeros(0.1), zeros(2.0));
    }

    /// Mostly a number.
    fn a_logit() -> impl Strategy<Value = f32> {
        prop_oneof![8 => -50f32..50.0, 1 => Just(f32::NAN)]
    }

    proptest! {
        #[test]
        fn whatever_is_drawn_is_among_the_top_k(
            logits in prop::collection::vec(a_logit(), 1..300),
            top_k in 1usize..20, top_p in 0.01f32..=1.0, temperature in 0.01f32..2.0, seed: u64,
        ) {
            let mut ranked: Vec<_> = finite(&logits).collect();
            ranked.sort_by(likelier_first);
            ranked.truncate(top_k);
            let rules = Rules { temperature, top_p, top_k, seed: Some(seed), ..ALL };
            let mut sampler = Sampler::new(rules, &[]);
            match sampler.sample(&mut logits.clone(), None, &BTreeSet::new()) {
                Some(token) => prop_assert!(ranked.iter().any(|c| c.token == token)),
                None => prop_assert!(ranked.is_empty()),
            }
        }
    }
}
