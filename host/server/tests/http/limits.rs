//! What is bounded: sizes, times, numbers at once.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use crate::fixture::{GENERAL, Server, recorded};

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(&server.data).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn a_body_that_is_too_large_is_answered_not_reset() {
    let server = Server::with(|settings| settings.limits.body_bytes_max = 4096);
    for size in [5_000, 3_000_000] {
        let answer = server.chat(&"x".repeat(size), "");
        assert_eq!((answer.status, answer.code().as_str()), (413, "body_too_large"));
        assert!(answer.text.contains("4096 bytes"), "{}", answer.text);
    }
    let mut chunked = connect(&server);
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\
                connection: close\r\n\r\n";
    chunked.write_all(head.as_bytes()).unwrap();
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(4096));
    chunked.write_all(chunk.repeat(4).as_bytes()).unwrap();
    chunked.write_all(b"0\r\n\r\n").unwrap();
    let answer = rest(chunked);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let server = Server::with(|settings| settings.limits.body_read_s = 1);
    let mut slow = connect(&server);
    let head = "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{";
    slow.write_all(head.as_bytes()).unwrap();
    let answer = rest(slow);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("body_timeout"), "{answer}");
}

#[test]
fn a_head_that_does_not_come_is_not_waited_for() {
    let server = Server::with(|settings| settings.limits.header_read_s = 1);
    let mut slow = connect(&server);
    slow.write_all(b"GET /health HTTP/1.1\r\nhost:").unwrap();
    let began = Instant::now();
    rest(slow);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn more_calls_than_may_run_are_turned_away_with_a_time_to_retry() {
    let server = Server::with(|settings| settings.limits.in_flight_max = 1);
    let (prompt, expected, ..) = recorded(GENERAL);
    let answers: Vec<_> = thread::scope(|scope| {
        let calls: Vec<_> = (0..16).map(|_| scope.spawn(|| server.chat(&prompt, ""))).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    let (taken, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.status == 200);
    assert!(!taken.is_empty() && !refused.is_empty(), "{} taken", taken.len());
    for answer in taken {
        assert_eq!(answer.json()["choices"][0]["message"]["content"], expected);
    }
    for answer in refused {
        assert_eq!((answer.status, answer.code().as_str()), (429, "too_many_requests"));
        assert_eq!(answer.header("retry-after"), "1");
    }
    assert_eq!(server.chat(&prompt, "").status, 200);
}

#[test]
fn a_reply_that_takes_too_long_ends() {
    let server = Server::with(|settings| settings.limits.answer_s = 0);
    // Long enough that there is silence before its first token.
    let answer = server.chat(&"hello ".repeat(400), "");
    assert_eq!((answer.status, answer.code().as_str()), (504, "reply_timeout"), "{}", answer.text);
}
