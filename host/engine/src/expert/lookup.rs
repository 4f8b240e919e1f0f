//! Prompt lookup (n-gram speculation): what followed the last time when the text went like this is a guess at
//! what follows now. The model looks at a guess and at the tokens before it in one step, and it is kept as far as
//! the model says the same, so a reply is the same with it and without.

use std::collections::HashMap;

/// Tokens that must agree.
const AGREE: usize = 3;
/// Earlier places that are looked at, the newest first.
const PLACES: usize = 16;
/// Agreeing tokens beyond which none are counted.
const LONGEST: usize = 32;
/// What is taken for granted of a guess's first token, and how many tokens that opinion is worth.
const HOPE: (f32, f32) = (0.6, 3.0);
/// What older guesses count for, each time that there is another one.
const MEMORY: f32 = 0.93;

/// Where the tokens of a sequence stood before, and how well guesses fared.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    /// What the client expects of the reply, then the prompt, then the reply.
    tokens: Vec<u32>,
    /// The last position behind each run of [`AGREE`] tokens.
    newest: HashMap<[u32; AGREE], usize>,
    /// For every position the one before with the same run; 0 for none.
    before: Vec<usize>,
    /// Guessed tokens that were looked at, and those that were right, older ones less.
    tried: f32,
    right: f32,
}

impl Lookup {
    /// For a reply to `prompt` of which `prediction` is expected to be a part.
    pub(super) fn new(prediction: &[u32], prompt: &[u32]) -> Self {
        let mut lookup = Self::default();
        prediction.iter().chain(prompt).for_each(|token| lookup.push(*token));
        lookup
    }

    /// The text goes on with `token`.
    pub(super) fn push(&mut self, token: u32) {
        self.tokens.push(token);
        let end = self.tokens.len();
        let run = self.tokens.last_chunk::<AGREE>();
        let previous = run.and_then(|run| self.newest.insert(*run, end));
        self.before.push(previous.unwrap_or(0));
    }

    /// At most `most` tokens that may follow: those behind the earlier place that agrees with the end of the text
    /// for longest, the newest among equals.
    pub(super) fn guess(&self, most: usize) -> &[u32] {
        let end = self.tokens.len();
        let mut best = (0, 0);
        let mut place = self.before.last().copied().unwrap_or(0);
        for _ in 0..PLACES {
            if place == 0 {
                break;
            }
            let agreeing = self.agreeing(place, end);
            if agreeing > best.0 {
                best = (agreeing, place);
            }
            place = self.before[place - 1];
        }
        match best {
            (0, _) => &[],
            (_, place) => &self.tokens[place..end.min(place + most)],
        }
    }

    fn agreeing(&self, place: usize, end: usize) -> usize {
        let [behind, ahead] = [place, end].map(|end| self.tokens[..end].iter().rev());
        behind.zip(ahead).take(LONGEST).take_while(|(a, b)| a == b).count()
    }

    /// Takes in how far a guess agreed with the model, of `looked` tokens.
    pub(super) fn fared(&mut self, right: usize, looked: usize) {
        // Behind the first that was wrong the guess was of another text.
        let looked = looked.min(right + 1);
        self.tried = self.tried * MEMORY + looked as f32;
        self.right = self.right * MEMORY + right as f32;
    }

    /// The chance that a guessed token is right, when those before it were.
    pub(super) fn chance(&self) -> f32 {
        let (hope, weight) = HOPE;
        (self.right + hope * weight) / (self.tried + weight)
    }
}

/// Tokens that a step with a guess of `guessed` yields on average.
pub(super) fn expected(chance: f32, guessed: usize) -> f32 {
    (0..=guessed).map(|right| chance.powi(right as i32)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(prediction: &[u32], prompt: &[u32], expect: &[u32]) {
        let lookup = Lookup::new(prediction, prompt);
        assert_eq!(lookup.guess(3), expect, "behind {prompt:?}");
    }

    #[test]
    fn a_guess_is_what_followed_before() {
        check(&[], &[1, 2, 3, 4, 5, 6, 1, 2, 3], &[4, 5, 6]);
        check(&[], &[1, 2, 3, 4, 1, 2, 3], &[4, 1, 2]);
        check(&[], &[1, 2, 3, 9, 2, 3], &[]);
        check(&[], &[1, 2], &[]);
        check(&[7, 8, 9, 1, 1], &[5, 7, 8, 9], &[1, 1, 5]);
        check(&[], &[4, 4, 4, 4], &[4]);
    }

    #[test]
    fn the_longest_agreement_counts_and_then_the_newest() {
        check(&[], &[8, 1, 2, 3, 50, 9, 1, 2, 3, 60, 8, 1, 2, 3], &[50, 9, 1]);
        check(&[], &[1, 2, 3, 50, 1, 2, 3, 60, 7, 7, 1, 2, 3], &[60, 7, 7]);
    }

    #[test]
    fn guesses_that_fail_are_trusted_less() {
        let mut lookup = Lookup::default();
        let hope = lookup.chance();
        lookup.fared(0, 8);
        assert!(lookup.chance() < hope);
        (0..50).for_each(|_| lookup.fared(8, 8));
        assert!(lookup.chance() > 0.95, "{}", lookup.chance());
        (0..100).for_each(|_| lookup.fared(0, 1));
        assert!(lookup.chance() < 0.15, "{}", lookup.chance());
    }

    #[test]
    fn what_a_guess_yields_grows_with_its_chance() {
        assert_eq!([expected(0.0, 5), expected(1.0, 5), expected(0.5, 2)], [1.0, 6.0, 1.75]);
    }
}
