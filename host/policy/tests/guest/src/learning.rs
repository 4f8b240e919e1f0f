//! What the guest makes of outcomes: it keeps the newest as text, and misbehaves when the message says `learn` and how.

use crate::{
    bindings::{
        signalbox::policy::{
            outcomes::{Outcome, ToldDecision},
            types::Request,
        },
        wasi::keyvalue::store::{self, Bucket},
    },
    misbehave::misbehave,
};

const LEARNED: &str = "learned";

fn bucket() -> Option<Bucket> {
    store::open("guest").ok()
}

/// What was told last.
pub(crate) fn learned() -> String {
    let kept = bucket().and_then(|bucket| bucket.get(LEARNED).ok().flatten());
    kept.map_or("nothing".into(), |text| String::from_utf8_lossy(&text).into_owned())
}

/// Keeps it as text.
pub(crate) fn learn(request: &Request, decision: &ToldDecision, outcome: &Outcome) {
    let message = request.last_user_text();
    misbehave(message.strip_prefix("learn ").unwrap_or_default());
    let times = (outcome.first_text_ms(), outcome.total_ms());
    let tokens = (outcome.prompt_tokens(), outcome.cached_tokens(), outcome.completion_tokens());
    let said = (outcome.rating(), outcome.note());
    let text = format!(
        "{message}: {:?} {} -> {:?} {:?} {times:?} {tokens:?} {said:?}",
        decision.experts,
        decision.reason,
        outcome.expert(),
        outcome.end(),
    );
    if let Some(bucket) = bucket() {
        let _ = bucket.set(LEARNED, text.as_bytes());
    }
}
