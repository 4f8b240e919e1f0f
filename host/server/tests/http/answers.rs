//! Replies when all goes well.

use serde_json::{Value, json};

use crate::fixture::{BROKEN, GENERAL, Server, recorded};

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("not a number: {value}"))
}

#[test]
fn a_chat_is_answered_by_the_native_default() {
    let server = Server::start();
    let (prompt, expected, prompt_tokens, completion_tokens) = recorded(GENERAL);
    let answer = server.chat(&prompt, "");
    assert_eq!(answer.status, 200, "{}", answer.text);
    let reply = answer.json();
    assert_eq!(reply["choices"][0]["message"], json!({"role": "assistant", "content": expected}));
    assert_eq!(reply["choices"][0]["finish_reason"], "stop");
    assert_eq!((&reply["object"], &reply["model"]), (&json!("chat.completion"), &json!(GENERAL)));
    let total = prompt_tokens + completion_tokens;
    let usage = &reply["usage"];
    let counted = ["prompt_tokens", "completion_tokens", "total_tokens"].map(|of| &usage[of]);
    assert_eq!(counted, [prompt_tokens, completion_tokens, total]);
    let performance = &reply["performance"];
    assert_eq!(performance["routed_to"], GENERAL);
    let first = number(&performance["time_to_first_token"]);
    assert!(0.0 < first && first <= number(&performance["generation_time"]), "{performance}");
    assert_eq!(answer.header("x-signalbox-expert"), GENERAL);
    assert_eq!(answer.header("x-signalbox-route"), "default");
    assert_eq!(
        answer.header("x-signalbox-reason"),
        "no router; general expert of highest priority"
    );
    assert!(answer.header("x-request-id").starts_with("req_"));
    assert_eq!(reply["id"], format!("chatcmpl-{}", answer.header("x-request-id")));
}

#[test]
fn a_client_names_an_expert_and_the_exchange() {
    let server = Server::start();
    let (prompt, expected, ..) = recorded("qwen_coder");
    let body = json!({
        "model": "qwen_coder", "temperature": 0,
        "messages": [{"role": "user", "content": [{"type": "text", "text": prompt}]}],
    });
    let head = [("content-type", "application/json"), ("x-request-id", "mine-1")];
    let answer = server.ask("POST", "/v1/chat/completions", &head, &body.to_string());
    assert_eq!(answer.json()["choices"][0]["message"]["content"], expected, "{}", answer.text);
    assert_eq!(answer.header("x-signalbox-route"), "client");
    assert_eq!(answer.header("x-request-id"), "mine-1");
}

