//! A policy that asks another host: what the host answers stands before the question, a host that is not listed is not asked,
//! a redirect leads nowhere, and a host that is silent costs the call its context and no more.

use std::{
    io::{BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    host::{Host, config, content},
    http::{Answer, Events, Received, chat_body},
};

const QUESTION: &str = "What is the gauge of this line?";
/// A hook waits 3 s for the bridge; a busy machine takes its time for the rest.
const IN_TIME: Duration = Duration::from_secs(20);

/// How the bridge behaves.
#[derive(Clone, Copy)]
enum Bridge {
    Answers,
    Redirects,
    Hangs,
}

/// A bridge, its address, and how many requests it got.
fn bridge(how: Bridge) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (asked, at) = (Arc::<AtomicUsize>::default(), url.clone());
    let counted = asked.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (at, counted) = (at.clone(), counted.clone());
            thread::spawn(move || serve(stream.unwrap(), how, &at, &counted));
        }
    });
    (url, asked)
}

/// One exchange, as the predecessor's bridge has it.
fn serve(stream: TcpStream, how: Bridge, at: &str, asked: &AtomicUsize) {
    let mut reader = BufReader::new(stream);
    let Received { path, body, .. } = Received::read(&mut reader);
    asked.fetch_add(1, Ordering::SeqCst);
    let body: Value = serde_json::from_slice(&body).unwrap();
    let (status, head, said) = match how {
        Bridge::Hangs => {
            thread::sleep(Duration::from_secs(60));
            return;
        }
        Bridge::Redirects => ("302 Found", format!("location: {at}/elsewhere\r\n"), json!({})),
        Bridge::Answers => ("200 OK", String::new(), known(&path, &body)),
    };
    let said = said.to_string();
    let head = format!("HTTP/1.1 {status}\r\n{head}content-length: {}\r\n\r\n", said.len());
    // The host may hang up as soon as it has seen the status.
    let _ = reader.get_mut().write_all(format!("{head}{said}").as_bytes());
}

/// What the bridge knows.
fn known(path: &str, body: &Value) -> Value {
    match path {
        "/api/v1/embeddings" if body["text"] == QUESTION => json!({"embedding": [0.25, 0.5]}),
        "/api/v1/milvus/search" if body["vector"] == json!([0.25, 0.5]) => json!({"results": [
            {"text": "The gauge is 1435 mm, measured between the inner faces of the rails."},
            {"text": "Trains run hourly from six in the morning until midnight."},
        ]}),
        _ => json!({"error": format!("{path} is not asked like this")}),
    }
}

/// A host whose `rag-bridge` asks this bridge and may ask those.
fn host(url: &str, listed: &[&str]) -> Host {
    let mut config = config();
    config["policies"] = json!({
        "settings": {"rag-bridge": {"bridge-url": url}},
        "http_hosts": {"rag-bridge": listed},
    });
    let host = Host::start_with(config);
    host.deploy_example("rag-bridge");
    host
}

/// What the policy noted of a call.
fn note(host: &Host, answer: &Answer) -> String {
    let name = answer.header("x-signalbox-decision");
    let decision = host.admin_get(&format!("/decisions/{name}"));
    let note = &decision["decision"]["notes"][0];
    assert_eq!((&note["policy"], &note["key"]), (&json!("rag-bridge"), &json!("rag")));
    note["value"].as_str().unwrap().to_owned()
}

/// How often a request of the policy came to this end.
fn check_counted(host: &Host, result: &str, times: u32) {
    let metrics = host.get("/metrics").text;
    let line = format!(
        "signalbox_policy_http_requests_total{{policy=\"rag-bridge\",hook=\"pre\",result=\"{result}\"}} {times}"
    );
    assert!(metrics.contains(&line), "no '{line}' in {metrics}");
}

fn prompt_tokens(answer: Answer) -> (u64, String) {
    let answer = answer.ok();
    (answer["usage"]["prompt_tokens"].as_u64().unwrap(), content(&answer))
}

#[test]
fn what_a_bridge_knows_stands_before_the_question() {
    let (url, asked) = bridge(Bridge::Answers);
    let host = host(&url, &[&url]);
    let told = host.chat("phi4_fast", QUESTION);
    assert_eq!(note(&host, &told), "factual: 2 of 2 passages");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    check_counted(&host, "answered", 2);
    let (with, _) = prompt_tokens(told);
    let (said, _) = Events::open(&host.url, chat_body("phi4_fast", QUESTION)).finish();
    assert!(!said.is_empty() && asked.load(Ordering::SeqCst) == 4, "streams get it as well");
    host.admin_post("/policies/rag-bridge/deactivate", &json!({})).ok();
    let (without, _) = prompt_tokens(host.chat("phi4_fast", QUESTION));
    assert!(with > without + 40, "{with} tokens with context and {without} without");
}

#[test]
fn a_bridge_is_asked_where_it_is_listed_and_a_redirect_leads_nowhere() {
    let (url, asked) = bridge(Bridge::Answers);
    let unlisted = host(&url, &["https://example.com", "http://127.0.0.1:1"]);
    let told = unlisted.chat("phi4_fast", QUESTION);
    assert_eq!(note(&unlisted, &told), "factual: no context: the request may not be sent");
    let (_, plain) = prompt_tokens(told);
    assert_eq!(asked.load(Ordering::SeqCst), 0, "nobody was asked");
    check_counted(&unlisted, "denied", 1);
    let (url, asked) = bridge(Bridge::Redirects);
    let host = host(&url, &[&url]);
    let told = host.chat("phi4_fast", QUESTION);
    let answers = "factual: no context: the bridge answers 302 to /api/v1/embeddings";
    assert_eq!(note(&host, &told), answers);
    assert_eq!(asked.load(Ordering::SeqCst), 1, "it is not asked elsewhere");
    assert_eq!(prompt_tokens(told).1, plain);
}

#[test]
fn a_bridge_that_hangs_costs_the_call_its_context_only() {
    let (url, _) = bridge(Bridge::Hangs);
    let host = host(&url, &[&url]);
    let began = Instant::now();
    let told = host.chat("phi4_fast", QUESTION);
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(3) && took < IN_TIME, "{took:?}");
    assert_eq!(note(&host, &told), "factual: no context: there was no answer in time");
    check_counted(&host, "late", 1);
    assert!(!prompt_tokens(told).1.is_empty());
    let policy = host.admin_get("/policies/rag-bridge");
    let counters = &policy["counters"]["pre"];
    assert!(counters["guest_us"].as_u64() < Some(1_000_000), "waiting is not its own: {counters}");
    assert_eq!(counters["http_requests"], json!({"late": 1}));
}
