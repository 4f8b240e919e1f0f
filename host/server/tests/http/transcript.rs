//! Transcripts of real exchanges: `tests/golden/*.txt`. What differs from run to run (ids, times) is blanked, and
//! everything else is compared. Run with `WRITE_DOCUMENTS=1` in the environment, they are written.

use std::{fmt::Write as _, fs, path::Path};

use serde_json::{Value, json};

use crate::fixture::Server;

/// Fields whose values are another thing each time.
const VARYING: [&str; 18] = [
    "id",
    "request_id",
    "created",
    "created_at",
    "modified_at",
    "size",
    "performance",
    "total_duration",
    "load_duration",
    "prompt_eval_duration",
    "eval_duration",
    "tool_use_id",
    "call_id",
    "item_id",
    "completed_at",
    "timings",
    "response_id",
    "logprob", // its last digits are the instruction set's
];

/// A body in one line, with what varies blanked.
fn blanked(text: &str) -> String {
    match serde_json::from_str(text) {
        Ok(mut value) => {
            blank(&mut value);
            value.to_string()
        }
        Err(_) => text.to_owned(),
    }
}

fn blank(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match VARYING.contains(&name.as_str()) && !value.is_null() {
                    true => *value = json!("_"),
                    false => blank(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(blank),
        _ => {}
    }
}

/// The exchanges of one file.
pub(crate) struct Transcript {
    pub(crate) server: Server,
    pub(crate) text: String,
}

impl Transcript {
    pub(crate) fn new() -> Self {
        Self { server: Server::start(), text: String::new() }
    }

    /// One more exchange: the words of its reply, line by line.
    pub(crate) fn exchange(&mut self, method: &str, path: &str, body: &Value) -> String {
        let sent = if body.is_null() { String::new() } else { body.to_string() };
        let head = [("content-type", "application/json")];
        let answer = self.server.ask(method, path, &head, &sent);
        let _ = writeln!(self.text, "> {method} {path}");
        if !sent.is_empty() {
            let _ = writeln!(self.text, "> {sent}");
        }
        let kind = answer.header("content-type");
        let _ = writeln!(self.text, "< {} {kind}", answer.status);
        for line in answer.text.lines().filter(|line| !line.is_empty()) {
            let _ = match line.strip_prefix("data: ") {
                Some(data) => writeln!(self.text, "< data: {}", blanked(data)),
                None => writeln!(self.text, "< {}", blanked(line)),
            };
        }
        self.text.push('\n');
        answer.text
    }

    pub(crate) fn post(&mut self, path: &str, body: &Value) -> String {
        self.exchange("POST", path, body)
    }

    /// Holds the transcript to the file, or writes it.
    pub(crate) fn hold(&self, name: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        if std::env::var_os("WRITE_DOCUMENTS").is_some() {
            return fs::write(path, &self.text).unwrap();
        }
        let found = fs::read_to_string(path).unwrap();
        for (is, was) in self.text.lines().zip(found.lines()) {
            assert_eq!(is, was, "{name}");
        }
        assert_eq!(self.text.lines().count(), found.lines().count(), "{name}");
    }
}

const WEATHER: &str = r#"{"type": "object", "properties": {"city": {"enum": ["Bilbao", "Vigo"]}},
    "required": ["city"], "additionalProperties": false}"#;

pub(crate) fn weather() -> Value {
    serde_json::from_str(WEATHER).unwrap()
}
