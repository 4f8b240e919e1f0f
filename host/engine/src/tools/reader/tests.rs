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
            Said::Arguments(more) => {
                let call = shown.last_mut().expect("a call comes before its arguments");
                call.insert_str(call.len() - 1, &more);
                continue;
            }
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
    read_by(CallReader::new(tools(parallel)), pieces)
}

fn read_by<'p>(mut reader: CallReader, pieces: impl Iterator<Item = &'p str>) -> Vec<String> {
    let mut said: Vec<Said> = pieces.flat_map(|piece| reader.push(piece)).collect();
    said.extend(reader.finish(false));
    shown(said)
}

fn check(reply: &str, expect: &[&str]) {
    assert_eq!(read([reply].into_iter(), true), expect, "{reply:?}");
    let letters = || reply.split_inclusive(|_| true);
    assert_eq!(read(letters(), true), expect, "letter by letter: {reply:?}");
    let early = CallReader::new(tools(true)).early();
    assert_eq!(read_by(early, letters()), expect, "as it comes: {reply:?}");
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

/// What an early reader says of each piece, calls with an arrow behind their names.
fn check_early(pieces: &[(&str, &[&str])], cut: bool, rest: &[&str]) {
    let mut reader = CallReader::new(tools(true)).early();
    let shown = |said: Vec<Said>| -> Vec<String> {
        let word = |said| match said {
            Said::Text(text) => format!("text {text}"),
            Said::Call(call) => format!("{}> {}", call.name, call.arguments).trim_end().to_owned(),
            Said::Arguments(more) => more,
        };
        said.into_iter().map(word).collect()
    };
    for (piece, expect) in pieces {
        assert_eq!(shown(reader.push(piece)), *expect, "{piece:?}");
    }
    assert_eq!(shown(reader.finish(cut)), rest);
}

#[test]
fn arguments_are_told_as_they_come() {
    let begun =
        ("<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"ci", &["weather>", "{\"ci"][..]);
    let goes_on = ("ty\": \"R", &["ty\": \"R"][..]);
    let ends = ("ome\"}}\n</tool_call> and", &["ome\"}", "text  and"][..]);
    let looks = ("I look. <tool", &["text I look."][..]);
    let calls = (begun.0.strip_prefix("<tool").unwrap(), begun.1);
    check_early(&[looks, calls, goes_on], true, &[]);
    check_early(&[begun, goes_on, ends], false, &[]);
    let second = ("<tool_call>{\"name\": \"now\", \"arguments\": {", &["now>", "{"][..]);
    check_early(&[begun, goes_on, ("ome\"}}", &["ome\"}"]), second], false, &["}"]);
    check_early(&[("[TOOL_CALLS]weather", &[]), ("[ARGS]{\"c", &["weather>", "{\"c"])], true, &[]);
    let list = ("[TOOL_CALLS] [{\"name\": \"now\", \"arguments\": {}}, ", &["now>", "{}"][..]);
    let more = ("{\"name\": \"weather\", \"arguments\": {\"", &["weather>", "{\""][..]);
    check_early(&[list, more, ("city\": 1}}]", &["city\": 1}"])], false, &[]);
}

#[test]
fn what_was_told_as_a_call_is_not_told_as_text() {
    let begun =
        ("<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": b", &["now>", "{\"a\": b"][..]);
    check_early(&[begun, ("}}</tool_call>", &["}"]), ("\nSo", &["text \nSo"])], false, &[]);
    check_early(&[begun, ("\n</tool_call> so", &["\n}", "text  so"])], false, &[]);
    check_early(&[begun], false, &["}"]);
}

#[test]
fn what_may_be_an_example_is_told_when_it_is_complete() {
    let begun = ("```json\n{\"name\": \"now\", \"arguments\": {", &[][..]);
    check_early(&[begun, ("}}\n```", &["now> {}"])], false, &[]);
    let unknown = ("<tool_call>{\"name\": \"nobody\", \"arguments\": {", &[][..]);
    check_early(&[unknown], true, &[&format!("text {}", unknown.0)]);
}

/// Replies to a call whose tools are strict: text that the grammar of calls did not hold is none.
#[test]
fn what_no_schema_held_is_no_call_of_a_strict_tool() {
    let strict = |tool| Tool { strict: true, ..tool };
    let offered = vec![strict(tool("weather", &["city"])), tool("now", &[])];
    let tools = Arc::new(Tools { offered, ..Tools::default() });
    let read = |text: &str| read_by(CallReader::new(tools.clone()).early(), [text].into_iter());
    let held = r#"{"name": "weather", "arguments": {"city": "Rome"}}"#;
    assert_eq!(read(held), [ROME]);
    assert_eq!(read(&format!("```json\n[{held}]\n```")), [ROME]);
    for text in [
        r#"{"arguments": {"city": "Rome"}, "name": "weather"}"#,
        r#"{"key": 7, "name": "weather", "arguments": {"city": "Rome"}}"#,
        r#"{"name": "weather", "arguments": {"city": "Rome""#,
        r#"functools weather{"city": "Rome"}"#,
    ] {
        assert_eq!(read(text), [text]);
    }
    let mut reader = CallReader::new(tools.clone()).early();
    let begun = reader.push(r#"<tool_call>{"name": "weather", "arguments": {"city": "Ro"#);
    assert_eq!((begun.len(), reader.finish(false), reader.is_torn()), (2, vec![], true));
}
