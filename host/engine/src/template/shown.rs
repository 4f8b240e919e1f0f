//! Messages as templates are shown them.

use std::fmt::Write;

use serde_json::Value;

use super::{
    Problem,
    turn::{Called, Content, Function, Piece, Turn},
};
use crate::{Message, Part, tools::ToolCall};

/// The length of ids in conversations that Mistral's templates take; no other template looks at them.
const ID_LETTERS: usize = 9;
const SYSTEM: &str = "system";

/// A turn among `messages`.
pub(super) fn turn(message: &Message, messages: &[Message], reads_parts: bool) -> Turn {
    let answers = message.answers.as_deref();
    let mut calls = messages.iter().flat_map(|message| &message.calls);
    let answered = answers.and_then(|id| calls.find(|call| call.id == id));
    Turn {
        role: message.role.clone(),
        content: content(message, reads_parts),
        tool_calls: message.calls.iter().map(called).collect(),
        tool_call_id: answers.map(short_id),
        name: answered.map(|call| call.name.clone()),
        tools: None,
    }
}

/// Plain text, or a list of parts where there are pictures among them or several parts that the template
/// can read. Of a system prompt's parts some templates read only the first, so that one is always plain.
fn content(message: &Message, reads_parts: bool) -> Content {
    let several = message.content.len() > 1 && reads_parts && message.role != SYSTEM;
    if several || message.images().next().is_some() {
        return Content::Pieces(message.content.iter().map(piece).collect());
    }
    Content::Plain(message.texts().collect())
}

fn piece(part: &Part) -> Piece {
    match part {
        Part::Text(text) => Piece::Text { text: text.clone() },
        Part::Image(_) => Piece::Image,
    }
}

fn called(call: &ToolCall) -> Called {
    let function = Function { name: call.name.clone(), arguments: call.value() };
    Called { id: short_id(&call.id), r#type: "function".to_owned(), function }
}

/// The last letters of an id, as many as every template takes.
fn short_id(id: &str) -> String {
    let letters: Vec<char> = id.chars().filter(char::is_ascii_alphanumeric).collect();
    let mut short: String = letters[letters.len().saturating_sub(ID_LETTERS)..].iter().collect();
    let missing = ID_LETTERS - short.len();
    if missing > 0 {
        let _ = write!(short, "{:0<missing$}", ""); // a string takes everything
    }
    short
}

/// Puts definitions into the system's turn, and one before the others where there is none.
pub(super) fn tell_system(turns: &mut Vec<Turn>, definitions: &Value) {
    let tools = Some(definitions.to_string());
    match turns.first_mut().filter(|turn| turn.role == SYSTEM) {
        Some(system) => system.tools = tools,
        None => turns.insert(0, Turn { role: SYSTEM.to_owned(), tools, ..Turn::default() }),
    }
}

/// What was rendered, up to the end of the last message's text.
pub(super) fn cut_behind(mut rendered: String, last: &Message) -> Result<String, Problem> {
    let text: String = last.texts().collect();
    let text = text.trim_end();
    match rendered.rfind(text).filter(|_| !text.is_empty()) {
        Some(at) => {
            rendered.truncate(at + text.len());
            Ok(rendered)
        }
        None => Err(Problem::Raised("the last message has no text that can be continued".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_length_that_every_template_takes() {
        let check = |id, expect| assert_eq!(short_id(id), expect);
        check("call_abcdefghijklmnop", "hijklmnop");
        check("1", "100000000");
        check("toolu_12-34", "toolu1234"[0..9].into());
    }

    #[test]
    fn a_continued_message_ends_where_its_text_does() {
        let check = |rendered: &str, text: &str, expect: Option<&str>| {
            let cut = cut_behind(rendered.into(), &Message::text("assistant", text));
            assert_eq!(cut.ok().as_deref(), expect);
        };
        check("<a>so far</a>", "so far ", Some("<a>so far"));
        check("<a>yes</a><a>yes</a>", "yes", Some("<a>yes</a><a>yes"));
        check("<a></a>", "", None);
    }
}
