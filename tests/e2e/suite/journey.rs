//! A policy author's first hour: new, build, push, activate, list, show, rollback, all through the
//! command line, in a folder that knows nothing of this repository.

use std::{path::Path, process::Command};

use crate::host::Host;

/// The command line in `dir`, for `host`.
pub(crate) fn command(host: &Host, dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_signalbox-under-test"));
    command.args(args).current_dir(dir).env("SIGNALBOX_ADMIN", &host.admin);
    command
}

/// Run the command line in `dir` against `host`; the answer is what it printed.
pub(crate) fn signalbox(host: &Host, dir: &Path, args: &[&str]) -> String {
    let output = command(host, dir, args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "signalbox {args:?}\n{said}\n{complaint}");
    said
}

#[test]
fn from_an_empty_folder_to_a_routed_answer_and_back() {
    let host = Host::start();
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| signalbox(&host, dir.path(), args);

    run(&["policy", "new", "my-router", "--hook", "route"]);
    run(&["policy", "build", "my-router"]);
    assert!(run(&["policy", "test", "my-router"]).contains("ok       route.json: code goes to"));
    run(&["policy", "push", "my-router", "--activate"]);
    assert!(host.chat("auto", "Hello!").header("x-signalbox-route").starts_with("my-router@"));

    assert!(run(&["policy", "list"]).contains("my-router"));
    assert!(run(&["policy", "show", "my-router"]).contains("route"));
    run(&["policy", "rollback"]);
    assert!(
        host.chat("auto", "Hello!").header("x-signalbox-route").starts_with("route-by-domain@")
    );
    run(&["policy", "activate", "my-router"]);
    assert!(host.chat("auto", "Hello!").header("x-signalbox-route").starts_with("my-router@"));
}
