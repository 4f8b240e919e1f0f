//! The front door under attack: bodies made to eat memory, and who is let in at all.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::{Command, Output},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    answers::recorded,
    host::{Host, config, content, eventually},
    http,
};

/// The largest body that is taken by default.
const BODY_BYTES_MAX: usize = 16 << 20;
/// What all of it may cost: the budget of bodies (256 MiB), their calls' texts, and what allocators keep.
const GROWTH_BYTES_MAX: u64 = 600 << 20;
/// Beyond what a host has at rest; it can't have more.
const DATA_BYTES_MORE: u64 = 1 << 30;

/// A number of `/proc/PID/status`, in bytes.
fn status(host: &Host, key: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    let kib: u64 = line.trim_matches([':', ' ', '\t', 'k', 'B']).parse().unwrap();
    kib << 10
}

/// A host that can't have much more memory than it has, and what it has.
fn poor() -> (Host, u64) {
    let host = Host::start();
    host.chat("phi4_fast", "Hello!").ok();
    let most = status(&host, "VmData") + DATA_BYTES_MORE;
    let limited = Command::new("prlimit")
        .args([format!("--pid={}", host.pid()), format!("--data={most}")])
        .status();
    assert!(limited.unwrap().success());
    let resident = status(&host, "VmRSS");
    (host, resident)
}

/// Still answers, and did not grow beyond what is accounted for.
fn check(host: &Host, resident: u64) {
    let (prompt, answer) = &recorded("phi4_fast")[0];
    eventually("memory is free again", Duration::from_secs(60), || {
        host.chat("phi4_fast", prompt).status == 200
    });
    assert_eq!(content(&host.chat("phi4_fast", prompt).ok()), *answer);
    let grown = status(host, "VmHWM").saturating_sub(resident);
    assert!(grown < GROWTH_BYTES_MAX, "it grew by {} MiB", grown >> 20);
}

fn largest(unit: &str, before: &str, after: &str) -> Vec<u8> {
    let units = (BODY_BYTES_MAX - before.len() - after.len()) / unit.len();
    format!("{before}{}{after}", unit.repeat(units)).into_bytes()
}

#[test]
fn bodies_of_tiny_things_cost_their_bytes() {
    let (host, resident) = poor();
    let call = r#""model": "nobody", "messages": [{"role": "user", "content": "hi"}]}"#;
    let messages = r#"{"messages": [{"role": "user", "content": ["#;
    let bodies = [
        largest("[0],", "{\"x\": [", &format!("0], {call}")),
        largest("\"\":{},", "{", call),
        largest("{},", "{\"tools\": [", &format!("{{}}], {call}")),
        largest("{\"type\":\"text\",\"text\":\"a\"},", messages, "0]}]}"),
        largest("\\u0000", "{\"x\": \"", &format!("\", {call}")),
    ];
    let url = format!("{}/v1/chat/completions", host.url);
    thread::scope(|scope| {
        for body in bodies.iter().chain(&bodies) {
            scope.spawn(|| {
                let answer = http::post_bytes(&url, "application/json", body);
                assert!([400, 404, 408, 503].contains(&answer.status), "{}", answer.text);
                assert!(!answer.error_code().is_empty());
            });
        }
    });
    check(&host, resident);
}

#[test]
fn bodies_that_never_end_share_one_budget() {
    let (host, resident) = poor();
    let address = host.url.strip_prefix("http://").unwrap();
    let head =
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 16777216\r\n\r\n";
    thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                // The host may end it in the middle; that is its answer.
                let _ = stream.write_all(head.as_bytes());
                let _ = stream.write_all(&vec![b' '; 15 << 20]);
                let _ = stream.read(&mut [0; 16]);
            });
        }
    });
    check(&host, resident);
}

fn guarded() -> Host {
    let mut guarded = config();
    guarded["access"] = json!({"keys": [{"name": "app", "key": "a-key-of-some-length"}]});
    Host::start_with(guarded)
}

/// Runs the program against a host.
fn run(host: &Host, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_signalbox-under-test"))
        .args(arguments)
        .env("SIGNALBOX_URL", &host.url)
        .env_remove("SIGNALBOX_API_KEY")
        .output()
        .unwrap()
}

#[test]
fn clients_bring_their_key() {
    let host = guarded();
    let (prompt, answer) = &recorded("phi4_fast")[0];
    let refused = run(&host, &["chat", prompt]);
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && message.contains("missing_api_key"), "{message}");
    let key = ["--key", "a-key-of-some-length"];
    let chat = run(&host, &[&["chat", "--model", "phi4_fast"], &key[..], &[prompt]].concat());
    assert_eq!(String::from_utf8(chat.stdout).unwrap().trim(), answer.trim());
    assert!(run(&host, &[&["experts", "list"], &key[..]].concat()).status.success());
    let decisions = host.admin_get("/decisions");
    let callers: Vec<&Value> =
        decisions["decisions"].as_array().unwrap().iter().map(|d| &d["caller"]).collect();
    assert_eq!(callers, ["key:app"]);
}
