//! Everything that the host lends, used from JavaScript and from Python on a host: the answers are the same.

use std::{
    fs,
    io::{BufReader, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    thread,
};

use serde_json::{Value, json};

use super::{JAVASCRIPT, Language, PYTHON};
use crate::{
    embeddings::with_encoder,
    host::{Host, config, content},
    http::Received,
    journey::signalbox,
};

const NAME: &str = "asks";
/// What the policy imports of those interfaces that are not there for every component in its language.
const LENT: [&str; 10] = [
    "signalbox:policy/decide@",
    "signalbox:policy/embeddings@",
    "signalbox:policy/experts@",
    "signalbox:policy/inference@",
    "signalbox:policy/tokens@",
    "signalbox:policy/types@",
    "wasi:http/outgoing-handler@",
    "wasi:http/types@",
    "wasi:keyvalue/atomics@",
    "wasi:keyvalue/store@",
];

#[test]
#[ignore = "needs Node.js and npm's registry"]
fn javascript_has_what_the_host_lends() {
    asks_for_everything(&JAVASCRIPT, include_str!("asks.js"));
}

#[test]
#[ignore = "needs Python and its registry"]
fn python_has_what_the_host_lends() {
    asks_for_everything(&PYTHON, include_str!("asks.py"));
}

fn asks_for_everything(language: &Language, source: &str) {
    let url = words();
    let mut config = with_encoder();
    config["policies"] = json!({"limits": {"compile_cpu_s": 600}, "http_hosts": {NAME: [url]}});
    let host = Host::start_with(config);
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| signalbox(&host, dir.path(), args);
    run(&["policy", "new", NAME, "--lang", language.name, "--hook", "pre"]);
    fs::write(dir.path().join(NAME).join(language.source), source).unwrap();
    let uses = ["decide", "embeddings", "experts", "http", "inference", "keyvalue", "tokens"];
    let manifest = json!({"name": NAME, "language": language.name, "hooks": ["pre"], "uses": uses});
    fs::write(dir.path().join(NAME).join("policy.json"), manifest.to_string()).unwrap();
    let shown: Value = serde_json::from_str(&run(&["policy", "--json", "inspect", NAME])).unwrap();
    let imports = shown["imports"].as_array().unwrap();
    let lent = |import: &&str| {
        import.starts_with("signalbox:") || LENT.iter().any(|lent| import.starts_with(lent))
    };
    let imported: Vec<_> = imports.iter().filter_map(Value::as_str).filter(lent).collect();
    assert_eq!(imported.len(), LENT.len(), "{imported:?}");
    run(&["policy", "push", NAME, "--activate"]);
    check_kept(&host);
    check_fetched(&host, &url);
    check_asked(&host);
}

/// What came of it, with the names of errors as both languages could have them.
fn said(host: &Host, what: &str) -> Value {
    let answer = host.chat("auto", what).ok();
    let text = content(&answer);
    let mut said: Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    for (_, value) in said.as_object_mut().unwrap() {
        let name = match value {
            Value::Array(of) if of.len() == 2 && of[1].is_string() => &mut of[0],
            name => name,
        };
        if let Value::String(text) = name {
            *text = text.to_lowercase().replace('-', "");
        }
    }
    said
}

fn check_kept(host: &Host) {
    let kept = |sum: u32, grows: &str| {
        json!({
            "keys": ["grows", "sum", "text"], "text": "kept", "sum": sum, "grows": grows,
            "bytes": [255], "there": [true, false, true],
            "refused": ["other", "the value is no whole number of 64 bits in decimal digits, so nothing can be added to it"],
        })
    };
    assert_eq!(said(host, "keeps"), kept(3, "x"));
    assert_eq!(said(host, "keeps"), kept(6, "xx"));
}

fn check_fetched(host: &Host, url: &str) {
    let large = "the request or its answer is too large";
    let nonsense = "'example.com' is no URL that begins with https:// or http://";
    assert_eq!(
        said(host, &format!("fetches {url}")),
        json!({
            "said": [201, "yes", {"bytes": 6012, "by": "me"}],
            "got": "get /?q",
            "long": ["toolarge", large],
            "elsewhere": ["denied", "the request may not be sent"],
            "nonsense": ["invalid", nonsense],
        })
    );
}

fn check_asked(host: &Host) {
    let unknown = json!(["unknownexpert", "no expert is called 'nobody'"]);
    let embedded = said(host, "embeds");
    assert!(embedded["length"].as_u64() > Some(1), "{embedded}");
    assert_eq!((&embedded["same"], &embedded["unknown"]), (&json!(true), &unknown));
    assert_eq!(embedded["wrong"], "noembeddingexpert");

    let plain = host.chat("phi4_fast", "Hello!").ok();
    let asked = said(host, "asks Hello!");
    assert_eq!(
        asked["said"],
        json!([
            content(&plain),
            "phi4_fast",
            "stop",
            plain["usage"]["prompt_tokens"],
            plain["usage"]["completion_tokens"]
        ])
    );
    assert_eq!((&asked["unknown"], &asked["wrong"]), (&unknown, &json!("invalid")));

    let decided = said(host, "decides");
    assert_eq!(decided, json!({"labels": [2, 2], "whole": true, "unknown": unknown}));
    let counted = said(host, "counts");
    assert_eq!(counted, json!({"cached": true, "tokens": true, "unknown": unknown}));
}

/// A host that says what it was asked, and where it is.
fn words() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || answer(stream.unwrap()));
        }
    });
    url
}

fn answer(stream: TcpStream) {
    let mut reader = BufReader::new(stream);
    let asked = Received::read(&mut reader);
    let said = match asked.method.as_str() {
        "GET" => format!("get {}", asked.path),
        _ => json!({"bytes": asked.body.len(), "by": asked.header("x-asks")}).to_string(),
    };
    let status = if asked.method == "GET" { "200 OK" } else { "201 Created" };
    let length = said.len();
    let head = format!("HTTP/1.1 {status}\r\nx-answers: yes\r\ncontent-length: {length}\r\n\r\n");
    // The host may hang up as soon as it has read enough.
    let _ = reader.get_mut().write_all(format!("{head}{said}").as_bytes());
}

#[test]
#[ignore = "needs Node.js and npm's registry"]
fn the_answer_cache_in_javascript_answers_what_was_asked_before() {
    remembers(&JAVASCRIPT);
}

#[test]
#[ignore = "needs Python and its registry"]
fn the_answer_cache_in_python_answers_what_was_asked_before() {
    remembers(&PYTHON);
}

fn remembers(language: &Language) {
    let mut config = config();
    config["policies"]["limits"] = json!({"compile_cpu_s": 600});
    let host = Host::start_with(config);
    let dir = tempfile::tempdir().unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/answer-cache");
    copy(&example.join(language.name), &dir.path().join("mine"));
    let run = |args: &[&str]| signalbox(&host, dir.path(), args);
    run(&["policy", "test", "mine"]);
    run(&["policy", "push", "mine", "--activate"]);
    let ask = || {
        let answer = host.chat("auto", "Hello!");
        let cached = answer.header("x-signalbox-route").starts_with("answer-cache@");
        (cached, content(&answer.ok()))
    };
    let (cached, said) = ask();
    assert!(!cached, "nothing was asked before");
    assert_eq!(ask(), (true, said));
}

/// A folder as it is to whoever follows its links.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if fs::metadata(&path).unwrap().is_file() {
            fs::copy(&path, &target).unwrap();
        } else if !path.ends_with("build") {
            copy(&path, &target);
        }
    }
}
