//! Where calls begin, in texts that come whole and letter by letter; and that the reader of calls takes nothing for a
//! call of a strict tool that did not begin as one.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::tools::{CallReader, Said, Tool};

fn openings() -> Openings {
    let tool = |name: &str| Tool {
        name: name.into(),
        description: None,
        parameters: json!({ "type": "object" }),
        strict: true,
    };
    Openings::new(Arc::new(Tools {
        offered: vec![tool("now"), tool("weather")],
        ..Tools::default()
    }))
}

/// The first call that begins in a text, and what of it is there.
fn check(text: &str, expect: Option<(Form, &str)>) {
    let expect = expect.map(|(form, there)| (form, there.to_owned()));
    assert_eq!(openings().push(text), expect, "{text:?}");
    let mut letters = openings();
    let begun = text.char_indices().find_map(|(at, c)| {
        let (form, there) = letters.push(c.encode_utf8(&mut [0; 4]))?;
        Some((form, format!("{there}{}", &text[at + c.len_utf8()..])))
    });
    assert_eq!(begun, expect, "letter by letter: {text:?}");
}

const WEATHER: Form = Form::Named { tool: 1, wrapped: false, listed: false };
const LISTED: Form = Form::Named { tool: 1, wrapped: false, listed: true };
const WRAPPED: Form = Form::Named { tool: 1, wrapped: true, listed: false };

#[test]
fn a_certain_mark_is_a_beginning() {
    for (spelling, mark) in certain_marks() {
        check(&format!("I look.{mark}"), Some((Form::Marked(spelling), "")));
        check(&format!("{mark}\n{{"), Some((Form::Marked(spelling), "\n{")));
    }
    assert_eq!(certain_marks().count(), 6);
}

