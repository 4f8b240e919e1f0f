//! What tokens weigh in the model's own distribution, before penalties, temperature and grammars.

use crate::{Logprob, TokenLogprobs, tokenizer::Tokenizer};

/// The softmax of logits `(vocab)`.
pub(super) struct Distribution<'l> {
    logits: &'l [f32],
    most: f32,
    /// Logarithm of what all weigh together, the heaviest being 1.
    mass: f64,
}

impl<'l> Distribution<'l> {
    /// `None` when the logits are no numbers.
    pub(super) fn of(logits: &'l [f32]) -> Option<Self> {
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mass: f64 = logits.iter().map(|logit| f64::from(logit - most).exp()).sum();
        let mass = mass.ln();
        mass.is_finite().then_some(Self { logits, most, mass })
    }

    /// The logarithm of a token's probability, minus infinity where it has none.
    pub(super) fn logprob(&self, token: u32) -> f64 {
        let logit = self.logits.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY);
        f64::from(logit - self.most) - self.mass
    }
}

/// The token that was drawn from logits `(vocab)`, and the `top` likeliest; `None` when the logits are no numbers.
pub(super) fn weigh(
    logits: &[f32],
    drawn: u32,
    top: u32,
    tokenizer: &Tokenizer,
) -> Option<TokenLogprobs> {
    let distribution = Distribution::of(logits)?;
    let weighed = |token: u32| {
        // JSON has no infinity; nothing is less likely than this.
        let logprob = (distribution.logprob(token) as f32).max(f32::MIN);
        Logprob { token, bytes: tokenizer.token_bytes(token), logprob }
    };
    let top = likeliest(logits, top as usize).into_iter().map(weighed).collect();
    Some(TokenLogprobs { drawn: weighed(drawn), top })
}

/// So many tokens, the likeliest first, lower ids before equals.
fn likeliest(logits: &[f32], count: usize) -> Vec<u32> {
    let mut ids: Vec<u32> = (0..).take(logits.len()).collect();
    let first =
        |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
    let count = count.min(ids.len());
    if count > 0 && count < ids.len() {
        ids.select_nth_unstable_by(count - 1, first);
    }
    ids.truncate(count);
    ids.sort_unstable_by(first);
    ids
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::tests::toy_tokenizer;

    #[test]
    fn probabilities_are_those_of_a_softmax() {
        let tokenizer = toy_tokenizer("qwen_coder");
        let logits = [0.0, 2.0f32.ln(), f32::NEG_INFINITY, 0.0];
        let weighed = weigh(&logits, 0, 2, &tokenizer).unwrap();
        assert!((weighed.drawn.logprob - 0.25f32.ln()).abs() < 1e-6, "{weighed:?}");
        let top: Vec<u32> = weighed.top.iter().map(|top| top.token).collect();
        assert_eq!(top, [1, 0]);
        assert!((weighed.top[0].logprob - 0.5f32.ln()).abs() < 1e-6, "{weighed:?}");
        assert_eq!(weigh(&logits, 2, 0, &tokenizer).unwrap().drawn.logprob, f32::MIN);
        assert_eq!(likeliest(&logits, 9).len(), 4);
    }
}
