//! Refuses calls that show signs of prompt injection or of a jailbreak, or marks them for later policies. It reads what users
//! and tools say, and what tools say of themselves; a system prompt is the operator's. Signs are words that come together, in English and Spanish, the marks
//! of chat templates, and letters that nobody sees. It catches what is known and tried often, and no more than that.

mod signs;
#[cfg(test)]
mod tests;

use signalbox_sdk::{Edits, Outcome, Pre, Refusal, Request, config, export, log};

/// What is read of a message, in bytes, at its beginning and at its end.
const READ_BYTES: usize = 32 << 10;
/// The newest messages: older ones were the newest once.
const READ_MESSAGES: usize = 64;

struct PromptGuard;

impl Pre for PromptGuard {
    fn handle(request: &Request, edits: &Edits) -> Result<Outcome, Refusal> {
        let marks_only = config::get("action").is_some_and(|action| action == "mark");
        let newest = (0..request.message_count()).rev().take(READ_MESSAGES);
        let messages = newest.filter_map(|at| request.message(at));
        let strange = messages.filter(|m| m.role == "user" || m.role == "tool").map(|m| m.content);
        let offered = request.tools().into_iter().map(|tool| tool.description);
        let sign = strange.chain(offered).find_map(|text| {
            let (head, tail) = ends(&text);
            signs::first(head).or_else(|| signs::first(tail))
        });
        let Some(sign) = sign else { return Ok(Outcome::Proceed) };
        log::warn(format_args!("call {} {sign}", request.id()));
        if marks_only {
            edits.add_hint("prompt-guard", sign);
            return Ok(Outcome::Proceed);
        }
        Err(Refusal::forbidden(format!("the call {sign}; say what you want without it")))
    }
}

export!(PromptGuard: pre);

/// The beginning of a text, and its end when that is not the same.
fn ends(text: &str) -> (&str, &str) {
    let (head, rest) = text.split_at(text.floor_char_boundary(READ_BYTES));
    (head, &rest[rest.ceil_char_boundary(rest.len().saturating_sub(READ_BYTES))..])
}
