//! The host outlives its surroundings: logs that nobody can write or read, signals that mean nothing.

use std::{fs::File, io::pipe, process::Stdio, time::Duration};

use serde_json::json;

use crate::{
    answers::recorded,
    host::{Host, config, eventually},
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
    eventually("lines are dropped and counted", PATIENCE, || {
        assert_eq!(&host.ask("phi4_fast", prompt), answer);
        host.admin_get("/policies");
        lines_dropped(&host) > 0
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
