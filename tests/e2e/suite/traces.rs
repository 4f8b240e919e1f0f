//! Traces over OTLP: a small receiver stands where a collector would, and one call is followed through the host.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use ::guests::{ASKED, ASKS, request_for};

use crate::{
    embeddings::with_encoder,
    host::{Host, config, eventually, misbehaving_component},
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
    answering(&[])
}

/// Takes traces, and answers the first ones like this: with nothing at all, or with a status and a header.
fn answering(first: &[&'static str]) -> (String, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Requests::default();
    let received = requests.clone();
    let answers: Vec<&str> = first.to_vec();
    thread::spawn(move || {
        let answers = answers.into_iter().chain(std::iter::repeat("200 OK"));
        for (stream, answer) in listener.incoming().zip(answers) {
            received.lock().unwrap().push(request(stream.unwrap(), answer));
        }
    });
    (url, requests)
}

fn request(mut stream: TcpStream, answer: &str) -> (String, Value) {
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
    if !answer.is_empty() {
        let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 2\r\n\r\n{{}}");
        stream.write_all(answer.as_bytes()).unwrap();
    }
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
    eventually("all five are counted", 3 * PATIENCE, || dropped(&host) == 5);
    assert_eq!(host.log().matches("traces can't be sent").count(), 1, "{}", host.log());
}

/// Calls whose traces could not be sent.
fn dropped(host: &Host) -> u64 {
    let metrics = host.get("/metrics").text;
    let send = "signalbox_traces_dropped_total{why=\"send\"} ";
    let count = metrics.lines().find_map(|line| line.strip_prefix(send));
    count.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
}

#[test]
fn what_passes_is_sent_again_and_what_does_not_is_dropped() {
    let passing = ["503 Busy\r\nretry-after: 1", "", "429 Slower", "200 OK", "400 Wrong", "200 OK"];
    let (url, requests) = answering(&passing);
    let host = Host::start_with(traced(&url));
    let began = Instant::now();
    host.chat("phi4_fast", "Hello!").ok();
    let sent = || requests.lock().unwrap().len();
    eventually("it is taken at the fourth time", PATIENCE, || sent() == 4);
    assert!(began.elapsed() > Duration::from_secs(1), "the receiver said when");
    let bodies: Vec<Value> =
        requests.lock().unwrap().iter().map(|(_, body)| body.clone()).collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]), "the same trace each time");
    assert_eq!(dropped(&host), 0);
    host.chat("phi4_fast", "Hello!").ok();
    eventually("what is wrong is counted", PATIENCE, || dropped(&host) == 1);
    host.chat("phi4_fast", "Hello!").ok();
    eventually("the next one is taken", PATIENCE, || sent() == 6);
    assert_eq!(dropped(&host), 1);
}

#[test]
fn what_policies_ask_of_experts_stands_below_their_hooks() {
    let (url, requests) = collector();
    let mut config = traced(&url);
    config["policies"]["on_failure"] = json!({"asking": "refuse"});
    let host = Host::start_with(config);
    host.deploy("asking", &misbehaving_component());
    host.chat("phi4_fast", &request_for(ASKS.0, ASKS.1)).ok();
    eventually("the trace arrives", PATIENCE, || !spans(&requests).is_empty());
    let all = spans(&requests);
    let asked = all.iter().find(|span| attribute(span, "signalbox.import") != Value::Null);
    let asked = asked.unwrap_or_else(|| panic!("no ask in {all:#?}"));
    let hook = named(&all, "pre asking");
    assert_eq!(asked["parentSpanId"], hook["spanId"]);
    let text = |key: &str| attribute(asked, key)["stringValue"].clone();
    assert_eq!(asked["name"], format!("chat {ASKED}"));
    assert_eq!(text("signalbox.import"), "inference");
    assert_eq!(text("gen_ai.operation.name"), "chat");
    assert_eq!(text("gen_ai.response.model"), ASKED);
    assert_eq!(text("gen_ai.provider.name"), "signalbox");
    let tokens = attribute(asked, "gen_ai.usage.output_tokens")["intValue"].clone();
    assert!(tokens.as_str().unwrap().parse::<u32>().unwrap() > 0, "{asked}");
    assert!(nanos(asked, "startTimeUnixNano") >= nanos(hook, "startTimeUnixNano"));
    assert!(nanos(asked, "endTimeUnixNano") <= nanos(hook, "endTimeUnixNano"));
}

#[test]
fn vectors_and_rankings_are_traced_as_such() {
    let (url, requests) = collector();
    let mut config = with_encoder();
    config["traces"] = traced(&url)["traces"].clone();
    let host = Host::start_with(config);
    let texts = json!({"model": "minilm", "input": ["a harbour", "a secret lantern"]});
    let vectors = host.post("/v1/embeddings", &texts).ok();
    let documents =
        json!({"model": "minilm", "query": "boats", "documents": ["a harbour", "a hat"]});
    host.post("/v1/rerank", &documents).ok();
    eventually("both traces arrive", PATIENCE, || spans(&requests).len() > 1);
    let all = spans(&requests);
    for (name, operation) in [("embeddings minilm", "embeddings"), ("rerank minilm", "rerank")] {
        let span = named(&all, name);
        let text = |key: &str| attribute(span, key)["stringValue"].clone();
        assert_eq!((&span["kind"], text("gen_ai.operation.name")), (&json!(2), json!(operation)));
        assert_eq!(text("gen_ai.response.model"), "minilm");
        assert!(attribute(span, "gen_ai.usage.input_tokens")["intValue"].is_string(), "{span}");
    }
    let tokens = attribute(named(&all, "embeddings"), "gen_ai.usage.input_tokens");
    assert_eq!(tokens["intValue"], vectors["usage"]["prompt_tokens"].to_string());
    assert!(!json!(all).to_string().contains("lantern"));
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
