//! What clients of other servers send, and what they read.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
};

use serde_json::{Value, json};

use crate::fixture::{Answer, GENERAL, Server, chat_body, recorded};

const CHAT: &str = "/v1/chat/completions";

fn text(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
}

#[test]
fn parameters_of_other_servers_are_heeded() {
    let server = Server::start();
    let (prompt, expected, _, tokens) = recorded(GENERAL);
    let counted = |answer: &Answer| answer.json()["usage"]["completion_tokens"].as_u64().unwrap();
    let longer =
        server.chat(&prompt, &format!(r#", "min_tokens": {}, "max_tokens": 60"#, tokens + 5));
    assert!(counted(&longer) >= tokens + 5, "{}", longer.text);
    let endless = server.chat(&prompt, r#", "ignore_eos": true, "max_tokens": 60"#);
    assert_eq!(counted(&endless), 60, "{}", endless.text);
    let all: Vec<u32> = (0..60).collect();
    let few = server.chat(&prompt, &format!(r#", "stop_token_ids": {}"#, json!(all)));
    assert!(expected.starts_with(&text(&few)) && counted(&few) <= tokens, "{}", few.text);
    let penalised = server.chat(&prompt, r#", "repetition_penalty": 10, "max_tokens": 60"#);
    assert_ne!(text(&penalised), expected);
    let likeliest = r#", "temperature": 2, "top_p": 1, "min_p": 1"#;
    let body = chat_body(&prompt, "").replace(r#", "temperature": 0"#, likeliest);
    assert_eq!(text(&server.post(CHAT, &body)), expected);
}

#[test]
fn unknown_parameters_are_warned_of_in_a_header() {
    let server = Server::start();
    let (prompt, ..) = recorded(GENERAL);
    for stream in ["false", "true"] {
        let more = format!(r#", "max_tokens": 2, "temprature": 1.8, "stream": {stream}"#);
        let answer = server.chat(&prompt, &more);
        let warning = "'temprature' is unknown and ignored; is 'temperature' meant?";
        assert_eq!((answer.status, answer.header("x-signalbox-warning")), (200, warning));
    }
    let known = server.chat(&prompt, r#", "max_tokens": 2, "user": "u", "keep_alive": "5m""#);
    assert_eq!(known.header("x-signalbox-warning"), "");
}

#[test]
fn spellings_that_clients_have_are_taken() {
    let server = Server::start();
    let (prompt, expected, ..) = recorded(GENERAL);
    let stops: Vec<String> = (0..13).map(|i| format!("<|stop {i}|>")).collect();
    for more in [
        format!(r#", "stop": {}"#, json!(stops)),
        r#", "stop": ["", "<|never|>"]"#.to_owned(),
        r#", "max_tokens": -1"#.to_owned(),
        r#", "max_tokens": 64.0, "top_k": -1, "seed": 42.0"#.to_owned(),
        r#", "model": "phi4_fast:latest""#.to_owned(),
    ] {
        assert_eq!(text(&server.chat(&prompt, &more)), expected, "{more}");
    }
    assert_eq!(server.get("/v1/models/phi4_fast:latest").json()["id"], GENERAL);
}

#[test]
fn an_assistants_turn_may_be_null_or_a_refusal() {
    let server = Server::start();
    let turn = |turn: Value| {
        let user = json!({"role": "user", "content": "Hello"});
        let body = json!({"max_tokens": 2, "messages": [user, turn, user]});
        let answer = server.post(CHAT, &body.to_string());
        assert_eq!(answer.status, 200, "{turn}: {}", answer.text);
    };
    turn(json!({"role": "assistant", "content": null, "refusal": "no"}));
    turn(json!({"role": "assistant", "content": null, "tool_calls": null}));
    turn(json!({"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}));
}

#[test]
fn slashes_too_many_and_a_missing_content_type_are_taken() {
    let server = Server::start();
    for path in ["//v1/models", "/v1/models/", "/v1//models", "/v1/models/auto/"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    let (prompt, expected, ..) = recorded(GENERAL);
    for path in [CHAT, "/v1/chat/completions/", "//v1/chat/completions"] {
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let answer = server.ask("POST", path, &form, &chat_body(&prompt, ""));
        assert_eq!(text(&answer), expected, "{path}");
    }
    let page = [("content-type", "text/plain"), ("sec-fetch-site", "same-origin")];
    assert_eq!(server.ask("POST", CHAT, &page, &chat_body(&prompt, "")).status, 415);
}

#[test]
fn a_compressed_body_is_refused_as_such() {
    let server = Server::start();
    let head = [("content-type", "application/json"), ("content-encoding", "gzip")];
    let answer = server.ask("POST", CHAT, &head, "\u{1f}\u{8b}");
    assert_eq!((answer.status, answer.code().as_str()), (415, "unsupported_encoding"));
}

#[test]
fn a_browser_gets_a_page_that_shows_the_experts() {
    let server = Server::start();
    let head = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    let page = server.ask("GET", "/", &head, "");
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.text.contains(&format!("<td>{GENERAL}</td>")), "{}", page.text);
    assert_eq!(server.get("/").json()["name"], "signalbox");
}

#[test]
fn a_client_that_closes_its_half_is_answered() {
    let server = Server::start();
    let (prompt, expected, ..) = recorded(GENERAL);
    for stream in ["false", "true"] {
        let body = chat_body(&prompt, &format!(r#", "stream": {stream}"#));
        let mut socket = TcpStream::connect(&server.data).unwrap();
        let head = "host: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n";
        let head = format!("POST {CHAT} HTTP/1.1\r\n{head}content-length: {}\r\n\r\n", body.len());
        socket.write_all(format!("{head}{body}").as_bytes()).unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("HTTP/1.1 200 OK"), "{answer}");
        let word = expected.split([' ', '!']).next().unwrap();
        assert!(answer.contains(word) && answer.contains("\"stop\""), "{answer}");
    }
}

#[test]
fn a_prompt_far_too_long_is_said_in_the_words_that_clients_look_for() {
    let server = Server::start();
    for words in [2_000, 100_000] {
        let answer = server.chat(&"word ".repeat(words), "");
        assert_eq!((answer.status, answer.code().as_str()), (400, "context_length_exceeded"));
        let error = &answer.json()["error"];
        assert_eq!(error["param"], "messages", "{error}");
        assert!(error["message"].as_str().unwrap().contains("prompt is too long"), "{error}");
    }
}