#[test]
fn json_is_a_beginning_once_it_names_a_tool() {
    check(r#"{"name": "weather", "#, Some((WEATHER, ", ")));
    check(r#"{"id": "7", "type": "function", "name" :"weather""#, Some((WEATHER, "")));
    check(r#"[ {"tool_call_id": "0", "tool_name": "weather""#, Some((LISTED, "")));
    check(r#"{"type": "function", "function": {"name": "weather""#, Some((WRAPPED, "")));
    check("So:\n```json\n{\"name\": \"weather\"", Some((WEATHER, "")));
    check("So: ```\n{\"name\": \"weather\"", Some((WEATHER, "")));
    check("Action: ```json\n[\n    {\"tool_name\": \"weather\"", Some((LISTED, "")));
    check("<tools>{\"name\": \"weather\"", Some((WEATHER, "")));
    check("functools[{\"name\": \"weather\"", Some((LISTED, "")));
    check("{\"a\": 1}\n  {\"name\": \"weather\"", Some((WEATHER, "")));
}

#[test]
fn everything_else_is_none() {
    for text in [
        "from functools import reduce",
        r#"say {"name": "weather"}"#,
        r#"{"name": "Bob", "tool": "weather"}"#,
        r#"{"arguments": {}, "name": "weather"}"#,
        r#"{"key": "value", "name": "weather"}"#,
        r#"{"name": 7, "tool": "weather"}"#,
        "```rust\nfn main() {}\n```",
        "a < b, <tool, [TOOL, [1, 2]",
    ] {
        check(text, None);
    }
    check(&format!("{{\"id\": \"{}\", \"name\": \"now\"", "7".repeat(NAMED_WITHIN_BYTES)), None);
}

#[test]
fn calls_stand_behind_calls_without_a_mark() {
    let mut openings = openings();
    let mut check = |text: &str, expect: Option<(Form, &str)>| {
        let expect = expect.map(|(form, there)| (form, there.to_owned()));
        assert_eq!(openings.push(text), expect, "{text:?}");
    };
    let mark = certain_marks().find(|(_, mark)| *mark == "[TOOL_CALLS]").unwrap().0;
    check("[TOOL_CALLS]", Some((Form::Marked(mark), "")));
    check(", ", None);
    check("[{", Some((Form::Value, "[{")));
    check(" wea", None);
    check("ther[AR", None);
    check("GS]{\"", Some((Form::Arguments(1), "{\"")));
    check(" and {\"name\": \"weather\"", None);
    check("\n```json\n{\"name\": \"weather\"", Some((WEATHER, "")));
    check(" ; {\"name\": \"weather\"", Some((WEATHER, "")));
    check("\n```{\"name\": \"weather\"", Some((WEATHER, "")));
}

/// Pieces of replies; the arguments that stand in them are no good ones.
const PIECES: &[&str] = &[
    "<tool_call>",
    "</tool_call>",
    "<|tool_call|>",
    "[TOOL_CALLS]",
    "<|python_tag|>",
    "<tools>",
    "</tools>",
    "functools",
    "Action: ",
    "```json",
    "```",
    "\n",
    " ",
    "; ",
    ", ",
    "{",
    "}",
    "[",
    "]",
    "weather",
    "[ARGS]",
    "text",
    r#""x": 7, "#,
    r#""id": "a b", "#,
    r#""type": "function", "#,
    r#""function": "#,
    r#""name": "weather""#,
    r#""tool": "now", "#,
    r#"{"name": "weather""#,
    r#"{"name": "now", "arguments": {}}"#,
    r#", "arguments": {"city": 7}"#,
    r#"{"arguments": {"city": 7}, "name": "weather"}"#,
    r#"{"city": 7}"#,
];
const GOOD: &str = r#"{"city": "Rome"}"#;

/// What the mask would let come behind a beginning, and whether it closes the mark.
fn completed(form: Form, there: &str) -> (String, bool) {
    let call = format!(r#"{{"name": "weather", "arguments": {GOOD}}}"#);
    match form {
        Form::Marked(spelling) => {
            let close = closing_mark(spelling).filter(|close| *close != "<|eom_id|>");
            (format!("{call}{}", close.unwrap_or_default()), close.is_some())
        }
        Form::Value if there == "[" => (format!("{call}]"), false),
        Form::Value => (call[1..].to_owned(), false),
        Form::Arguments(_) => (GOOD[1..].to_owned(), false),
        Form::Named { wrapped, listed, .. } => {
            let (wrapped, listed) = (if wrapped { "}" } else { "" }, if listed { "]" } else { "" });
            (format!(r#", "arguments": {GOOD}}}{wrapped}{listed}"#), false)
        }
    }
}

/// A reply of these pieces, where every call that begins goes on as the mask has it.
fn held(pieces: &[&str]) -> String {
    let (mut openings, mut reply) = (openings(), String::new());
    for piece in pieces {
        for c in piece.chars() {
            reply.push(c);
            if let Some((form, there)) = openings.push(c.encode_utf8(&mut [0; 4])) {
                let (rest, closed) = completed(form, &there);
                reply.push_str(&rest);
                if closed {
                    openings.closed(false);
                }
                break;
            }
        }
    }
    reply
}

/// The arguments of all calls of the strict tool that a reader finds, complete ones only.
fn arguments(mut reader: CallReader, reply: &str, ended: bool) -> Vec<String> {
    let mut said: Vec<Said> =
        reply.split_inclusive(|_| true).flat_map(|c| reader.push(c)).collect();
    said.extend(reader.finish(!ended));
    let mut calls = Vec::new();
    for said in said {
        match said {
            Said::Call(call) => calls.push((call.name, call.arguments)),
            Said::Arguments(more) => {
                calls.last_mut().into_iter().for_each(|(_, all)| all.push_str(&more));
            }
            Said::Text(_) => {}
        }
    }
    if reader.is_torn() {
        calls.pop();
    }
    let weather = calls.into_iter().filter(|(name, _)| name == "weather");
    weather.map(|(_, arguments)| arguments).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn what_the_reader_takes_for_a_call_was_seen_to_begin(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 1..14), ended: bool,
    ) {
        let reply = held(&pieces);
        let reader = || CallReader::new(openings().tools);
        for (how, reader) in [("whole", reader()), ("early", reader().early())] {
            for arguments in arguments(reader, &reply, ended) {
                prop_assert_eq!(arguments, GOOD, "{}: {:?}", how, reply);
            }
        }
    }
}
