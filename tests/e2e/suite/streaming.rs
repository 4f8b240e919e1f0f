//! Replies as streams: the same text as in one piece, exact usage, and an end when the client leaves.

use std::time::Duration;

use serde_json::json;

use crate::{
    answers::recorded,
    host::{Host, eventually},
    http::{Events, chat_body},
};

#[test]
fn a_stream_carries_the_same_text_and_usage() {
    let host = Host::start();
    for expert in ["qwen_coder", "aya_expanse_multilingual"] {
        let (prompt, _) = &recorded(expert)[0];
        let whole = host.chat(expert, prompt).ok();
        let mut body = chat_body(expert, prompt);
        body["stream_options"] = json!({"include_usage": true});
        let (text, events) = Events::open(&host.url, body).finish();
        assert_eq!(text, crate::host::content(&whole));
        assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
        assert!(events.len() > 3, "a stream of {} events is a buffered reply", events.len());
        let last = events.last().unwrap();
        assert_eq!(last["choices"], json!([]), "the usage event has no choices");
        assert_eq!(last["usage"], crate::host::usage_of_the_next(&whole));
        assert_eq!(events[events.len() - 2]["choices"][0]["finish_reason"], "stop");
        assert!(events.iter().all(|e| e["object"] == "chat.completion.chunk"));
    }
}

#[test]
fn a_stream_without_include_usage_has_none() {
    let host = Host::start();
    let (prompt, _) = &recorded("phi4_fast")[0];
    let (_, events) = Events::open(&host.url, chat_body("phi4_fast", prompt)).finish();
    assert!(events.iter().all(|e| e["usage"].is_null()));
}

#[test]
fn text_completions_stream_and_stop() {
    let host = Host::start();
    let body = json!({"model": "phi4_fast", "prompt": "Hello", "max_tokens": 4, "temperature": 0});
    let reply = host.post("/v1/completions", &body).ok();
    assert_eq!(reply["object"], "text_completion");
    assert_eq!(reply["choices"][0]["finish_reason"], "length");
    assert_eq!(reply["usage"]["completion_tokens"], 4);
}

#[test]
fn stop_strings_and_max_tokens_end_a_reply() {
    let host = Host::start();
    let (prompt, answer) = &recorded("qwen_coder")[0];
    let cut = answer.chars().skip(answer.chars().count() / 2).take(4).collect::<String>();
    let mut body = chat_body("qwen_coder", prompt);
    body["stop"] = json!([cut]);
    let reply = host.post("/v1/chat/completions", &body).ok();
    let before = answer.split(&cut).next().unwrap();
    assert_eq!(crate::host::content(&reply), before);
    assert_eq!(reply["choices"][0]["finish_reason"], "stop");
}

#[test]
fn a_client_that_leaves_stops_its_expert() {
    let host = Host::start();
    // Without an end-of-turn the toy goes on for as long as it may.
    let body = json!({
        "model": "gemma3_multimodal", "messages": [{"role": "user", "content": "Hello there"}],
        "temperature": 2, "top_p": 1, "seed": 7, "max_tokens": 1500
    });
    for _ in 0..4 {
        let mut events = Events::open(&host.url, body.clone());
        events.next_data().unwrap();
        drop(events);
    }
    eventually("no call is left running", Duration::from_secs(10), || {
        host.expert("gemma3_multimodal")["queue_depth"] == 0
    });
    let tokens = || host.expert("gemma3_multimodal")["completion_tokens_total"].clone();
    let after = tokens();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(tokens(), after, "the expert kept generating for nobody");
}
