//! Puts what a vector store knows of a question in front of it: passages come from a bridge over HTTP, in two calls, one for the
//! question's vector and one for what lies near it. Both have three seconds together. Without context, for whatever reason, the
//! call goes on as it came, and a note says why.

mod bridge;
mod context;
mod intent;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use signalbox_sdk::{Edits, Outcome, Pre, Refusal, Request, annotate, config, export, log};

use bridge::Bridge;
use intent::Intent;

/// For both calls together.
const TIME: Duration = Duration::from_secs(3);
/// How sure a question has to be one about facts, when the operator sets no `detection-threshold`.
const THRESHOLD: f32 = 0.5;
/// Tokens of all passages, when the operator sets no `max-context-tokens`.
const CONTEXT_TOKENS: u32 = 2000;
/// Longer questions are cut for the search: what somebody asks stands at the beginning or at the end.
const QUESTION_BYTES: usize = 4 << 10;
/// What the note is called.
const NOTE: &str = "rag";

struct RagBridge;

impl Pre for RagBridge {
    fn handle(request: &Request, edits: &Edits) -> Result<Outcome, Refusal> {
        let Some((at, question)) = question(request) else { return Ok(Outcome::Proceed) };
        let threshold = config::parse("detection-threshold", THRESHOLD);
        let Some(intent) = Intent::of(&question, threshold) else { return Ok(Outcome::Proceed) };
        match Bridge::configured().passages(shortened(&question), intent, Instant::now() + TIME) {
            Ok(passages) => {
                let most = config::parse("max-context-tokens", CONTEXT_TOKENS);
                let context = context::within(most, &passages, request.model().as_deref());
                annotate(
                    NOTE,
                    format!("{intent}: {} of {} passages", context.used, passages.len()),
                );
                if context.used > 0 {
                    edits.set_content(at, &context.before(&question));
                }
            }
            Err(why) => {
                log::warn(format_args!("call {} goes on without context: {why}", request.id()));
                annotate(NOTE, format!("{intent}: no context: {why}"));
            }
        }
        Ok(Outcome::Proceed)
    }
}

export!(RagBridge: pre);

/// The newest message, if somebody asks something in it, and where it stands.
fn question(request: &Request) -> Option<(usize, String)> {
    let at = request.message_count().checked_sub(1)?;
    let message = request.message(at).filter(|message| message.role == "user")?;
    Some((at, message.content))
}

/// The end of a long question and its beginning.
fn shortened(question: &str) -> String {
    if question.len() <= QUESTION_BYTES {
        return question.to_owned();
    }
    let half = QUESTION_BYTES / 2;
    let (head, rest) = question.split_at(question.floor_char_boundary(half));
    let tail = &rest[rest.ceil_char_boundary(rest.len().saturating_sub(half))..];
    format!("{head}\n{tail}")
}
