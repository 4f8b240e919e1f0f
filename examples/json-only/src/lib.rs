//! Lets nothing but one JSON value through, for programs that ask for JSON: prose and fences around it go, small mistakes
//! are mended as the text streams, what was cut is closed, and an expert that talks instead is stopped.

mod repair;
#[cfg(test)]
mod tests;

use repair::Repair;
use signalbox_sdk::{Action, Ending, Post, Request, ResponseFormat, config, export};

/// So much prose, in bytes, and there is no JSON to come.
const PROSE_MAX: usize = 4096;
/// What the client reads then.
const NO_JSON: &str = r#"{"error":"the expert did not answer with JSON"}"#;

struct JsonOnly {
    /// Nothing when the call did not ask for JSON.
    repair: Option<Repair>,
    /// Bytes read before the value began.
    prose: usize,
}

impl Post for JsonOnly {
    fn open(request: &Request, _expert: &str) -> Self {
        let always = config::get("when").is_some_and(|when| when == "always");
        let repair = (always || asks_for_json(request)).then(Repair::default);
        Self { repair, prose: 0 }
    }

    fn push(&mut self, window: &str) -> Action {
        let Some(repair) = &mut self.repair else { return Action::Emit };
        let text = repair.feed(window);
        if repair.is_done() {
            return Action::Stop(text);
        }
        self.prose += if repair.has_begun() { 0 } else { window.len() };
        match self.prose > PROSE_MAX {
            true => Action::Stop(NO_JSON.to_owned()),
            false => Action::Replace { text, keep: 0 },
        }
    }

    fn finish(&mut self, window: &str, _ended: &Ending) -> Action {
        let Some(repair) = &mut self.repair else { return Action::Emit };
        let mut text = repair.feed(window);
        match repair.has_begun() {
            true => text.push_str(&repair.close()),
            false => text.push_str(NO_JSON),
        }
        Action::Replace { text, keep: 0 }
    }
}

export!(JsonOnly: post);

/// Whether the call asks for JSON as its format, or the newest message or a system prompt speaks of it.
fn asks_for_json(request: &Request) -> bool {
    if matches!(request.response_format(), ResponseFormat::Json | ResponseFormat::JsonSchema(_)) {
        return true;
    }
    let speaks = |text: &str| text.to_ascii_lowercase().contains("json");
    let first = request.message(0).filter(|message| message.role == "system");
    first.is_some_and(|message| speaks(&message.content)) || speaks(&request.last_user_text())
}
