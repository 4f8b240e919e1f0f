//! Every way a client can be wrong, and the error it gets. No answer is ever a bare 500.

use serde_json::{Value, json};

use crate::{
    host::{Host, config},
    http,
};

fn user(text: &str) -> Value {
    json!([{"role": "user", "content": text}])
}

#[test]
fn mistakes_get_a_status_a_code_and_a_mend() {
    let host = Host::start();
    let chat = "/v1/chat/completions";
    let cases = [
        (
            chat,
            json!({"model": "gpt-4", "messages": user("hi")}),
            404,
            "model_not_found",
            "phi4_fast",
        ),
        (chat, json!({"messages": []}), 400, "invalid_value", "messages"),
        (chat, json!({"model": "auto"}), 400, "missing_parameter", "messages"),
        (chat, json!({"messages": "hi"}), 400, "invalid_value", "messages"),
        (
            chat,
            json!({"messages": user("hi"), "temperature": 3}),
            400,
            "invalid_value",
            "temperature",
        ),
        (chat, json!({"messages": user("hi"), "top_p": 0}), 400, "invalid_value", "top_p"),
        (
            chat,
            json!({"messages": user("hi"), "max_tokens": 0}),
            400,
            "invalid_value",
            "max_tokens",
        ),
        (chat, json!({"messages": user("hi"), "n": 17}), 400, "invalid_value", "n"),
        (
            chat,
            json!({"messages": user("hi"), "prompt_logprobs": 1}),
            400,
            "unsupported_parameter",
            "prompt_logprobs",
        ),
        ("/v1/completions", json!({"model": "phi4_fast"}), 400, "missing_parameter", "prompt"),
        ("/v1/nothing", json!({}), 404, "unknown_endpoint", "/v1/chat/completions"),
    ];
    for (path, body, status, code, word) in cases {
        let answer = host.post(path, &body);
        assert_eq!(answer.error_code(), code, "{body}: {}", answer.text);
        assert_eq!(answer.status, status, "{body}");
        assert!(answer.text.contains(word), "{body}: no '{word}' in {}", answer.text);
        assert!(!answer.header("x-request-id").is_empty());
    }
}

#[test]
fn a_template_that_refuses_is_the_clients_error() {
    let host = Host::start();
    let turns = json!([
        {"role": "assistant", "content": "one"}, {"role": "user", "content": "two"}
    ]);
    let body = json!({"model": "mistral_balanced", "messages": turns});
    let answer = host.post("/v1/chat/completions", &body);
    assert_eq!((answer.status, answer.error_code().as_str()), (400, "template_refused"));
}

#[test]
fn a_prompt_beyond_the_context_is_refused_with_numbers() {
    let host = Host::start();
    let long = "word ".repeat(20_000);
    let answer = host.chat("phi4_fast", &long);
    assert_eq!((answer.status, answer.error_code().as_str()), (400, "context_length_exceeded"));
}

#[test]
fn broken_bodies_and_methods_are_named() {
    let host = Host::start();
    let url = format!("{}/v1/chat/completions", host.url);
    let broken = http::post_bytes(&url, "application/json", b"{\"model\": ");
    assert_eq!((broken.status, broken.error_code().as_str()), (400, "invalid_json"));
    assert!(broken.text.contains("line 1"), "where? {}", broken.text);
    let wrong = http::get(&url);
    assert_eq!((wrong.status, wrong.error_code().as_str()), (405, "method_not_allowed"));
}

#[test]
fn an_oversized_body_is_refused() {
    let mut small = config();
    small["limits"] = json!({"body_bytes_max": 100_000});
    let host = Host::start_with(small);
    let answer = host.chat("auto", &"x".repeat(200_000));
    assert_eq!((answer.status, answer.error_code().as_str()), (413, "body_too_large"));
}

#[test]
fn the_admin_plane_wants_its_token() {
    let mut guarded = config();
    guarded["admin"]["token"] = json!("a-long-enough-secret-token");
    let host = Host::start_with(guarded);
    let answer = http::get(&format!("{}/policies", host.admin));
    assert_eq!((answer.status, answer.error_code().as_str()), (401, "missing_admin_token"));
}
