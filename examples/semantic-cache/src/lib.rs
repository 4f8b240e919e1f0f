//! Answers a question that was asked before in nearly the same words, by the same caller, in the same conversation so far,
//! with the same parameters. Near is what embeddings say it is, so numbers and names of things in code are compared by
//! themselves; and where the answer is drawn by chance, only if the operator says so. Whole answers only.

mod group;
mod key;
mod question;
mod stored;
#[cfg(test)]
mod tests;

use key::{comparable, key};
use signalbox_sdk::{
    Action, Edits, Ending, FinishReason, Outcome, Post, Pre, Refusal, Request, export,
};

/// Longer answers are not kept.
const ANSWER_BYTES: usize = 8 << 10;
/// Carries the key from `pre` to `post`.
const HINT: &str = "semantic-cache";

struct SemanticCache {
    key: Option<String>,
    question: String,
    answer: String,
}

impl Pre for SemanticCache {
    fn handle(request: &Request, edits: &Edits) -> Result<Outcome, Refusal> {
        let Some(text) = comparable(request) else { return Ok(Outcome::Proceed) };
        let key = key(request);
        if let Some(question) = question::of(&text)
            && let Some(answer) = stored::find(&key, &question)
        {
            return Ok(Outcome::Answer(answer));
        }
        edits.add_hint(HINT, &key);
        Ok(Outcome::Proceed)
    }
}

impl Post for SemanticCache {
    fn open(request: &Request, _expert: &str) -> Self {
        let (key, question) = (request.hint(HINT), request.last_user_text());
        Self { key, question, answer: String::new() }
    }

    fn push(&mut self, window: &str) -> Action {
        if self.answer.len() <= ANSWER_BYTES {
            self.answer.push_str(window);
        }
        Action::Emit
    }

    fn finish(&mut self, window: &str, ended: &Ending) -> Action {
        self.push(window);
        let whole = ended.reason() == FinishReason::Stop && self.answer.len() <= ANSWER_BYTES;
        if let (true, Some(key)) = (whole, &self.key)
            && let Some(question) = question::of(&self.question)
        {
            stored::keep(key, &question, &self.answer);
        }
        Action::Emit
    }
}

export!(SemanticCache: pre, post);
