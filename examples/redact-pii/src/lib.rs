//! Hides e-mail addresses, telephone numbers, payment cards, bank accounts (IBAN) and Spanish identity
//! numbers: in what clients send, before an expert reads it, and in what experts say, even where a
//! chunk ends in the middle of a number.

mod find;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use find::{spans, unfinished};
use signalbox_sdk::{Action, Edits, Ending, Outcome, Post, Pre, Refusal, Request, export};

struct RedactPii;

impl Pre for RedactPii {
    fn handle(request: &Request, edits: &Edits) -> Result<Outcome, Refusal> {
        for index in 0..request.message_count() {
            let Some(message) = request.message(index) else { break };
            if let Cow::Owned(clean) = redact(&message.content) {
                edits.set_content(index, &clean);
            }
        }
        Ok(Outcome::Proceed)
    }
}

impl Post for RedactPii {
    fn open(_request: &Request, _expert: &str) -> Self {
        Self
    }

    /// What may still grow into something personal stays in the window; the rest goes out clean.
    fn push(&mut self, window: &str) -> Action {
        match unfinished(window) {
            0 => Action::Hold,
            cut => {
                Action::Replace { text: redact(&window[..cut]).into(), keep: window.len() - cut }
            }
        }
    }

    fn finish(&mut self, window: &str, _ended: &Ending) -> Action {
        Action::Replace { text: redact(window).into(), keep: 0 }
    }
}

/// The text with every finding replaced by what it was; the same text when there is none.
fn redact(text: &str) -> Cow<'_, str> {
    let mut found = spans(text).peekable();
    if found.peek().is_none() {
        return Cow::Borrowed(text);
    }
    let (mut clean, mut done) = (String::with_capacity(text.len()), 0);
    for (span, kind) in found {
        clean.push_str(&text[done..span.start]);
        clean.push_str(kind);
        done = span.end;
    }
    Cow::Owned(clean + &text[done..])
}

export!(RedactPii: pre, post);
