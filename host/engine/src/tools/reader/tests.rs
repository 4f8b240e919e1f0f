//! Replies as models write them, whole and letter by letter.

use serde_json::json;

use super::*;

fn tool(name: &str, required: &[&str]) -> Tool {
    let properties: serde_json::Map<_, _> =
        required.iter().map(|key| ((*key).to_owned(), json!({}))).collect();
    let parameters = json!({ "type": "object", "properties": properties, "required": required });
    Tool { name: name.into(), description: None, parameters, strict: false }
}

fn tools(parallel: bool) -> Arc<Tools> {
    let offered = vec![tool("weather", &["city"]), tool("now", &[])];
    Tools { offered, parallel, ..Tools::default() }.into()
}

/// What is said, calls as `name(arguments)`.
fn shown(said: Vec<Said>) -> Vec<String> {
    let (mut shown, mut text_before) = (Vec::<String>::new(), false);
    for said in said {
        let is_text = matches!(said, Said::Text(_));
        let words = match said {
            Said::Text(text) => text,
            Said::Call(call) => format!("{}({})", call.name, call.arguments),
        };
        match shown.last_mut().filter(|_| is_text && text_before) {
            Some(last) => last.push_str(&words),
            None => shown.push(words),
        }
        text_before = is_text;
    }
    shown
}

fn read<'p>(pieces: impl Iterator<Item = &'p str>, parallel: bool) -> Vec<String> {
    let mut reader = CallReader::new(tools(parallel));
    let mut said: Vec<Said> = pieces.flat_map(|piece| reader.push(piece)).collect();
    said.extend(reader.finish(false));
    shown(said)
}

fn check(reply: &str, expect: &[&str]) {
    assert_eq!(read([reply].into_iter(), true), expect, "{reply:?}");
    let letters = reply.split_inclusive(|_| true);
    assert_eq!(read(letters, true), expect, "letter by letter: {reply:?}");
}

const ROME: &str = r#"weather({"city": "Rome"})"#;

#[test]
fn calls_are_found_as_templates_spell_them() {
    let call = r#"{"name": "weather", "arguments": {"city": "Rome"}}"#;
    let llama = r#"{"name": "weather", "parameters": {"city": "Rome"}}"#;
    let cohere =
        r#"[{"tool_call_id": "0", "tool_name": "weather", "parameters": {"city": "Rome"}}]"#;
    check(&format!("<tool_call>\n{call}\n</tool_call>"), &[ROME]);
    check(&format!("[TOOL_CALLS] [{call}]"), &[ROME]);
    check(r#"[TOOL_CALLS]weather[ARGS]{"city": "Rome"}"#, &[ROME]);
    check(&format!("<|tool_call|>[{call}]<|/tool_call|>"), &[ROME]);
    check(&format!("<|python_tag|>{llama}"), &[ROME]);
    check(llama, &[ROME]);
    check(&format!("Action: ```json\n{cohere}\n```"), &[ROME]);
    check(&format!("<|START_ACTION|>{cohere}<|END_ACTION|>"), &[ROME]);
    check(
        "I look.\n<tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call>\n\
         <tool_call>{\"name\": \"now\", \"arguments\": {\"a\": 1}}</tool_call>",
        &["I look.", "now({})", r#"now({"a": 1})"#],
    );
}

#[test]
fn calls_are_found_as_models_spell_them_by_habit() {
    let call = r#"{"name": "weather", "arguments": {"city": "Rome"}}"#;
    check(&format!("```json\n{call}\n```"), &[ROME]);
    check(&format!("```\n{call}\n```"), &[ROME]);
    check(&format!("Sure:\n```json\n{call}\n```\nDone."), &["Sure:", ROME, "\nDone."]);
    check("<tools>\n{\"name\": \"now\", \"arguments\": {}}\n</tools>", &["now({})"]);
    check(&format!("{{\"name\": \"now\"}}\n{call}"), &["now({})", ROME]);
    check("<tool_call>\n{\"name\": \"now\", \"arguments\": {}\n</tool_call>", &["now({})"]);
    let within = r#"{"name": "weather", "arguments": "{\"city\": \"Rome\"}"}"#;
    check(&format!(r#"{{"type": "function", "function": {within}}}"#), &[ROME]);
}

#[test]
fn what_is_no_call_is_text() {
    for text in [
        "plain",
        r#"{"name": "nobody", "arguments": {}}"#,
        r#"{"name": "weather", "arguments": {"town": "Rome"}}"#,
        "```json\n{\"name\": \"weather\"}\n```",
        "```rust\nfn main() {}\n```",
        r#"say {"name": "now"}"#,
        "a < b, [1, 2], <tool_",
        "{\n  \"key\": 1\n}",
        "[TOOL",
        "<tool_call>nothing</tool_call>",
    ] {
        check(text, &[text]);
    }
}

#[test]
fn text_is_held_no_longer_than_it_may_be_a_call() {
    let mut reader = CallReader::new(tools(true));
    let mut check = |piece: &str, expect: Option<&str>| {
        let expect: Vec<Said> = expect.map(|text| Said::Text(text.into())).into_iter().collect();
        assert_eq!(reader.push(piece), expect, "{piece:?}");
    };
    check("Hi", Some("Hi"));
    check(" <", None);
    check("b>", Some(" <b>"));
    check("\n{\"ke", Some("\n{\"ke"));
}

#[test]
fn one_call_is_all_where_several_are_not_wanted() {
    let call = r#"<tool_call>{"name": "now", "arguments": {}}</tool_call>"#;
    assert_eq!(read([call, call].into_iter(), false), ["now({})"]);
}

#[test]
fn a_reply_that_was_cut_calls_nothing_by_halves() {
    let half = r#"<tool_call>{"name": "weather", "arguments": {"city": "Ro"#;
    let mut reader = CallReader::new(tools(true));
    assert_eq!(reader.push(half), []);
    assert_eq!(reader.finish(true), [Said::Text(half.into())]);
}

#[test]
fn a_call_without_end_is_text() {
    let mut reader = CallReader::new(tools(true));
    assert_eq!(reader.push("<tool_call>{\"name\": \""), []);
    assert_eq!(reader.push(&"a".repeat(CALL_BYTES_MAX / 2)), []);
    assert!(!reader.push(&"a".repeat(CALL_BYTES_MAX / 2)).is_empty());
}
