//! Every dialect's words, as transcripts of real exchanges: Anthropic's and Ollama's.

use serde_json::{Value, json};

use crate::{
    fixture::{GENERAL, Server, recorded},
    transcript::{Transcript, weather},
};

const MESSAGES: &str = "/v1/messages";

/// The same object with these fields.
fn with(body: &Value, more: Value) -> Value {
    let mut body = body.clone();
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

/// A greedy call with the recorded prompt.
fn plain_message() -> Value {
    let messages = json!([{ "role": "user", "content": recorded(GENERAL).0 }]);
    json!({ "model": GENERAL, "max_tokens": 64, "temperature": 0, "messages": messages })
}

/// Calls of tools, and what they answered.
fn message_tools(said: &mut Transcript, plain: &Value) {
    let tools = json!([{ "name": "weather", "description": "Now.", "input_schema": weather() }]);
    let any = json!({ "max_tokens": 200, "tools": tools, "tool_choice": { "type": "any", "disable_parallel_tool_use": true } });
    said.post(MESSAGES, &with(plain, any.clone()));
    let mut streamed = any;
    streamed["stream"] = json!(true);
    said.post(MESSAGES, &with(plain, streamed));
    said.post(MESSAGES, &with(plain, json!({
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
}

fn refused_messages(said: &mut Transcript, plain: &Value) {
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
        said.post(MESSAGES, &with(plain, refused));
        if long {
            assert!(said.text[before..].contains("prompt is too long"), "{}", &said.text[before..]);
            said.text.truncate(before);
        }
    }
}

#[test]
fn messages_are_anthropics() {
    let mut said = Transcript::new();
    let (_, expected, tokens, _) = recorded(GENERAL);
    let plain = plain_message();
    let whole = said.post(MESSAGES, &plain);
    assert_eq!(serde_json::from_str::<Value>(&whole).unwrap()["content"][0]["text"], expected);
    said.post(MESSAGES, &with(&plain, json!({ "stream": true })));
    let stop: String = expected.chars().skip(2).take(3).collect();
    said.post(MESSAGES, &with(&plain, json!({ "stop_sequences": ["never", stop] })));
    said.post(MESSAGES, &with(&plain, json!({ "max_tokens": 1, "stream": true })));
    message_tools(&mut said, &plain);
    let messages = &plain["messages"];
    let counted =
        said.post("/v1/messages/count_tokens", &json!({ "model": GENERAL, "messages": messages }));
    assert_eq!(serde_json::from_str::<Value>(&counted).unwrap()["input_tokens"], tokens);
    refused_messages(&mut said, &plain);
    said.exchange("GET", MESSAGES, &Value::Null);
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

const GENERATE: &str = "/api/generate";
const CHAT: &str = "/api/chat";

fn generated(said: &mut Transcript, plain: &Value) {
    let (prompt, expected, ..) = recorded(GENERAL);
    let whole = said.post(GENERATE, &with(plain, json!({ "prompt": prompt, "stream": false })));
    assert_eq!(serde_json::from_str::<Value>(&whole).unwrap()["response"], expected);
    said.post(GENERATE, &with(plain, json!({ "prompt": prompt, "keep_alive": "5m" })));
    said.post(
        GENERATE,
        &with(plain, json!({ "model": "phi4", "prompt": prompt, "stream": false })),
    );
    said.post(GENERATE, &with(plain, json!({})));
    said.post(GENERATE, &with(plain, json!({ "keep_alive": 0 })));
    let schema = json!({ "enum": ["yes", "no"] });
    said.post(
        GENERATE,
        &with(plain, json!({ "prompt": prompt, "format": schema, "stream": false })),
    );
    let raw = json!({ "prompt": "Once", "raw": true, "stream": false, "options": { "num_predict": 2, "seed": 1 } });
    let raw = said.post(GENERATE, &with(plain, raw));
    assert_eq!(serde_json::from_str::<Value>(&raw).unwrap()["eval_count"], 2);
    let between =
        json!({ "model": "qwen_coder", "prompt": "def", "suffix": "return", "stream": false });
    said.post(GENERATE, &with(plain, between.clone()));
    let mut blind = between;
    blind["model"] = json!(GENERAL);
    said.post(GENERATE, &with(plain, blind));
}

fn chatted(said: &mut Transcript, plain: &Value) {
    let (prompt, ..) = recorded(GENERAL);
    let messages = json!([{ "role": "user", "content": prompt }]);
    said.post(CHAT, &with(plain, json!({ "messages": messages })));
    let tools =
        json!([{ "type": "function", "function": { "name": "weather", "parameters": weather() } }]);
    let required = json!({ "messages": messages, "tools": tools, "tool_choice": "required",
        "options": { "temperature": 0, "num_predict": 200 } });
    said.post(CHAT, &with(plain, required));
    said.post(
        CHAT,
        &with(
            plain,
            json!({ "stream": false, "tools": tools, "messages": [
                { "role": "user", "content": "Vigo?" },
                { "role": "assistant", "content": "", "tool_calls": [
                    { "function": { "name": "weather", "arguments": { "city": "Vigo" } } } ] },
                { "role": "tool", "tool_name": "weather", "content": "Rain" },
            ]}),
        ),
    );
    said.post(CHAT, &with(plain, json!({ "messages": [] })));
}

#[test]
fn ollamas_words_are_lines() {
    let mut said = Transcript::new();
    let greedy = json!({ "temperature": 0, "num_predict": 64, "num_ctx": 4096, "num_gpu": 0 });
    let plain = &json!({ "model": "phi4_fast:latest", "options": greedy });
    generated(&mut said, plain);
    chatted(&mut said, plain);
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
        said.post(GENERATE, &with(plain, refused));
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
