//! Which questions may be compared at all: those that differ in nothing but the words of the newest message.

use sha2::{Digest, Sha256};
use signalbox_sdk::{Request, config};

/// Longer questions are not compared: their ends are not in their vectors.
const QUESTION_BYTES: usize = 600;

/// The question that a call asks, if answers to it can be used again.
pub(crate) fn comparable(request: &Request) -> Option<String> {
    let question = request.messages().pop().filter(|last| last.role == "user")?.content;
    let drawn = request.temperature() != Some(0.0);
    let chance = drawn && config::get("any-temperature").as_deref() != Some("yes");
    // What tools say and pictures show is not in the text.
    let more = !request.tools().is_empty() || request.has_images();
    let fits = !question.is_empty() && question.len() <= QUESTION_BYTES;
    (fits && !more && !chance).then_some(question)
}

/// Who asks, behind what, and how. With `shared` set to `yes`, whoever asks.
pub(crate) fn key(request: &Request) -> String {
    let shared = config::get("shared").as_deref() == Some("yes");
    let caller = if shared { String::new() } else { request.caller() };
    let mut before = request.messages();
    before.pop();
    let asked = format!(
        "{caller:?} {:?} {before:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        request.model(),
        request.max_tokens(),
        request.temperature(),
        request.top_p(),
        request.seed(),
        request.stop(),
        request.response_format(),
    );
    Sha256::digest(asked).iter().map(|byte| format!("{byte:02x}")).collect()
}
