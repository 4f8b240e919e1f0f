//! Hides e-mail addresses, phone numbers and payment card numbers: in what clients send, before an
//! expert reads it, and in what experts say, even where a chunk ends in the middle of a number.

mod find;
#[cfg(test)]
mod tests;

use find::{spans, unfinished};
use signalbox_sdk::{Action, Edits, Outcome, Post, Pre, Refusal, Request, export};

struct RedactPii;

impl Pre for RedactPii {
    fn handle(request: &Request, edits: &Edits) -> Result<Outcome, Refusal> {
        for (index, message) in request.messages().iter().enumerate() {
            let clean = redact(&message.content);
            if clean != message.content {
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
            cut => Action::Replace { text: redact(&window[..cut]), keep: window.len() - cut },
        }
    }

    fn finish(&mut self, window: &str) -> Action {
        Action::Replace { text: redact(window), keep: 0 }
    }
}

/// The text with every finding replaced by what it was.
fn redact(text: &str) -> String {
    let (mut clean, mut done) = (String::with_capacity(text.len()), 0);
    for (span, kind) in spans(text) {
        clean.push_str(&text[done..span.start]);
        clean.push_str(kind);
        done = span.end;
    }
    clean + &text[done..]
}

export!(RedactPii: pre, post);
