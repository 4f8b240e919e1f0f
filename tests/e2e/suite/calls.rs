//! Tools, forms, log probabilities and several replies, over real HTTP: toy experts know nothing, so what comes
//! out right is what the grammar holds.

use serde_json::{Value, json};

use ::guests::{TAKES_TOOLS, request_for};

use crate::{
    host::{Host, content, misbehaving_component},
    http::Events,
};

const EXPERTS: [&str; 3] = ["qwen_coder", "mistral_balanced", "gemma3_multimodal"];

fn asked(expert: &str, more: &Value) -> Value {
    let mut body = json!({
        "model": expert, "temperature": 1, "seed": 7, "max_tokens": 300,
        "messages": [{ "role": "user", "content": "Hello" }],
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn tools(choice: &Value) -> Value {
    let parameters = json!({
        "type": "object", "required": ["city", "days"], "additionalProperties": false,
        "properties": { "city": { "enum": ["Rome", "Oslo"] }, "days": { "enum": [1, 2, 3] } },
    });
    let function = |name: &str| json!({ "name": name, "parameters": parameters });
    let tool = |name: &str| json!({ "type": "function", "function": function(name) });
    json!({ "tools": [tool("weather"), tool("forecast")], "tool_choice": choice,
            "parallel_tool_calls": false })
}

fn check_call(call: &Value, names: &[&str]) {
    assert!(names.contains(&call["function"]["name"].as_str().unwrap()), "{call}");
    assert!(call["id"].as_str().unwrap().starts_with("call_"), "{call}");
    let arguments = call["function"]["arguments"].as_str().unwrap();
    let arguments: Value = serde_json::from_str(arguments).unwrap();
    assert!(["Rome", "Oslo"].contains(&arguments["city"].as_str().unwrap()), "{call}");
    assert!((1..=3).contains(&arguments["days"].as_u64().unwrap()), "{call}");
}

#[test]
fn a_policy_takes_tools_away_and_notes_what_it_saw() {
    let host = Host::start();
    host.deploy("misbehaving", &misbehaving_component());
    let (hook, what) = TAKES_TOOLS;
    let asks = json!({ "role": "user", "content": request_for(hook, what) });
    let mut body = asked("qwen_coder", &tools(&json!("required")));
    let calls = |body: &Value| {
        let answer = host.post("/v1/chat/completions", body);
        let decision = answer.header("x-signalbox-decision").to_owned();
        let reason = answer.ok()["choices"][0]["finish_reason"].clone();
        let logged = host.admin_get(&format!("/decisions/{decision}"));
        (reason == "tool_calls", logged["decision"]["notes"].clone())
    };
    assert_eq!(calls(&body), (true, json!([])));
    let said = json!({ "role": "assistant", "content": "what I said" });
    body["messages"] = json!([body["messages"][0], said, asks]);
    let note =
        |key: &str, value: &str| json!({ "policy": "misbehaving", "key": key, "value": value });
    let notes = json!([
        note("tools", "weather forecast"),
        note("before", "qwen_coder"),
        note("caller", "peer:127.0.0.1"),
        note("tools left", "weather"),
    ]);
    assert_eq!(calls(&body), (false, notes));
}

#[test]
fn who_has_to_call_a_tool_calls_one() {
    let host = Host::start();
    let named = json!({ "type": "function", "function": { "name": "forecast" } });
    for expert in EXPERTS {
        for (choice, names) in
            [(json!("required"), &["weather", "forecast"][..]), (named.clone(), &["forecast"])]
        {
            let body = asked(expert, &tools(&choice));
            let reply = host.post("/v1/chat/completions", &body).ok();
            let said = &reply["choices"][0];
            assert_eq!(said["finish_reason"], "tool_calls", "{reply}");
            assert_eq!(said["message"]["content"], Value::Null, "{reply}");
            assert_eq!(said["message"]["tool_calls"].as_array().unwrap().len(), 1, "{reply}");
            check_call(&said["message"]["tool_calls"][0], names);
        }
    }
}

#[test]
fn a_stream_carries_calls_as_deltas() {
    let host = Host::start();
    let mut body = asked("qwen_coder", &tools(&json!("required")));
    body["stream"] = json!(true);
    let (text, events) = Events::open(&host.url, body).finish();
    assert_eq!(text, "");
    let deltas = events.iter().map(|e| &e["choices"][0]["delta"]["tool_calls"][0]);
    let deltas: Vec<&Value> = deltas.filter(|delta| !delta.is_null()).collect();
    assert!(deltas.iter().all(|delta| delta["index"] == 0), "{deltas:?}");
    // Its name and id come first, its arguments as they are written.
    let (mut call, pieces) = (deltas[0].clone(), &deltas[1..]);
    assert!(pieces.len() > 1 && pieces.iter().all(|delta| delta["id"].is_null()), "{pieces:?}");
    let arguments = deltas.iter().filter_map(|delta| delta["function"]["arguments"].as_str());
    call["function"]["arguments"] = json!(arguments.collect::<String>());
    check_call(&call, &["weather", "forecast"]);
    assert_eq!(events.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");
}

/// The token with which this expert begins calls is put on its tongue; what comes behind it is the mask's doing.
#[test]
fn calls_of_strict_tools_follow_their_schema_where_text_may_come_as_well() {
    let host = Host::start();
    let mut body = asked("qwen_coder", &tools(&json!("auto")));
    body["logit_bias"] = json!({ "1360": 100 });
    for tool in body["tools"].as_array_mut().unwrap() {
        tool["function"]["strict"] = json!(true);
    }
    body["parallel_tool_calls"] = json!(true);
    for seed in 0..8 {
        body["seed"] = json!(seed);
        let reply = host.post("/v1/chat/completions", &body).ok();
        let calls = reply["choices"][0]["message"]["tool_calls"].as_array().unwrap().clone();
        assert!(!calls.is_empty());
        calls.iter().for_each(|call| check_call(call, &["weather", "forecast"]));
    }
    body["stream"] = json!(true);
    body["stop"] = json!("Oslo");
    for seed in 0..8 {
        body["seed"] = json!(seed);
        let (_, events) = Events::open(&host.url, body.clone()).finish();
        let deltas = events.iter().map(|event| &event["choices"][0]["delta"]["tool_calls"][0]);
        let mut calls = std::collections::BTreeMap::<u64, String>::new();
        for delta in deltas.filter(|delta| !delta.is_null()) {
            let call = calls.entry(delta["index"].as_u64().unwrap()).or_default();
            call.push_str(delta["function"]["arguments"].as_str().unwrap_or_default());
        }
        // A reply that ends within a call has torn the last one.
        let ended = &events.last().unwrap()["choices"][0]["finish_reason"];
        let whole = calls.len().saturating_sub(usize::from(ended != "tool_calls"));
        for arguments in calls.values().take(whole) {
            let arguments: Value = serde_json::from_str(arguments).unwrap();
            assert_eq!(arguments["city"], "Rome", "{arguments}");
        }
    }
    let unholdable = json!({ "not": { "type": "object" }, "unevaluatedItems": false });
    body["tools"][0]["function"]["parameters"] = unholdable;
    let refused = host.post("/v1/chat/completions", &body);
    assert_eq!(
        (refused.status, refused.error_code().as_str()),
        (400, "invalid_value"),
        "{}",
        refused.text
    );
}

#[test]
fn calls_and_results_go_back_to_every_expert() {
    let host = Host::start();
    let call = json!({ "id": "call_1", "type": "function",
                       "function": { "name": "weather", "arguments": "{\"city\": \"Rome\"}" } });
    for expert in ["phi4_fast", "qwen_coder", "mistral_balanced", "gemma3_multimodal"] {
        let mut body = asked(expert, &tools(&json!("auto")));
        body["max_tokens"] = json!(4);
        body["messages"] = json!([
            { "role": "user", "content": "Weather?" },
            { "role": "assistant", "content": null, "tool_calls": [call] },
            { "role": "tool", "tool_call_id": "call_1", "content": "sunny" },
        ]);
        host.post("/v1/chat/completions", &body).ok();
    }
}

#[test]
fn replies_have_the_form_that_was_asked_for() {
    let host = Host::start();
    let schema = json!({ "type": "object", "required": ["a"], "additionalProperties": false,
                         "properties": { "a": { "type": "array", "maxItems": 2,
                                               "items": { "enum": ["x", "y"] } } } });
    for expert in EXPERTS {
        let form = json!({ "response_format": { "type": "json_schema",
                           "json_schema": { "name": "a", "schema": schema } } });
        let reply = host.post("/v1/chat/completions", &asked(expert, &form)).ok();
        let read: Value = serde_json::from_str(&content(&reply)).unwrap();
        assert!(read["a"].as_array().unwrap().iter().all(|item| item == "x" || item == "y"));
        let choice = asked(expert, &json!({ "guided_choice": ["left", "right"] }));
        let said = content(&host.post("/v1/chat/completions", &choice).ok());
        assert!(["left", "right"].contains(&said.as_str()), "{said}");
    }
    let bomb = json!({ "guided_regex": "(.{1,9999}){1,9999}" });
    let refused = host.post("/v1/chat/completions", &asked("qwen_coder", &bomb));
    assert_eq!(
        (refused.status, refused.error_code()),
        (400, "invalid_value".to_owned()),
        "{}",
        refused.text
    );
}

#[test]
fn several_replies_are_choices_of_one_answer() {
    let host = Host::start();
    let more = json!({ "n": 3, "max_tokens": 6, "logprobs": true, "top_logprobs": 2 });
    let reply = host.post("/v1/chat/completions", &asked("qwen_coder", &more)).ok();
    let choices = reply["choices"].as_array().unwrap();
    let indices: Vec<u64> = choices.iter().map(|c| c["index"].as_u64().unwrap()).collect();
    assert_eq!(indices, [0, 1, 2]);
    for choice in choices {
        let tokens = choice["logprobs"]["content"].as_array().unwrap();
        assert!(!tokens.is_empty(), "{choice}");
        assert!(tokens.iter().all(|token| token["top_logprobs"].as_array().unwrap().len() == 2));
        assert!(tokens.iter().all(|token| token["logprob"].as_f64().unwrap() <= 0.0));
    }
}
