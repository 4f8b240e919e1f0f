//! Every error a client can make has the same shape, with a code to switch on.

use crate::fixture::{Answer, BROKEN, GENERAL, STRICT, Server, chat_body};

const CHAT: &str = "/v1/chat/completions";

/// Status, code, and a word of the message.
fn check(answer: &Answer, status: u16, code: &str, word: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}", answer.text);
    let error = &answer.json()["error"];
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(word), "'{word}' is not in: {message}");
    assert!(error["type"].is_string() && error["blame"].is_string(), "{error}");
    assert!(!answer.header("x-request-id").is_empty(), "no request id");
    assert_eq!(answer.header("content-type"), "application/json");
}

#[test]
fn wrong_places() {
    let server = Server::start();
    check(&server.get("/v1/nowhere"), 404, "unknown_endpoint", "POST /v1/chat/completions");
    check(&server.post("/v1/audio/speech", "{}"), 404, "unknown_endpoint", "GET /v1/models");
    let wrong = server.get(CHAT);
    check(&wrong, 405, "method_not_allowed", "GET");
    assert_eq!(wrong.header("allow"), "POST");
    check(&server.ask("BREW", "/health", &[], ""), 405, "method_not_allowed", "BREW");
    check(&server.get("/v1/models/gpt-4"), 404, "model_not_found", GENERAL);
    check(&server.get("/v1/models/%FF"), 400, "invalid_value", "path");
}

#[test]
fn wrong_bodies() {
    let server = Server::start();
    check(&server.post(CHAT, "{\"messages\": ["), 400, "invalid_json", "line 1 column 14");
    check(&server.post(CHAT, ""), 400, "invalid_json", "JSON");
    check(&server.post(CHAT, "{}"), 400, "missing_parameter", "messages");
    check(&server.post("/v1/completions", "{}"), 400, "missing_parameter", "prompt");
    let form = [("content-type", "application/x-www-form-urlencoded"), ("cookie", "a=b")];
    let body = chat_body("hi", "");
    check(&server.ask("POST", CHAT, &form, &body), 415, "unsupported_media_type", "form");
}

#[test]
fn wrong_values() {
    let server = Server::start();
    for (more, code, param) in [
        (r#", "top_p": 7"#, "invalid_value", "top_p"),
        (r#", "n": 17"#, "invalid_value", "n"),
        (r#", "tools": [{}]"#, "invalid_value", "tools[0]"),
        (r#", "max_tokens": -2"#, "invalid_value", "max_tokens"),
    ] {
        let answer = server.chat("hi", more);
        check(&answer, 400, code, param);
        assert_eq!(answer.json()["error"]["param"], param);
    }
    let hot = chat_body("hi", "").replace("\"temperature\": 0", "\"temperature\": 3");
    check(&server.post(CHAT, &hot), 400, "invalid_value", "0 to 2");
    let image = r#"{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}"#;
    check(&server.post(CHAT, image), 400, "invalid_value", "data:image/png;base64");
}

/// One transparent pixel.
const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

fn image_body(url: &str, model: &str) -> String {
    let image = format!(r#"{{"type": "image_url", "image_url": {{"url": "{url}"}}}}"#);
    format!(r#"{{"model": "{model}", "messages": [{{"role": "user", "content": [{image}]}}]}}"#)
}

#[test]
fn wrong_images() {
    let server = Server::start();
    for model in ["auto", GENERAL] {
        let blind = server.post(CHAT, &image_body(PIXEL, model));
        check(&blind, 400, "images_not_supported", GENERAL);
        assert_eq!(blind.json()["error"]["param"], "messages");
    }
    let text = server.post(CHAT, &image_body("data:image/png;base64,aGVsbG8=", GENERAL));
    check(&text, 400, "image_invalid", "neither PNG nor JPEG nor WebP");
    assert_eq!(text.json()["error"]["param"], "messages[0].content[0]");
    let strange = server.post(CHAT, &image_body("http://127.0.0.1:1/a.png", GENERAL));
    check(&strange, 400, "image_url_not_allowed", "images.allowed_hosts");
}

#[test]
fn wrong_experts() {
    let server = Server::start();
    let unknown = server.chat("hi", r#", "model": "gpt-4""#);
    check(&unknown, 404, "model_not_found", GENERAL);
    assert_eq!(unknown.json()["error"]["param"], "model");
    let broken = server.chat("hi", &format!(r#", "model": "{BROKEN}""#));
    check(&broken, 503, "expert_unloadable", BROKEN);
    assert_eq!(broken.json()["error"]["blame"], "expert");
    let roles = format!(
        r#"{{"model": "{STRICT}", "messages": [{{"role": "assistant", "content": "hi"}}]}}"#
    );
    check(&server.post(CHAT, &roles), 400, "template_refused", STRICT);
    let long = server.chat(&"word ".repeat(5000), "");
    check(&long, 400, "context_length_exceeded", GENERAL);
}

#[test]
fn an_early_error_is_an_error_for_streams_too() {
    let server = Server::start();
    let answer = server.chat("hi", &format!(r#", "stream": true, "model": "{BROKEN}""#));
    check(&answer, 503, "expert_unloadable", BROKEN);
}
