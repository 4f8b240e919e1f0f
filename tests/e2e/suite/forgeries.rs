//! Words of strangers on their way to logs, headers, errors and the decision log: nobody writes a line
//! there in somebody else's name, and clients read nothing of what is inside.

use std::time::Duration;

use ::guests::{FORGED, FORGERIES, request_for};
use serde_json::{Value, json};

use crate::{
    host::{Host, config, eventually, misbehaving_component},
    http::Answer,
};

/// The log is written by a thread of its own, behind the answers it speaks of.
const LOG_MAX: Duration = Duration::from_secs(20);

fn host() -> Host {
    let mut config = config();
    config["policies"] = json!({"on_failure": {"misbehaving": "refuse"}, "breaker_failures": 0});
    config["server_config"]["log_level"] = json!("info");
    let host = Host::start_logging(config);
    host.deploy("misbehaving", &misbehaving_component());
    host
}

/// Nothing that ends a line, moves a cursor or turns text around.
fn is_plain(text: &str) -> bool {
    !text.contains(['\r', '\n', '\u{1b}', '\u{202e}', '\u{2028}'])
}

/// Every line of the log is the host's own: it begins with a time and has a level.
fn check_log(log: &str) {
    for line in log.lines() {
        let mut words = line.split_whitespace();
        let time = words.next().unwrap_or_default();
        assert!(time.starts_with("20") && time.ends_with('Z'), "a forged line: {line}");
        assert_ne!(time, "2026-11-25T00:00:00.000000Z", "a forged line: {line}");
        let level = words.next().unwrap_or_default();
        assert!(["INFO", "WARN", "ERROR"].contains(&level), "no level: {line}");
        assert!(is_plain(line), "not plain: {line:?}");
    }
}

fn check_answer(answer: &Answer) {
    assert!(answer.headers.iter().all(|(name, _)| name != "x-forged"), "{:?}", answer.headers);
    for (name, value) in &answer.headers {
        assert!(value.bytes().all(|b| (b' '..=b'~').contains(&b)), "{name}: {value:?}");
    }
}

#[test]
fn a_policy_forges_no_line_and_no_header() {
    let host = host();
    for (hook, forgery) in FORGERIES {
        let answer = host.chat("auto", &request_for(hook, forgery));
        check_answer(&answer);
        let decision = host.admin_get("/decisions?limit=1")["decisions"][0].to_string();
        assert!(!decision.contains(r"\r\n2026") && is_plain(&decision), "{decision}");
        match answer.status {
            200 => {}
            422 => {
                assert_eq!(answer.error_code(), "policy_internal_panic");
                let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
                assert!(message.starts_with(r"no\r\n2026") && is_plain(&message), "{message:?}");
            }
            status => {
                assert_eq!(status, 500, "{}", answer.text);
                assert!(!answer.text.contains("forged"), "inner words left: {}", answer.text);
                assert!(host.grounds(&answer).contains("forged"), "operators can't find why");
            }
        }
    }
    let explained = host.chat("auto", &request_for("route", "explain with a forged line"));
    let reason = explained.header("x-signalbox-reason");
    assert!(reason.starts_with(r"no\r\n2026"), "{reason:?}");
    let forged = || host.log().matches("forged").count() >= FORGERIES.len() - 1;
    eventually("every forgery in the log", LOG_MAX, forged);
    check_log(&host.log());
}

#[test]
fn clients_read_a_code_and_an_id_and_operators_find_why() {
    let host = host();
    for (hook, trouble, inner) in [
        ("pre", "trap", "this guest was asked to trap"),
        ("route", "trap", "this guest was asked to trap"),
        ("post", "trap", "this guest was asked to trap"),
        ("route", "name nobody", "nobody"),
        ("pre", "exhaust memory", "bytes of memory"),
    ] {
        let answer = host.chat("auto", &request_for(hook, trouble));
        assert_eq!(answer.status, 500, "{}", answer.text);
        for word in [inner, "unreachable", "trapped:", "src/", "::"] {
            assert!(!answer.text.contains(word), "'{word}' left the host: {}", answer.text);
        }
        let grounds = host.grounds(&answer);
        assert!(grounds.contains(inner), "{grounds}");
        let id = answer.header("x-request-id").to_owned();
        let said = |line: &str| line.contains(&id) && line.contains(inner);
        let what = format!("a line of the log with {id} and '{inner}'");
        eventually(&what, LOG_MAX, || host.log().lines().any(said));
    }
}

#[test]
fn a_client_forges_no_line_and_makes_no_label() {
    let host = host();
    let hostile = format!("{FORGED}{}", "x".repeat(300_000));
    let named = host.chat(FORGED, "Hello");
    assert_eq!(named.error_code(), "model_not_found");
    let role = json!({"messages": [{"role": hostile, "content": "Hello"}]});
    let role = host.post("/v1/chat/completions", &role);
    let image = json!({"type": "image_url", "image_url": {"url": hostile}});
    let image = json!({"messages": [{"role": "user", "content": [image]}]});
    let image = host.post("/v1/chat/completions", &image);
    for answer in [&named, &role, &image] {
        assert!((400..500).contains(&answer.status), "{}", answer.text);
        let message: Value = answer.json()["error"]["message"].clone();
        assert!(is_plain(message.as_str().unwrap()), "{message:?}");
        assert!(answer.text.len() < 6000, "{} bytes", answer.text.len());
        check_answer(answer);
    }
    host.get("/forged-path%0a%1b");
    let decision = host.admin_get("/decisions?limit=1")["decisions"][0].clone();
    let asked = decision["asked_for"].as_str().unwrap();
    assert!(asked.len() < 200 && is_plain(asked), "{asked:?}");
    let metrics = host.get("/metrics").text;
    assert!(!metrics.contains("forged"), "a label of a stranger's: {metrics}");
    check_log(&host.log());
}