#[test]
fn a_stream_says_the_same_as_a_whole_reply() {
    let server = Server::start();
    let (prompt, expected, prompt_tokens, _) = recorded(GENERAL);
    let answer =
        server.chat(&prompt, r#", "stream": true, "stream_options": {"include_usage": true}"#);
    assert_eq!(answer.header("content-type"), "text/event-stream");
    let mut events = answer.events();
    assert_eq!(events.pop(), Some("[DONE]"), "{}", answer.text);
    let chunks: Vec<Value> = events.iter().map(|e| serde_json::from_str(e).unwrap()).collect();
    assert!(chunks.iter().all(|c| c["object"] == "chat.completion.chunk" && c["model"] == GENERAL));
    assert_eq!(chunks[0]["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
    let text = chunks.iter().filter_map(|c| c["choices"][0]["delta"]["content"].as_str());
    assert_eq!(text.collect::<String>(), expected);
    let [.., last, usage] = &chunks[..] else { panic!("{chunks:?}") };
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert_eq!(last["performance"]["routed_to"], GENERAL);
    assert_eq!((&usage["choices"], &last["usage"]), (&json!([]), &Value::Null));
    assert_eq!(usage["usage"]["prompt_tokens"], prompt_tokens);
}

#[test]
fn text_is_continued() {
    let server = Server::start();
    let body = r#"{"prompt": "Hello", "max_tokens": 3, "temperature": 0}"#;
    let answer = server.post("/v1/completions", body);
    let reply = answer.json();
    assert_eq!(reply["object"], "text_completion", "{}", answer.text);
    assert!(reply["choices"][0]["text"].is_string(), "{}", answer.text);
    assert!(reply["usage"]["completion_tokens"].as_u64().unwrap() <= 3);
    let streamed = server.post("/v1/completions", &body.replace("3,", "3, \"stream\": true,"));
    let events = streamed.events();
    let chunks = events.iter().filter_map(|e| serde_json::from_str::<Value>(e).ok());
    let text: String =
        chunks.filter_map(|c| c["choices"][0]["text"].as_str().map(str::to_owned)).collect();
    assert_eq!(text, reply["choices"][0]["text"], "{}", streamed.text);
}

#[test]
fn tokens_are_bounded_and_stop_strings_end_a_reply() {
    let server = Server::start();
    let (prompt, expected, ..) = recorded(GENERAL);
    let short = server.chat(&prompt, r#", "max_tokens": 2"#).json();
    assert_eq!(short["choices"][0]["finish_reason"], "length");
    assert_eq!(short["usage"]["completion_tokens"], 2);
    let (before, _) = expected.split_once('!').unwrap();
    let stopped = server.chat(&prompt, r#", "stop": "!""#).json();
    assert_eq!(stopped["choices"][0]["message"]["content"], before);
    assert_eq!(stopped["choices"][0]["finish_reason"], "stop");
}

#[test]
fn the_server_describes_itself() {
    let server = Server::start();
    let root = server.get("/").json();
    assert_eq!((&root["name"], &root["models_available"]), (&json!("signalbox"), &json!(3)));
    assert_eq!(server.get("/health").json()["status"], "healthy");
    let ready = server.get("/ready").json();
    assert_eq!((&ready["ready"], &ready["failed"]), (&json!(true), &json!([BROKEN])));
    let stats = server.get("/stats").json();
    assert_eq!(stats["limits"]["in_flight_max"], json!({"value": 256, "unit": "calls"}));
    assert_eq!(stats["lazy_loading"]["total_experts"], 4);
    let models = server.get("/v1/models").json();
    let ids: Vec<_> = models["data"].as_array().unwrap().iter().map(|m| &m["id"]).collect();
    assert_eq!(ids, ["auto", "qwen_coder", GENERAL, "mistral_balanced", BROKEN]);
    assert_eq!(server.get("/v1/models/auto").json()["object"], "model");
    assert_eq!(server.get(&format!("/v1/models/{GENERAL}")).json()["domain"], "general");
}

#[test]
fn experts_are_listed_with_what_ails_them() {
    let server = Server::start();
    let experts = server.get("/experts").json()["experts"].clone();
    let (general, broken) = (&experts[1], &experts[3]);
    assert_eq!((&general["state"], &general["load_count"]), (&json!("resident"), &json!(1)));
    assert_eq!(general["architecture"], "Phi3ForCausalLM");
    assert!(general.get("weights_address").is_none(), "{general}");
    assert_eq!((&broken["state"], &broken["is_loaded"]), (&json!("failed"), &json!(false)));
    let error = |expert: &Value| -> Value {
        let findings = expert["findings"].as_array().unwrap();
        findings.iter().find(|f| f["severity"] == "error").unwrap().clone()
    };
    let outer = error(broken);
    assert!(outer["code"].is_string() && outer.get("message").is_none(), "{outer}");
    for page in ["/experts", "/stats"] {
        let text = server.get(page).text;
        assert!(
            text.contains("the operator finds why") && !text.contains("tests/models"),
            "{text}"
        );
    }
    let broken = server.operate("GET", "/experts", b"").json()["experts"][3].clone();
    assert!(broken["reason"].as_str().unwrap().contains(BROKEN), "{broken}");
    let inner = error(&broken);
    assert!(inner["message"] != "" && inner["mend"] != "", "{inner}");
}

#[test]
fn metrics_count_what_happened() {
    let server = Server::start();
    let (prompt, _, prompt_tokens, _) = recorded(GENERAL);
    server.chat(&prompt, "");
    server.get("/nowhere");
    let text = server.get("/metrics").text;
    let chat = "POST /v1/chat/completions";
    for line in [
        format!(
            r#"signalbox_requests_total{{endpoint="{chat}",status="200",expert="{GENERAL}"}} 1"#
        ),
        r#"signalbox_requests_total{endpoint="GET unknown",status="404",expert=""} 1"#.to_owned(),
        format!(r#"signalbox_prompt_tokens_total{{expert="{GENERAL}"}} {prompt_tokens}"#),
        format!(r#"signalbox_replies_total{{expert="{GENERAL}",finish="stop"}} 1"#),
        format!(r#"signalbox_time_to_first_token_seconds_count{{expert="{GENERAL}"}} 1"#),
        format!(r#"signalbox_expert_loads_total{{expert="{GENERAL}"}} 1"#),
        format!(r#"signalbox_expert_up{{expert="{BROKEN}"}} 0"#),
        r#"signalbox_limit{name="in_flight_max",unit="calls"} 256"#.to_owned(),
    ] {
        assert!(text.lines().any(|is| is == line), "{line}\n\n{text}");
    }
}
