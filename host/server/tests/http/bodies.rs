//! Bodies as strangers make them: whatever they hold and however they come, they are answered, and cost
//! no more than they were accounted for.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::fixture::{Answer, GENERAL, Server, chat_body, recorded};

const CHAT: &str = "/v1/chat/completions";

/// A chat that is answered, with `more` in its body.
fn answered(server: &Server, more: &str) -> Answer {
    let (prompt, ..) = recorded(GENERAL);
    server.chat(&prompt, &format!(", \"max_tokens\": 2, {more}"))
}

fn refused(server: &Server, body: &str, code: &str, word: &str) {
    let answer = server.post(CHAT, body);
    assert_eq!((answer.status, answer.code().as_str()), (400, code), "{}", answer.text);
    assert!(answer.text.contains(word), "'{word}' is not in {}", answer.text);
    assert!(answer.text.len() < 2000, "an error repeats little: {} bytes", answer.text.len());
}

/// Sends a head and the beginning of a body, and leaves it at that.
fn begin(server: &Server, head: &str, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(&server.data).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = format!("POST {CHAT} HTTP/1.1\r\nhost: localhost\r\n{head}\r\n\r\n");
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    stream
}

fn rest(mut stream: &TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn held(server: &Server) -> u64 {
    let metrics = server.get("/metrics").text;
    let line =
        metrics.lines().find_map(|l| l.strip_prefix("signalbox_body_bytes_held{plane=\"data\"} "));
    line.unwrap().parse().unwrap()
}

#[test]
fn what_nobody_reads_is_skipped() {
    let server = Server::start();
    let tree = "[0],".repeat(100_000);
    let members: String = (0..50_000).map(|i| format!("\"m{i}\":{{}},")).collect();
    for more in [
        format!("\"x\": [{tree}0]"),
        format!("{members}\"y\": 0"),
        format!("\"z\": \"{}\"", "\\u0000".repeat(100_000)),
        format!("\"metadata\": {{\"number\": {}}}", "9".repeat(100_000)),
        "\"temperature\": 2, \"temperature\": 0".to_owned(),
    ] {
        let answer = answered(&server, &more);
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    assert_eq!(held(&server), 0, "everything was given back");
}

#[test]
fn what_is_read_is_bounded_and_named() {
    let server = Server::start();
    let with = |more: &str| chat_body("hi", &format!(", {more}"));
    let deep = format!("{}0{}", "[".repeat(100), "]".repeat(100));
    for name in ["unknown", "metadata", "tools", "response_format"] {
        refused(&server, &with(&format!("\"{name}\": {deep}")), "invalid_json", "deeper than 64");
    }
    let stop = "s".repeat(1_000_000);
    refused(&server, &with(&format!("\"stop\": \"{stop}\"")), "invalid_value", "stop");
    let stops = "\"s\",".repeat(100_000);
    refused(&server, &with(&format!("\"stop\": [{stops}\"s\"]")), "invalid_value", "stop");
    let bias: String = (0..50_000).map(|i| format!("\"{i}\":1,")).collect();
    let bias = with(&format!("\"logit_bias\": {{{bias}\"x\":1}}"));
    refused(&server, &bias, "invalid_value", "logit_bias");
    refused(&server, &with(&format!("\"seed\": {}", "9".repeat(100_000))), "invalid_value", "seed");
    let part = "{\"type\":\"text\",\"text\":\"a\"},".repeat(2000);
    let parts = format!("{{\"messages\": [{{\"role\": \"user\", \"content\": [{part}0]}}]}}");
    refused(&server, &parts, "invalid_value", "1024 parts");
    let message = "{\"role\":\"user\",\"content\":\"\"},".repeat(9000);
    refused(&server, &format!("{{\"messages\": [{message}0]}}"), "invalid_value", "8192");
    let king = format!("{{\"messages\": [{{\"role\": \"{stop}\", \"content\": \"\"}}]}}");
    refused(&server, &king, "invalid_value", "there is no role 'sss");
}

#[test]
fn compressed_bodies_are_refused_by_name() {
    let server = Server::start();
    let gzip = [("content-type", "application/json"), ("content-encoding", "gzip")];
    let answer = server.ask("POST", CHAT, &gzip, "{}");
    assert_eq!((answer.status, answer.code().as_str()), (415, "unsupported_encoding"));
    assert!(answer.text.contains("'gzip'"), "{}", answer.text);
}

#[test]
fn a_body_may_come_in_chunks_with_trailers_and_behind_another_one() {
    let server = Server::start();
    let (prompt, ..) = recorded(GENERAL);
    let body = chat_body(&prompt, ", \"max_tokens\": 2");
    let chunks: String =
        body.chars().map(|c| format!("{:x};note=1\r\n{c}\r\n", c.len_utf8())).collect();
    let chunked = format!("{chunks}0\r\nx-trailer: y\r\n\r\n");
    let head = "transfer-encoding: chunked\r\nconnection: close";
    let answer = rest(&begin(&server, head, chunked.as_bytes()));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let next = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let both = format!("{body}{next}");
    let answer = rest(&begin(&server, &format!("content-length: {}", body.len()), both.as_bytes()));
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{answer}");
}

#[test]
fn a_length_that_is_a_lie_ends_its_own_call_only() {
    let server = Server::start();
    let body = chat_body("hi", "");
    let long = begin(&server, "connection: close\r\ncontent-length: 100000", body.as_bytes());
    long.shutdown(Shutdown::Write).unwrap();
    let answer = rest(&long);
    assert!(!answer.contains(" 200 "), "{answer}");
    let short = rest(&begin(&server, "connection: close\r\ncontent-length: 10", body.as_bytes()));
    assert!(short.starts_with("HTTP/1.1 400"), "{short}");
    for head in ["content-length: 9\r\ncontent-length: 10", "content-length: -1"] {
        let answer = rest(&begin(&server, head, body.as_bytes()));
        assert!(answer.starts_with("HTTP/1.1 400"), "{head}: {answer}");
    }
    server.wait_until("nothing is held", |server| held(server) == 0);
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn unfinished_bodies_stay_within_their_budget_and_let_others_through() {
    let server = Server::with(|settings| {
        settings.limits.body_bytes_max = 400_000;
        settings.limits.body_memory_bytes_max = 1 << 20;
    });
    let hogs: Vec<_> =
        (0..20).map(|_| begin(&server, "content-length: 400000", &[b' '; 300_000])).collect();
    server.wait_until("bodies are held", |server| held(server) > 500_000);
    assert!(held(&server) <= 1 << 20, "{}", held(&server));
    let (prompt, expected, ..) = recorded(GENERAL);
    let small = server.chat(&prompt, "");
    assert_eq!(small.json()["choices"][0]["message"]["content"], expected, "{}", small.text);
    std::thread::sleep(Duration::from_millis(1100)); // a sender is judged after a second
    let large = answered(&server, &format!("\"x\": \"{}\"", "y".repeat(300_000)));
    assert_eq!(large.status, 200, "{}", large.text);
    assert!(held(&server) <= 1 << 20, "{}", held(&server));
    drop(hogs);
    server.wait_until("nothing is held", |server| held(server) == 0);
}

#[test]
fn a_body_that_stalls_is_dropped_before_its_time_is_over() {
    let server = Server::with(|settings| settings.limits.body_stall_s = 1);
    let began = Instant::now();
    let answer = rest(&begin(&server, "content-length: 100\r\nconnection: close", b"{"));
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("body_timeout"), "{answer}");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

#[test]
fn a_full_house_says_so_before_it_reads_a_body() {
    let server = Server::with(|settings| settings.limits.in_flight_max = 1);
    let (prompt, ..) = recorded(GENERAL);
    let refused = || {
        let waiting = begin(&server, "expect: 100-continue\r\ncontent-length: 1000", b"");
        let mut answer = [0; 12];
        (&waiting).read_exact(&mut answer).unwrap();
        &answer == b"HTTP/1.1 429"
    };
    let seen = AtomicBool::new(false);
    thread::scope(|scope| {
        // Toys answer in no time, so the house is kept full by one call after the other.
        let calling = || {
            for _ in 0..2000 {
                if !seen.load(Ordering::Relaxed) {
                    server.chat(&prompt, "");
                }
            }
        };
        (0..4).for_each(|_| drop(scope.spawn(calling)));
        server.wait_until("a call is turned away unread", |_| refused());
        seen.store(true, Ordering::Relaxed);
    });
}

#[test]
fn slow_senders_take_nobodys_place() {
    let server = Server::with(|settings| settings.limits.in_flight_max = 1);
    let _slow: Vec<_> = (0..8).map(|_| begin(&server, "content-length: 1000", b"{")).collect();
    server.wait_until("they are being read", |server| held(server) > 0);
    assert_eq!(answered(&server, "\"x\": 1").status, 200);
}

#[test]
fn operators_documents_are_small() {
    let server = Server::start();
    let names = "\"a\",".repeat(20_000);
    let answer =
        server.operate("PUT", "/pipeline", format!("{{\"pre\": [{names}\"a\"]}}").as_bytes());
    assert_eq!((answer.status, answer.code().as_str()), (413, "body_too_large"));
}
