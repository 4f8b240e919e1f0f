//! The host outlives its surroundings: logs that nobody can write or read, signals that mean nothing.

use std::{
    fs::{self, File},
    io::{Read, Write, pipe},
    net::TcpStream,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use serde_json::json;

use crate::{
    answers::recorded,
    host::{EXPERTS, Host, config, eventually, models},
    http::{self, Events, chat_body},
};

const PATIENCE: Duration = Duration::from_secs(30);

/// A host that logs all there is to `stderr`.
fn chatty(stderr: impl Into<Stdio>) -> Host {
    let host = Host::launch(config(), tempfile::tempdir().unwrap(), |command| {
        command.env("RUST_LOG", "trace").stderr(stderr.into());
    });
    host.wait_ready();
    host
}

fn lines_dropped(host: &Host) -> u64 {
    let metrics = http::get(&format!("{}/metrics", host.admin)).text;
    let name = "signalbox_log_lines_dropped_total ";
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {metrics}")).trim().parse().unwrap()
}

/// Both planes go on, lines are counted, and the end is in order and in time.
fn check_goes_on(mut host: Host) {
    let (prompt, answer) = &recorded("phi4_fast")[0];
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    host.get("/experts");
                    host.admin_get("/policies");
                }
            });
        }
        eventually("lines are dropped and counted", 4 * PATIENCE, || lines_dropped(&host) > 0);
        done.store(true, Relaxed);
    });
    assert_eq!(&host.ask("phi4_fast", prompt), answer);
    host.terminate();
    assert_eq!(host.exit_within(PATIENCE).and_then(|status| status.code()), Some(0));
}

#[test]
fn a_full_disk_under_the_log_costs_lines_only() {
    check_goes_on(chatty(File::options().write(true).open("/dev/full").unwrap()));
}

#[test]
fn a_log_reader_that_died_costs_lines_only() {
    let (reader, writer) = pipe().unwrap();
    let host = chatty(writer);
    drop(reader);
    check_goes_on(host);
}

#[test]
fn a_log_reader_that_does_not_read_holds_nobody_up() {
    let (reader, writer) = pipe().unwrap();
    check_goes_on(chatty(writer));
    drop(reader);
}

#[test]
fn signals_that_ask_for_nothing_tear_no_stream() {
    let mut host = Host::start();
    let (prompt, answer) = &recorded("gemma3_multimodal")[0];
    let mut body = chat_body("gemma3_multimodal", prompt);
    body["max_tokens"] = json!(400);
    for signal in ["-HUP", "-PIPE", "-USR1", "-USR2", "-XFSZ", "-ALRM"] {
        let mut events = Events::open(&host.url, body.clone());
        let first = events.next_data().unwrap();
        host.signal(signal);
        let (rest, _) = events.finish();
        assert!(answer.ends_with(&rest), "{signal}: {first} and {rest:?} are not {answer:?}");
        assert!(host.exit_within(Duration::ZERO).is_none(), "{signal} ended the host");
    }
    host.terminate();
    assert_eq!(host.exit_within(PATIENCE).and_then(|status| status.code()), Some(0));
}

/// The program behind `prlimit` with these limits.
fn limited(command: &mut Command, limits: &[&str]) {
    let mut inner = Command::new("prlimit");
    inner.args(limits).arg("--").arg(command.get_program()).args(command.get_args());
    inner.stdin(Stdio::null()).stdout(Stdio::piped());
    *command = inner;
}

/// Experts that are loaded one at a time, each when it is asked.
fn cold() -> serde_json::Value {
    let mut config = config();
    config["lazy_loading"] =
        json!({"enabled": true, "warmup_pool_size": 0, "max_loaded_experts": 1});
    config
}

/// One chat on a connection of its own; the status line and what follows.
fn ask(stream: &mut TcpStream, model: &str, prompt: &str) -> String {
    let body = chat_body(model, prompt).to_string();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n\
                content-type: application/json";
    write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while !answer.ends_with(b"}") {
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "the connection ended: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..read]);
    }
    String::from_utf8(answer).unwrap()
}

#[test]
fn idle_connections_leave_descriptors_for_loading() {
    let host = Host::launch(cold(), tempfile::tempdir().unwrap(), |command| {
        limited(command, &["--nofile=128:128"]);
    });
    host.wait_ready();
    let address = host.url.strip_prefix("http://").unwrap();
    let mut mine = TcpStream::connect(address).unwrap();
    mine.set_read_timeout(Some(PATIENCE)).unwrap();
    let prompt = &recorded("phi4_fast")[0].0;
    assert!(ask(&mut mine, "phi4_fast", prompt).starts_with("HTTP/1.1 200"));
    let idle: Vec<_> = (0..160).map_while(|_| TcpStream::connect(address).ok()).collect();
    assert!(idle.len() > 100, "{} connections", idle.len());
    for (expert, _) in EXPERTS {
        let answer = ask(&mut mine, expert, prompt);
        assert!(answer.starts_with("HTTP/1.1 200"), "{expert}: {answer}");
    }
    drop(idle);
    assert!(
        host.admin_get("/experts")["experts"]
            .as_array()
            .unwrap()
            .iter()
            .all(|expert| { expert["state"] != "failed" })
    );
}

#[test]
fn a_checkpoint_that_is_overwritten_while_it_loads_ends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(models().join("gemma3_multimodal")).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let mut config = cold();
    config["experts"][3]["model_path"] = json!(folder.path());
    let host = Host::start_with(config);
    let shard = folder.path().join("model-00001-of-00002.safetensors");
    let whole = fs::read(&shard).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for bytes in [0, 8, 1000, whole.len() / 2].into_iter().cycle() {
                let file = File::options().write(true).open(&shard).unwrap();
                file.set_len(bytes as u64).unwrap();
                fs::write(&shard, &whole).unwrap();
                if done.load(Relaxed) {
                    break;
                }
            }
        });
        for _ in 0..15 {
            let answer = host.admin_post("/experts/gemma3_multimodal/load", &json!({}));
            assert!([200, 503].contains(&answer.status), "{}", answer.text);
            host.admin_post("/experts/gemma3_multimodal/unload", &json!({}));
        }
        done.store(true, Relaxed);
    });
    host.admin_post("/experts/gemma3_multimodal/load", &json!({})).ok();
    let (prompt, answer) = &recorded("gemma3_multimodal")[0];
    assert_eq!(&host.ask("gemma3_multimodal", prompt), answer);
}
