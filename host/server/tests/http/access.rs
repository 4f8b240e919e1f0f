//! Who is answered: clients with keys, pages of listed origins, requests that name this host.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::json;
use signalbox_server::{Access, Key};

use crate::fixture::{Answer, GENERAL, Server, chat_body, recorded};

const CHAT: &str = "/v1/chat/completions";
const KEY: &str = "sixteen-or-more-1";
const PAGE: &str = "https://app.example";

fn with_keys() -> Server {
    let keys = vec![Key::new("app", KEY).unwrap(), Key::new("web", "sixteen-or-more-2").unwrap()];
    Server::with(|settings| settings.access = Access { keys, ..Access::default() })
}

fn with_page() -> Server {
    let origins = vec![PAGE.to_owned()];
    Server::with(|settings| settings.access = Access { origins, ..Access::default() })
}

fn described(answer: &Answer) -> (u16, String) {
    (answer.status, answer.code())
}

/// What a plane says to these very bytes.
fn raw(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn clients_need_a_key_where_there_are_keys() {
    let server = with_keys();
    let (prompt, expected, ..) = recorded(GENERAL);
    let body = chat_body(&prompt, "");
    let ask = |head: &[(&str, &str)]| server.ask("POST", CHAT, head, &body);
    let missing = ask(&[]);
    assert_eq!(described(&missing), (401, "missing_api_key".to_owned()));
    assert_eq!(missing.header("www-authenticate"), "Bearer");
    assert_eq!(missing.json()["error"]["type"], "authentication_error");
    for wrong in ["Bearer sixteen-or-more-3", "Bearer sixteen-or-more-"] {
        assert_eq!(
            described(&ask(&[("authorization", wrong)])),
            (401, "invalid_api_key".to_owned())
        );
    }
    for right in [("authorization", "bearer sixteen-or-more-1"), ("x-api-key", KEY)] {
        let answer = ask(&[right]);
        assert_eq!(answer.json()["choices"][0]["message"]["content"], expected, "{}", answer.text);
    }
    let decisions = server.operate("GET", "/decisions", b"").json()["decisions"].clone();
    assert_eq!(decisions.as_array().unwrap().len(), 2, "the others were no calls: {decisions}");
    assert_eq!(decisions[0]["caller"], "key:app");
}

#[test]
fn only_health_and_readiness_are_answered_without_a_key() {
    let server = with_keys();
    for path in ["/health", "/ready", "/health/"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    for path in ["/", "/stats", "/experts", "/metrics", "/v1/models", "/nowhere", "/health/x"] {
        assert_eq!(described(&server.get(path)), (401, "missing_api_key".to_owned()), "{path}");
    }
    assert_eq!(server.ask("GET", "/stats", &[("x-api-key", KEY)], "").status, 200);
}

#[test]
fn without_keys_a_caller_is_an_address() {
    let server = Server::start();
    let (prompt, ..) = recorded(GENERAL);
    let head = [("content-type", "application/json"), ("authorization", "Bearer whatever")];
    assert_eq!(server.ask("POST", CHAT, &head, &chat_body(&prompt, "")).status, 200);
    let decisions = server.operate("GET", "/decisions", b"").json()["decisions"].clone();
    assert_eq!(decisions[0]["caller"], "peer:127.0.0.1");
}

#[test]
fn pages_nobody_listed_are_refused_and_do_not_generate() {
    let server = with_page();
    let body = chat_body("hi", "");
    let evil = ("origin", "https://evil.example");
    for head in [&[evil][..], &[("origin", "null")], &[("sec-fetch-site", "cross-site")]] {
        let answer = server.ask("POST", CHAT, head, &body);
        assert_eq!(described(&answer), (403, "origin_not_allowed".to_owned()), "{head:?}");
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
    let asked = [evil, ("access-control-request-method", "POST")];
    assert_eq!(server.ask("OPTIONS", CHAT, &asked, "").status, 403);
    assert_eq!(server.operate("GET", "/decisions", b"").json()["decisions"], json!([]));
}

#[test]
fn a_listed_page_gets_its_preflight_its_reply_and_its_errors() {
    let server = with_page();
    let asked = [
        ("origin", PAGE),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,content-type"),
    ];
    let granted = server.ask("OPTIONS", CHAT, &asked, "");
    assert_eq!((granted.status, granted.text.as_str()), (204, ""));
    assert_eq!(granted.header("access-control-allow-origin"), PAGE);
    assert_eq!(granted.header("access-control-allow-methods"), "GET, POST");
    assert_eq!(granted.header("access-control-allow-headers"), "authorization,content-type");
    let (prompt, ..) = recorded(GENERAL);
    let page = [("origin", PAGE), ("content-type", "application/json")];
    for (body, status) in [(chat_body(&prompt, ""), 200), ("{}".to_owned(), 400)] {
        let answer = server.ask("POST", CHAT, &page, &body);
        assert_eq!(answer.status, status, "{}", answer.text);
        assert_eq!(answer.header("access-control-allow-origin"), PAGE);
        assert_eq!(answer.header("vary"), "origin");
        assert!(answer.header("access-control-expose-headers").contains("x-request-id"));
    }
    assert_eq!(server.ask("OPTIONS", CHAT, &[], "").status, 405, "no page asks");
}

#[test]
fn a_request_names_this_host_once() {
    let server = Server::start();
    let head = |host: &str| format!("GET /health HTTP/1.1\r\n{host}connection: close\r\n\r\n");
    for plane in [&server.data, &server.admin] {
        let check = |request: String, status: &str, code: &str| {
            let answer = raw(plane, &request);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}{answer}");
            assert!(answer.contains(code), "{request}{answer}");
        };
        check(head("host: localhost\r\n"), "200", "healthy");
        check(head(""), "400", "invalid_host");
        check(head("host: localhost\r\nhost: localhost\r\n"), "400", "invalid_host");
        check(head("host: evil.example\r\n"), "403", "host_not_allowed");
        let absolute = head("host: localhost\r\n").replace("/health", "http://evil.example/health");
        check(absolute, "400", "invalid_host");
        let old = "GET /health HTTP/1.0\r\n\r\n".to_owned();
        assert!(raw(plane, &old).contains("healthy"));
    }
}

#[test]
fn operators_do_not_come_through_proxies_or_pages() {
    let server = Server::start();
    let ask = |header: &str| {
        let head = format!("GET /policies HTTP/1.1\r\nhost: localhost\r\n{header}\r\n");
        raw(&server.admin, &format!("{head}connection: close\r\n\r\n"))
    };
    assert!(ask("x-request-id: a").contains(" 200 "));
    for mark in ["X-Forwarded-For: 203.0.113.9", "Forwarded: for=203.0.113.9", "Via: 1.1 a"] {
        let answer = ask(mark);
        assert!(answer.contains(" 403 ") && answer.contains("admin_loopback_only"), "{answer}");
    }
    let answer = ask("Origin: http://localhost:8081");
    assert!(answer.contains(" 403 ") && answer.contains("admin_browser_refused"), "{answer}");
}

#[test]
fn heads_are_bounded_at_what_is_stated() {
    let server = Server::start();
    let limits = server.get("/stats").json()["limits"].clone();
    let stated = |name: &str| limits[name]["value"].as_u64().unwrap() as usize;
    let (headers, bytes) = (stated("request_headers_max"), stated("request_head_bytes_max"));
    let ask = |more: &str| {
        let head = "GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n";
        raw(&server.data, &format!("{head}{more}\r\n"))
    };
    let many = |count: usize| (0..count).map(|i| format!("x{i}: y\r\n")).collect::<String>();
    let long = |bytes: usize| format!("x: {}\r\n", "y".repeat(bytes));
    assert!(ask(&many(headers - 2)).starts_with("HTTP/1.1 200"));
    assert!(ask(&many(headers - 1)).starts_with("HTTP/1.1 431"));
    assert!(ask(&long(bytes - 1000)).starts_with("HTTP/1.1 200"));
    let refused = ask(&long(2 * bytes));
    assert!(refused.is_empty() || refused.starts_with("HTTP/1.1 431"), "{refused}");
    let lost = server.get(&format!("/{}", "a".repeat(10_000)));
    assert!(lost.status == 404 && lost.text.len() < 2000, "{}", lost.text);
}
