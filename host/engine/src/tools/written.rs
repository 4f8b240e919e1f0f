//! Calls as text, the way Qwen's and Hermes' templates write them: what policies see of a turn that called
//! tools, and what experts are told whose template has no place for calls.

use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::ToolCall;

const OPEN: &str = "\n<tool_call>\n";
const CLOSE: &str = "\n</tool_call>";

/// A call as [`write_calls`] writes it.
#[derive(Deserialize)]
struct Written {
    name: String,
    arguments: Box<RawValue>,
}

/// Writes calls behind what was said with them.
#[must_use]
pub fn write_calls(mut text: String, calls: &[ToolCall]) -> String {
    for call in calls {
        let (name, arguments) = (json!(call.name), call.value());
        let json = format!("{{\"name\": {name}, \"arguments\": {arguments}}}");
        text.extend([OPEN, &json, CLOSE]);
    }
    text
}

/// Takes calls off the end of a text that [`write_calls`] wrote and others may have changed: as many as had
/// these `ids`, or none where they can't be read any more.
#[must_use]
pub fn read_calls<'t>(text: &'t str, ids: &[String]) -> (&'t str, Vec<ToolCall>) {
    let (mut rest, mut calls) = (text, Vec::new());
    for id in ids.iter().rev() {
        let read = rest.rsplit_once(OPEN).and_then(|(before, call)| {
            let written: Written = serde_json::from_str(call.strip_suffix(CLOSE)?).ok()?;
            let arguments = written.arguments.get().to_owned();
            Some((before, ToolCall { id: id.clone(), name: written.name, arguments }))
        });
        let Some((before, call)) = read else { return (text, Vec::new()) };
        calls.push(call);
        rest = before;
    }
    calls.reverse();
    (rest, calls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_back() {
        let call = |id: &str, arguments: &str| ToolCall {
            id: id.into(),
            name: "add".into(),
            arguments: arguments.into(),
        };
        let calls = [call("1", r#"{"a":1,"b":"<\n>"}"#), call("2", "{}")];
        let text = write_calls("So:".into(), &calls);
        let ids = ["1".to_owned(), "2".to_owned()];
        assert_eq!(read_calls(&text, &ids), ("So:", calls.to_vec()));
        let redacted = text.replace(":1,", ":\"[number]\",");
        assert_eq!(read_calls(&redacted, &ids).1[0].arguments, r#"{"a":"[number]","b":"<\n>"}"#);
        assert_eq!(read_calls("[removed]", &ids), ("[removed]", vec![]));
        assert_eq!(read_calls(&text, &[]), (text.as_str(), vec![]));
    }
}
