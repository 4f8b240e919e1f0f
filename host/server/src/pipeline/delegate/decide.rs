//! What an expert makes of a policy's questions about a text. Each is a prompt of its own behind the same text, which is
//! computed once; what was asked before is known.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use signalbox_engine::Request;
use signalbox_policy::{AskError, Asked, Decide, Terms, Weights};

use super::{Asking, ForCaller, What, ask_error, over_budget, turns};
use crate::{
    limits::{LEVELS_MAX, OPTIONS_MAX, QUESTIONS_MAX},
    pipeline::{
        ask_cache::{Key, Said},
        decide::weighed,
        questions::{self, Labels},
        weights,
    },
};

/// Questions that are asked at once.
const ABREAST: usize = 8;

/// A question's text, and what it may be answered with.
type Put = (String, Labels);
/// The log probabilities of the labels of a question.
type Logprobs = Arc<[f64]>;

impl ForCaller {
    pub(super) async fn decided(
        &self,
        about: Decide,
        terms: Terms,
    ) -> Result<Vec<Weights>, AskError> {
        let Decide { text, questions, expert } = about;
        let put = put(questions)?;
        let named = expert.clone();
        let expert = self.whom(expert)?;
        let edition = self.experts.edition(&expert).unwrap_or_default();
        let scope = self.caller.number();
        let key =
            |(question, _): &Put| Key::new(&expert, edition, scope, &["weights", &text, question]);
        let keys: Vec<Key> = put.iter().map(key).collect();
        let mut known: Vec<Option<Logprobs>> = keys.iter().map(|key| self.known(key)).collect();
        let (places, missing): (Vec<usize>, Vec<Put>) =
            put.into_iter().enumerate().filter(|(at, _)| known[*at].is_none()).unzip();
        if !missing.is_empty() {
            self.check_quota(terms.aside)?;
            let (tokens, within) = (terms.tokens, terms.within);
            let (import, operation, named) = ("decide", "chat", named.as_deref());
            let asking = self.asking(What { import, operation, named, expert: &expert }, terms);
            let weighing = asking.weigh(expert, text, missing, tokens);
            let weighed = self.within(within, weighing).await?;
            for (at, logprobs) in places.into_iter().zip(weighed) {
                let logprobs: Logprobs = logprobs.into();
                let said = Said::Logprobs(logprobs.clone());
                self.cache.keep(keys[at], said, self.bounds.ask_cache_bytes_max);
                known[at] = Some(logprobs);
            }
        }
        Ok(known.iter().flatten().map(|logprobs| weights_of(logprobs)).collect())
    }

    fn known(&self, key: &Key) -> Option<Logprobs> {
        match self.cache.find(key)? {
            Said::Logprobs(logprobs) => Some(logprobs),
            Said::Vector(_) => None,
        }
    }
}

impl Asking {
    /// The first question computes the text for the others.
    async fn weigh(
        self,
        expert: String,
        text: String,
        put: Vec<Put>,
        tokens: u64,
    ) -> Result<Vec<Vec<f64>>, AskError> {
        let text_tokens = self.count(&expert, [text.as_str()].into_iter()).await?;
        let all = self.count(&expert, put.iter().map(|(question, _)| question.as_str())).await?;
        let needed = text_tokens.saturating_mul(put.len() as u64).saturating_add(all);
        if needed > tokens {
            return Err(over_budget(needed, tokens));
        }
        let ask = |(question, labels): Put| {
            let prompt = turns([("user", text.as_str()), ("user", question.as_str())]);
            let request = Request { labels, ..self.request(prompt) };
            let (experts, expert) = (&*self.experts, &expert);
            async move {
                let weighed = weighed(experts, expert, request).await.map_err(ask_error)?;
                Ok::<_, AskError>(weighed.0)
            }
        };
        let mut put = put.into_iter();
        let Some(first) = put.next() else { return Ok(vec![]) };
        let mut weighed = vec![ask(first).await?];
        let rest: Vec<_> = stream::iter(put.map(ask)).buffered(ABREAST).try_collect().await?;
        weighed.extend(rest);
        Ok(self.spending.answered(weighed))
    }
}

fn weights_of(logprobs: &[f64]) -> Weights {
    let weights::Weights { probabilities, mass } = weights::Weights::of(logprobs);
    Weights { probabilities, mass }
}

/// The questions as an expert reads them.
fn put(asked: Vec<Asked>) -> Result<Vec<Put>, AskError> {
    if asked.is_empty() || asked.len() > QUESTIONS_MAX {
        let count = asked.len();
        let message = format!("there are {count} questions; there can be 1 to {QUESTIONS_MAX}");
        return Err(AskError::Invalid(message));
    }
    asked.into_iter().map(put_one).collect()
}

fn put_one(asked: Asked) -> Result<Put, AskError> {
    let few = |what: String| move || AskError::Invalid(what);
    match asked {
        Asked::Predicate(instructions, meanings) => {
            Ok(questions::predicate(&instructions, meanings))
        }
        Asked::Choice(instructions, options) => questions::choice(&instructions, &options)
            .ok_or_else(few(format!(
                "a choice has 1 to {OPTIONS_MAX} labels, not {}",
                options.len()
            ))),
        Asked::Score(instructions, levels) => questions::score(&instructions, &levels)
            .ok_or_else(few(format!("a score has 2 to {LEVELS_MAX} labels, not {}", levels.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_some_and_have_labels_to_choose_from() {
        let refused = |asked: Vec<Asked>, words: &str| {
            let error = put(asked).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        let labels = |count: usize| vec![("x".to_owned(), None); count];
        refused(vec![], "0 questions");
        refused(vec![Asked::Predicate("?".to_owned(), [None, None]); 257], "257 questions");
        refused(vec![Asked::Choice("?".to_owned(), labels(0))], "1 to 255 labels, not 0");
        refused(vec![Asked::Score("?".to_owned(), labels(1))], "2 to 10 labels, not 1");
        assert_eq!(put(vec![Asked::Score("?".to_owned(), labels(2))]).unwrap()[0].1.len(), 2);
    }
}
