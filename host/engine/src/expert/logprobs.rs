//! What tokens weigh in the model's own distribution, before penalties, temperature and grammars.

use crate::{Logprob, TokenLogprobs, tokenizer::Tokenizer};

/// The token that was drawn from logits `(vocab)`, and the `top` likeliest.
pub(super) fn weigh(logits: &[f32], drawn: u32, top: u32, tokenizer: &Tokenizer) -> TokenLogprobs {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mass: f64 = logits.iter().map(|logit| f64::from(logit - most).exp()).sum();
    let mass = mass.ln();
    let weighed = |token: u32| {
        let logit = logits.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY);
        // JSON has no infinity; nothing is less likely than this.
        let logprob = ((f64::from(logit - most) - mass) as f32).max(f32::MIN);
        Logprob { token, bytes: tokenizer.token_bytes(token), logprob }
    };
    let top = likeliest(logits, top as usize).into_iter().map(weighed).collect();
    TokenLogprobs { drawn: weighed(drawn), top }
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
        let weighed = weigh(&logits, 0, 2, &tokenizer);
        assert!((weighed.drawn.logprob - 0.25f32.ln()).abs() < 1e-6, "{weighed:?}");
        let top: Vec<u32> = weighed.top.iter().map(|top| top.token).collect();
        assert_eq!(top, [1, 0]);
        assert!((weighed.top[0].logprob - 0.5f32.ln()).abs() < 1e-6, "{weighed:?}");
        assert_eq!(weigh(&logits, 2, 0, &tokenizer).drawn.logprob, f32::MIN);
        assert_eq!(likeliest(&logits, 9).len(), 4);
    }
}
