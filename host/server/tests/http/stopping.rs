//! Clients that leave, and a server that is stopped.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::fixture::{GENERAL, Server, chat_body, recorded};

/// Sends a streaming call and reads up to its first text.
fn begin(server: &Server, body: &str) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(&server.data).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    (&stream).write_all(head.as_bytes()).unwrap();
    (&stream).write_all(body.as_bytes()).unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while !line.contains("\"content\":\"") || line.contains("\"content\":\"\"") {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0, "ended before the first text");
    }
    reader
}

/// A call whose reply is long, and how many tokens it has: hot, so the expert rambles, and seeded,
/// so that it does so twice.
fn long_winded(server: &Server) -> (String, u64) {
    for seed in 0..100 {
        let more = format!(r#", "temperature": 2, "top_p": 1, "seed": {seed}, "max_tokens": 1000"#);
        let body = chat_body("Hello", &more).replacen("\"temperature\": 0, ", "", 1);
        let reply = server.post("/v1/chat/completions", &body).json();
        let tokens = reply["usage"]["completion_tokens"].as_u64().unwrap();
        if tokens >= 100 {
            return (body, tokens);
        }
    }
    panic!("no seed makes it ramble");
}

#[test]
fn a_client_that_leaves_cancels_its_call() {
    let server = Server::start();
    let (body, tokens) = long_winded(&server);
    let spent = || server.fleet.status(GENERAL).unwrap().completion_tokens_total;
    let before = spent();
    drop(begin(&server, &body.replacen('{', "{\"stream\": true, ", 1)));
    let cancelled = |server: &Server| {
        let recent = server.operate("GET", "/decisions?limit=1", b"").json();
        recent["decisions"][0]["outcome"] == "cancelled"
    };
    server.wait_until("the call is cancelled", cancelled);
    server.wait_until("the expert is idle", |server| {
        let status = server.fleet.status(GENERAL).unwrap();
        status.running == 0 && status.queue_depth == 0
    });
    assert!(spent() - before < tokens, "{} of {tokens} tokens", spent() - before);
}

#[test]
fn a_stop_lets_replies_finish_and_nobody_in() {
    let mut server = Server::start();
    let (prompt, ..) = recorded(GENERAL);
    let mut reader = begin(&server, &chat_body(&prompt, r#", "stream": true"#));
    server.ask_to_stop();
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("data: [DONE]"), "{rest}");
    server.stopped().unwrap();
    assert!(TcpStream::connect(&server.data).is_err(), "still accepting");
}

#[test]
fn an_idle_connection_does_not_hold_a_stop_up() {
    let mut server = Server::with(|settings| settings.limits.drain_s = 30);
    let idle = TcpStream::connect(&server.data).unwrap();
    (&idle).write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut line = String::new();
    BufReader::new(&idle).read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 200"), "{line}");
    let began = Instant::now();
    server.ask_to_stop();
    server.stopped().unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn a_reply_cut_off_by_a_stop_says_so() {
    let mut server = Server::with(|settings| settings.limits.drain_s = 0);
    let (prompt, ..) = recorded(GENERAL);
    let mut reader = begin(&server, &chat_body(&prompt, r#", "stream": true"#));
    server.ask_to_stop();
    let mut rest = String::new();
    let _ = reader.read_to_string(&mut rest);
    let (done, message) = (rest.contains("[DONE]"), rest.contains("\"code\":\"shutting_down\""));
    assert!(done != message, "neither finished nor message: {rest}");
    server.stopped().unwrap();
}
