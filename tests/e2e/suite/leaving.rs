//! Clients that are gone while they are being answered, in every way a connection can end, and one
//! that only stopped sending.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use serde_json::{Value, json};
use socket2::SockRef;

use crate::{
    host::{Host, eventually},
    http::chat_body,
};

/// Clients at once. Their replies together are far more than the toys can say in the time waited.
const CLIENTS: usize = 50;
/// Clients are gone at once; the host is to know it soon, on a busy machine too.
const SOON: Duration = Duration::from_secs(20);
const INTERIM: &str = "HTTP/1.1 100 Continue\r\n\r\n";
/// A second request, sent behind the first without waiting.
const SECOND: &str = "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// A request for a reply that goes on for so many tokens: without an end-of-turn the toy rambles.
fn request(version: &str, more_head: &str, stream: bool, tokens: u32) -> String {
    let mut body = chat_body("gemma3_multimodal", "Hello there");
    for (key, value) in [("temperature", 2), ("top_p", 1), ("seed", 7), ("max_tokens", tokens)] {
        body[key] = json!(value);
    }
    body["stream"] = json!(stream);
    let body = body.to_string();
    format!(
        "POST /v1/chat/completions HTTP/{version}\r\nhost: localhost\r\n\
         content-type: application/json\r\n{more_head}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn in_flight(host: &Host) -> u64 {
    host.get("/stats").ok()["requests_in_flight"].as_u64().unwrap()
}

fn cancelled(host: &Host) -> usize {
    let decisions = host.admin_get("/decisions?limit=1000");
    let all = decisions["decisions"].as_array().unwrap().iter();
    all.filter(|record| record["outcome"] == "cancelled").count()
}

fn connect(host: &Host, sent: &str) -> TcpStream {
    let mut stream = TcpStream::connect(host.url.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(sent.as_bytes()).unwrap();
    stream
}

/// Connects the clients, lets all of them be admitted, and ends their connections with `leave`.
/// Then nothing may be computed for them any more, although nobody was answered.
fn check(host: &Host, sent: &str, leave: impl Fn(TcpStream)) {
    let before = cancelled(host);
    let clients: Vec<TcpStream> = (0..CLIENTS).map(|_| connect(host, sent)).collect();
    eventually("all are being answered", SOON, || in_flight(host) == CLIENTS as u64);
    clients.into_iter().for_each(leave);
    eventually("nobody is answered", SOON, || in_flight(host) == 0);
    // A few may have had their whole answer before they left.
    let cancelled = cancelled(host) - before;
    assert!(cancelled > CLIENTS / 2, "only {cancelled} were cancelled: {sent}");
}

/// Ends a connection with a reset instead of a FIN.
fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

#[test]
fn clients_that_vanish_are_not_computed_for() {
    let host = Host::start();
    for stream in [false, true] {
        let plain = request("1.1", "", stream, 4000);
        check(&host, &plain, drop);
        check(&host, &plain, reset);
        check(&host, &(plain.clone() + SECOND), drop);
        check(&host, &(plain + SECOND), reset);
        let closing = request("1.1", "connection: close\r\n", stream, 4000);
        check(&host, &(closing + SECOND), drop);
        check(&host, &request("1.0", "", stream, 4000), drop);
    }
    // More is sent behind it than the host reads ahead.
    check(&host, &(request("1.1", "", false, 4000) + &SECOND.repeat(3000)), drop);
}

/// Sends, and reads to the end; stops sending before that where asked to.
fn whole(host: &Host, sent: &str, stops_sending: bool) -> String {
    let mut stream = connect(host, sent);
    if stops_sending {
        stream.shutdown(Shutdown::Write).unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_client_that_only_stopped_sending_gets_its_whole_answer() {
    let host = Host::start();
    let whole = |sent: String| whole(&host, &sent, true);
    let message = whole(request("1.1", "", false, 300));
    let answer = message.trim_start_matches(INTERIM);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{message}");
    let body = answer.split("\r\n\r\n").nth(1).unwrap();
    let reply: Value = serde_json::from_str(body).unwrap();
    assert_eq!(reply["usage"]["completion_tokens"], 300, "{reply}");

    let stream = whole(request("1.1", "", true, 300));
    assert!(stream.contains("data: [DONE]"), "{stream}");
    let both = whole(request("1.1", "", false, 300) + SECOND);
    assert_eq!(both.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{both}");
}

#[test]
fn only_who_stopped_sending_gets_an_interim_response() {
    let host = Host::start();
    let sent = request("1.1", "connection: close\r\n", false, 300) + SECOND;
    let answer = whole(&host, &sent, false);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}
