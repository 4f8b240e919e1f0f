//! Every dialect's words, as transcripts of real exchanges: `tests/golden/*.txt`. What differs from run to run (ids,
//! times) is blanked, and everything else is compared. Run with `WRITE_DOCUMENTS=1` in the environment, these
//! tests write them.

use std::{fmt::Write as _, fs, path::Path};

use serde_json::{Value, json};

use crate::fixture::{GENERAL, Server, recorded};

/// Fields whose values are another thing each time.
const VARYING: [&str; 17] = [
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
struct Transcript {
    server: Server,
    text: String,
}

impl Transcript {
    fn new() -> Self {
        Self { server: Server::start(), text: String::new() }
    }

    /// One more exchange: the words of its reply, line by line.
    fn exchange(&mut self, method: &str, path: &str, body: &Value) -> String {
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

    fn post(&mut self, path: &str, body: &Value) -> String {
        self.exchange("POST", path, body)
    }

    /// Holds the transcript to the file, or writes it.
    fn hold(&self, name: &str) {
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

fn weather() -> Value {
    serde_json::from_str(WEATHER).unwrap()
}

#[test]
fn messages_are_anthropics() {
    let mut said = Transcript::new();
    let (prompt, expected, tokens, _) = recorded(GENERAL);
    let path = "/v1/messages";
    let messages = json!([{ "role": "user", "content": prompt }]);
    let plain =
        json!({ "model": GENERAL, "max_tokens": 64, "temperature": 0, "messages": messages });
    let with = |more: Value| {
        let mut body = plain.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let whole = said.post(path, &plain);
    assert_eq!(serde_json::from_str::<Value>(&whole).unwrap()["content"][0]["text"], expected);
    said.post(path, &with(json!({ "stream": true })));
    let stop: String = expected.chars().skip(2).take(3).collect();
    said.post(path, &with(json!({ "stop_sequences": ["never", stop] })));
    said.post(path, &with(json!({ "max_tokens": 1, "stream": true })));
    let tools = json!([{ "name": "weather", "description": "Now.", "input_schema": weather() }]);
    let any = json!({ "max_tokens": 200, "tools": tools, "tool_choice": { "type": "any", "disable_parallel_tool_use": true } });
    said.post(path, &with(any.clone()));
    let mut streamed = any;
    streamed["stream"] = json!(true);
    said.post(path, &with(streamed));
    said.post(path, &with(json!({
        "tools": tools,
        "system": [
            { "type": "text", "text": "x-anthropic-billing-header: cc_version=2; cch=a1b2c;" },
            { "type": "text", "text": "Be brief.", "cache_control": { "type": "ephemeral" } },
        ],
        "thinking": { "type": "enabled", "budget_tokens": 1024 },
        "metadata": { "user_id": "u" },
        "messages": [
            { "role": "user", "content": [{ "type": "text", "text": "Vigo?" }] },
            { "role": "assistant", "content": [
                { "type": "thinking", "thinking": "hm", "signature": "s" },
                { "type": "tool_use", "id": "t1", "name": "weather", "input": { "city": "Vigo" } },
            ]},
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": "t1", "content": [{ "type": "text", "text": "Rain" }] },
                { "type": "text", "text": "So?" },
            ]},
        ],
    })));
    let counted =
        said.post("/v1/messages/count_tokens", &json!({ "model": GENERAL, "messages": messages }));
    assert_eq!(serde_json::from_str::<Value>(&counted).unwrap()["input_tokens"], tokens);
    for refused in [
        json!({ "model": "nobody" }),
        json!({ "messages": [] }),
        json!({ "messages": [{ "role": "king", "content": "x" }] }),
        json!({ "messages": [{ "role": "user", "content": [{ "type": "audio" }] }] }),
        json!({ "tools": [{ "type": "web_search_20250305", "name": "web_search" }] }),
        json!({ "tool_choice": { "type": "tool", "name": "absent" } }),
        json!({ "mcp_servers": [{ "type": "url" }] }),
        json!({ "n": 2 }),
        json!({ "messages": [{ "role": "user", "content": "word ".repeat(2000) }] }),
    ] {
        let long = refused["messages"][0]["content"].as_str().is_some_and(|text| text.len() > 100);
        let before = said.text.len();
        said.post(path, &with(refused));
        if long {
            assert!(said.text[before..].contains("prompt is too long"), "{}", &said.text[before..]);
            said.text.truncate(before);
        }
    }
    said.exchange("GET", path, &Value::Null);
    said.hold("messages.txt");
}

/// The line is another one with every request; a prompt that kept it would share nothing with the one before.
#[test]
fn a_billing_line_is_not_in_the_prompt() {
    let server = Server::start();
    let (prompt, ..) = recorded(GENERAL);
    let count = |system: Value| {
        let messages = json!([{ "role": "user", "content": prompt }]);
        let body = json!({ "model": GENERAL, "system": system, "messages": messages });
        let answer = server.post("/v1/messages/count_tokens", &body.to_string());
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["input_tokens"].as_u64().unwrap()
    };
    let line = "x-anthropic-billing-header: cc_version=2.1; cch=00000;";
    let bare = count(json!("Be brief."));
    assert_eq!(count(json!(format!("{line}\nBe brief."))), bare);
    let block = |text: &str| json!({ "type": "text", "text": text });
    assert_eq!(count(json!([block(line), block("Be brief.")])), bare);
    assert!(count(json!("x-another-header: 1\nBe brief.")) > bare);
}

#[test]
fn anthropics_clients_have_their_headers() {
    let server = Server::with(|settings| {
        let key = signalbox_server::Key::new("app", "sixteen-or-more-1").unwrap();
        settings.access.keys = vec![key];
    });
    let body = json!({ "max_tokens": 2, "messages": [{ "role": "user", "content": "Hello" }] });
    let ask = |head: &[(&str, &str)]| {
        let head = [head, &[("content-type", "application/json")]].concat();
        server.ask("POST", "/v1/messages", &head, &body.to_string())
    };
    let refused = ask(&[]);
    let error = refused.json();
    assert_eq!((refused.status, &error["type"]), (401, &json!("error")), "{error}");
    assert_eq!(error["error"]["type"], "authentication_error");
    assert_eq!(error["request_id"], refused.header("request-id"));
    assert_eq!(ask(&[("x-api-key", "wrong-wrong-wrong")]).status, 401);
    let version = ("anthropic-version", "2023-06-01");
    let answered = ask(&[("x-api-key", "sixteen-or-more-1"), version]);
    assert_eq!(answered.status, 200, "{}", answered.text);
    assert_eq!(answered.header("request-id"), answered.header("x-request-id"));
    assert_eq!(ask(&[("authorization", "Bearer sixteen-or-more-1")]).status, 200);
}

#[test]
fn ollamas_words_are_lines() {
    let mut said = Transcript::new();
    let (prompt, expected, ..) = recorded(GENERAL);
    let greedy = json!({ "temperature": 0, "num_predict": 64, "num_ctx": 4096, "num_gpu": 0 });
    let body = |more: Value| {
        let mut body = json!({ "model": "phi4_fast:latest", "options": greedy });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let (generate, chat) = ("/api/generate", "/api/chat");
    let whole = said.post(generate, &body(json!({ "prompt": prompt, "stream": false })));
    assert_eq!(serde_json::from_str::<Value>(&whole).unwrap()["response"], expected);
    said.post(generate, &body(json!({ "prompt": prompt, "keep_alive": "5m" })));
    said.post(generate, &body(json!({ "model": "phi4", "prompt": prompt, "stream": false })));
    said.post(generate, &body(json!({})));
    said.post(generate, &body(json!({ "keep_alive": 0 })));
    let schema = json!({ "enum": ["yes", "no"] });
    said.post(generate, &body(json!({ "prompt": prompt, "format": schema, "stream": false })));
    let raw = json!({ "prompt": "Once", "raw": true, "stream": false, "options": { "num_predict": 2, "seed": 1 } });
    let raw = said.post(generate, &body(raw));
    assert_eq!(serde_json::from_str::<Value>(&raw).unwrap()["eval_count"], 2);
    let between =
        json!({ "model": "qwen_coder", "prompt": "def", "suffix": "return", "stream": false });
    said.post(generate, &body(between.clone()));
    let mut blind = between;
    blind["model"] = json!(GENERAL);
    said.post(generate, &body(blind));
    let messages = json!([{ "role": "user", "content": prompt }]);
    said.post(chat, &body(json!({ "messages": messages })));
    let tools =
        json!([{ "type": "function", "function": { "name": "weather", "parameters": weather() } }]);
    let required = json!({ "messages": messages, "tools": tools, "tool_choice": "required",
        "options": { "temperature": 0, "num_predict": 200 } });
    said.post(chat, &body(required));
    said.post(
        chat,
        &body(json!({ "stream": false, "tools": tools, "messages": [
            { "role": "user", "content": "Vigo?" },
            { "role": "assistant", "content": "", "tool_calls": [
                { "function": { "name": "weather", "arguments": { "city": "Vigo" } } } ] },
            { "role": "tool", "tool_name": "weather", "content": "Rain" },
        ]})),
    );
    said.post(chat, &body(json!({ "messages": [] })));
    for refused in [
        json!({ "model": "nobody", "prompt": "x" }),
        json!({ "prompt": "x", "template": "{{ .Prompt }}" }),
        json!({ "prompt": "x", "context": [1, 2] }),
        json!({ "prompt": "x", "format": "xml" }),
        json!({ "prompt": "x", "options": { "temperature": 9 } }),
        json!({ "prompt": "x", "options": { "mirostat": 2 } }),
        json!({ "prompt": 7 }),
        json!({ "prompt": "x", "keep_alive": "soon" }),
    ] {
        said.post(generate, &body(refused));
    }
    said.exchange("GET", "/api/version", &Value::Null);
    said.exchange("GET", "/api/tags", &Value::Null);
    said.post("/api/show", &json!({ "model": "phi4_fast" }));
    said.post("/api/show", &json!({ "model": "nobody" }));
    said.hold("ollama.txt");
    let resident = said.server.get("/api/ps").json();
    let resident = resident["models"].as_array().unwrap();
    assert!(resident.iter().any(|model| model["name"] == "phi4_fast:latest"), "{resident:?}");
}

#[test]
fn responses_are_items_and_events() {
    let mut said = Transcript::new();
    let (prompt, expected, ..) = recorded(GENERAL);
    let path = "/v1/responses";
    let body = |more: Value| {
        let mut body = json!({ "model": GENERAL, "temperature": 0, "input": prompt });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let first = read(&said.post(path, &body(json!({}))));
    assert_eq!(first["output"][0]["content"][0]["text"], expected);
    said.post(path, &body(json!({ "stream": true, "max_output_tokens": 200 })));
    said.post(path, &body(json!({ "stream": true, "max_output_tokens": 2, "store": false })));
    let tools =
        json!([{ "type": "function", "name": "weather", "parameters": weather(), "strict": true }]);
    let required =
        json!({ "tools": tools, "tool_choice": "required", "parallel_tool_calls": false });
    said.post(path, &body(required.clone()));
    let mut streamed = required;
    streamed["stream"] = json!(true);
    said.post(path, &body(streamed));
    let schema =
        json!({ "type": "json_schema", "name": "yn", "schema": { "enum": ["yes", "no"] } });
    said.post(path, &body(json!({ "text": { "format": schema } })));
    said.post(path, &body(json!({ "tools": tools, "instructions": "Be brief.", "input": [
        { "role": "user", "content": [{ "type": "input_text", "text": "Vigo?" }] },
        { "type": "reasoning", "id": "r1", "summary": [] },
        { "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "I look." }] },
        { "type": "function_call", "id": "f1", "call_id": "c1", "name": "weather", "arguments": "{\"city\": \"Vigo\"}" },
        { "type": "function_call_output", "call_id": "c1", "output": "Rain" },
    ]})));
    for refused in [
        json!({ "input": [{ "type": "computer_call" }] }),
        json!({ "tools": [{ "type": "web_search" }] }),
        json!({ "previous_response_id": "resp_0" }),
        json!({ "background": true }),
        json!({ "truncation": "auto" }),
        json!({ "include": ["file_search_call.results"] }),
        json!({ "top_logprobs": 3, "logprobs": true }),
        json!({ "n": 2 }),
    ] {
        said.post(path, &body(refused));
    }
    said.hold("responses.txt");
}

/// What one follows is there as if it had been sent again.
#[test]
fn a_response_follows_another() {
    let server = Server::start();
    let (prompt, expected, ..) = recorded(GENERAL);
    let ask = |body: &Value| {
        let answer = server.post("/v1/responses", &body.to_string());
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    };
    let named = json!({ "model": GENERAL, "temperature": 0, "input": prompt });
    let first = ask(&named);
    let id = first["id"].as_str().unwrap();
    let follow = |more: Value| {
        let mut body = json!({ "model": GENERAL, "temperature": 0, "input": "And now?" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let second = ask(&follow(json!({ "previous_response_id": id })));
    let again = ask(&follow(json!({ "input": [
        { "role": "user", "content": prompt },
        { "role": "assistant", "content": expected },
        { "role": "user", "content": "And now?" },
    ]})));
    let text = |answer: &Value| answer["output"][0]["content"][0]["text"].clone();
    assert_eq!(text(&second), text(&again));
    assert_eq!(second["usage"]["input_tokens"], again["usage"]["input_tokens"]);
    let third = ask(&follow(json!({ "previous_response_id": second["id"], "input": "And then?" })));
    assert!(third["usage"]["input_tokens"].as_u64() > second["usage"]["input_tokens"].as_u64());
    let path = format!("/v1/responses/{id}");
    assert_eq!(server.get(&path).json(), first);
    let deleted = server.ask("DELETE", &path, &[], "").json();
    assert_eq!((&deleted["id"], &deleted["deleted"]), (&json!(id), &json!(true)));
    for method in ["GET", "DELETE"] {
        let gone = server.ask(method, &path, &[], "");
        assert_eq!((gone.status, gone.code().as_str()), (404, "response_not_found"));
    }
    let unkept = ask(&follow(json!({ "store": false })));
    let path = format!("/v1/responses/{}", unkept["id"].as_str().unwrap());
    assert_eq!(server.get(&path).status, 404);
}
