//! Traces over OTLP: a small receiver stands where a collector would, and one call is followed through the host.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    host::{Host, config, eventually},
    http::{self, chat_body},
};

const PATIENCE: Duration = Duration::from_secs(20);
/// As a client sends it: version, trace, the client's own span, sampled.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CLIENT: &str = "b7ad6b7169203331";

/// What was received, and the head of each request.
type Requests = Arc<Mutex<Vec<(String, Value)>>>;

/// Takes traces, and says that it did.
fn collector() -> (String, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Requests::default();
    let received = requests.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            received.lock().unwrap().push(request(stream.unwrap()));
        }
    });
    (url, requests)
}

fn request(mut stream: TcpStream) -> (String, Value) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(bytes) = line.to_lowercase().strip_prefix("content-length:") {
            length = bytes.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").unwrap();
    (head, serde_json::from_slice(&body).unwrap())
}

fn spans(requests: &Requests) -> Vec<Value> {
    let requests = requests.lock().unwrap();
    let bodies =
        requests.iter().map(|(_, body)| &body["resourceSpans"][0]["scopeSpans"][0]["spans"]);
    bodies.flat_map(|spans| spans.as_array().unwrap().clone()).collect()
}

fn attribute(span: &Value, key: &str) -> Value {
    let all = span["attributes"].as_array().unwrap();
    let found = all.iter().find(|attribute| attribute["key"] == key);
    found.map(|attribute| attribute["value"].clone()).unwrap_or_default()
}

fn named<'s>(spans: &'s [Value], name: &str) -> &'s Value {
    let found = spans.iter().find(|span| span["name"].as_str().unwrap().starts_with(name));
    found.unwrap_or_else(|| panic!("no span '{name}' in {spans:#?}"))
}

fn nanos(span: &Value, key: &str) -> u64 {
    span[key].as_str().unwrap().parse().unwrap()
}

fn traced(url: &str) -> Value {
    let mut config = config();
    config["lazy_loading"]["warmup_pool_size"] = json!(0);
    config["traces"] =
        json!({"otlp_endpoint": url, "otlp_headers": {"x-key": "k1"}, "gen_ai": "1.37"});
    config
}

#[test]
fn one_call_is_a_trace_with_its_parents_right() {
    let (url, requests) = collector();
    let host = Host::start_with(traced(&url));
    host.deploy_example("redact-pii");
    let parent = format!("00-{TRACE}-{CLIENT}-01");
    let secret = "Hello, what is a peculiar lighthouse?";
    let asked = http::post_with(
        &format!("{}/v1/chat/completions", host.url),
        &[("traceparent", &parent)],
        &chat_body("phi4_fast", secret),
    );
    let text = asked.ok()["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    eventually("the trace arrives", PATIENCE, || !spans(&requests).is_empty());

    let all = spans(&requests);
    assert!(all.iter().all(|span| span["traceId"] == TRACE), "{all:#?}");
    let call = named(&all, "chat phi4_fast");
    assert_eq!((&call["parentSpanId"], &call["kind"]), (&json!(CLIENT), &json!(2)));
    for (name, of) in [("pre redact-pii", call), ("post redact-pii", call), ("queue", call)] {
        assert_eq!(named(&all, name)["parentSpanId"], of["spanId"], "{name}");
    }
    let queue = named(&all, "queue");
    assert_eq!(named(&all, "load")["parentSpanId"], queue["spanId"], "it was cold");
    let (prefill, decode) = (named(&all, "prefill"), named(&all, "decode"));
    assert_eq!([&prefill["parentSpanId"], &decode["parentSpanId"]], [&call["spanId"]; 2]);
    assert_eq!(prefill["startTimeUnixNano"], queue["endTimeUnixNano"]);
    assert_eq!(decode["startTimeUnixNano"], prefill["endTimeUnixNano"]);
    for span in &all {
        let (begin, end) = (nanos(span, "startTimeUnixNano"), nanos(span, "endTimeUnixNano"));
        assert!(begin <= end && begin >= nanos(call, "startTimeUnixNano"), "{span}");
        assert!(end <= nanos(call, "endTimeUnixNano"), "{span} ends behind {call}");
    }
    assert_eq!(attribute(call, "gen_ai.provider.name"), json!({"stringValue": "signalbox"}));
    assert_eq!(attribute(call, "gen_ai.response.model"), json!({"stringValue": "phi4_fast"}));
    assert!(attribute(call, "gen_ai.usage.output_tokens")["intValue"].is_string(), "{call}");
    let (head, body) = requests.lock().unwrap()[0].clone();
    assert!(head.starts_with("POST /v1/traces HTTP/1.1"), "{head}");
    assert!(head.to_lowercase().contains("x-key: k1"), "{head}");
    let body = body.to_string();
    assert!(!body.contains("lighthouse") && !body.contains(text.trim()), "{body}");
}

#[test]
fn a_trace_that_nobody_wants_is_not_sent_and_a_refusal_is() {
    let (url, requests) = collector();
    let host = Host::start_with(traced(&url));
    let call = |flags: &str, model: &str| {
        let parent = format!("00-{TRACE}-{CLIENT}-{flags}");
        let url = format!("{}/v1/chat/completions", host.url);
        http::post_with(&url, &[("traceparent", &parent)], &chat_body(model, "Hello!"))
    };
    call("00", "phi4_fast").ok();
    assert_eq!(call("01", "nobody").status, 404);
    eventually("the refusal arrives", PATIENCE, || !spans(&requests).is_empty());
    let all = spans(&requests);
    assert_eq!(all.len(), 1, "{all:#?}");
    assert_eq!(attribute(&all[0], "signalbox.outcome"), json!({"stringValue": "refused"}));
}

#[test]
fn a_collector_that_is_gone_costs_one_line_and_a_counter() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let host = Host::start_logging(traced(&format!("http://{gone}")));
    (0..5).for_each(|_| drop(host.chat("phi4_fast", "Hello!").ok()));
    let lost = || {
        let metrics = host.get("/metrics").text;
        let found = metrics
            .lines()
            .find(|line| line.starts_with("signalbox_traces_dropped_total{why=\"send\"}"));
        found.is_some_and(|line| line.ends_with(" 5"))
    };
    eventually("all five are counted", PATIENCE, lost);
    assert_eq!(host.log().matches("traces can't be sent").count(), 1, "{}", host.log());
}

#[test]
fn no_call_waits_for_a_collector_that_hangs() {
    // Connections end in its backlog, and nothing answers them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = Host::start_with(traced(&format!("http://{}", silent.local_addr().unwrap())));
    host.chat("phi4_fast", "Hello!").ok();
    let began = Instant::now();
    (0..4).for_each(|_| drop(host.chat("phi4_fast", "Hello!").ok()));
    assert!(began.elapsed() < PATIENCE / 4, "{:?}", began.elapsed());
}
