//! Answers a call that was asked before: the same caller, the same messages, the same parameters. Whole answers only, for as
//! long as the operator wants; they outlive the host.

mod answers;
#[cfg(test)]
mod tests;

use sha2::{Digest, Sha256};
use signalbox_sdk::{
    Action, Edits, Ending, FinishReason, Outcome, Post, Pre, Refusal, Request, config, export,
};

/// Longer answers are not kept.
const ANSWER_BYTES: usize = 32 << 10;
/// Carries the key from `pre` to `post`.
const HINT: &str = "answer-cache";

struct AnswerCache {
    key: Option<String>,
    answer: String,
}

impl Pre for AnswerCache {
    fn handle(request: &Request, edits: &Edits) -> Result<Outcome, Refusal> {
        // What tools say and pictures show is not in the text.
        if !request.tools().is_empty() || request.has_images() {
            return Ok(Outcome::Proceed);
        }
        let key = key(request);
        if let Some(answer) = answers::kept(&key) {
            return Ok(Outcome::Answer(answer));
        }
        edits.add_hint(HINT, &key);
        Ok(Outcome::Proceed)
    }
}

impl Post for AnswerCache {
    fn open(request: &Request, _expert: &str) -> Self {
        Self { key: request.hint(HINT), answer: String::new() }
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
        if let (true, Some(key)) = (whole, &self.key) {
            answers::keep(key, &self.answer);
        }
        Action::Emit
    }
}

export!(AnswerCache: pre, post);

/// Who asks what, and how. With `share` set to `yes`, whoever asks.
fn key(request: &Request) -> String {
    let shared = config::get("share").as_deref() == Some("yes");
    let caller = if shared { String::new() } else { request.caller() };
    let asked = format!(
        "{caller:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        request.model(),
        request.messages(),
        request.max_tokens(),
        request.temperature(),
        request.top_p(),
        request.seed(),
        request.stop(),
        request.response_format(),
    );
    Sha256::digest(asked).iter().map(|byte| format!("{byte:02x}")).collect()
}
