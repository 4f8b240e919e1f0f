//! The program in odd surroundings: outputs that can't be written, folders that can't be used.

use std::{fs::File, process::Stdio};

use crate::broken::{Broken, command};

fn full() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

/// Exit code and standard error.
fn run(arguments: &[&str], stdout: Stdio) -> (Option<i32>, String) {
    let child = command(arguments).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn an_output_that_can_not_be_written_is_a_failure_in_words() {
    let broken = Broken::new();
    for arguments in [&["check", "--config", broken.config()][..], &["--help"]] {
        let (code, message) = run(arguments, full());
        assert_eq!(code, Some(1), "{message}");
        let expect = "signalbox: the output can't be written: No space left on device";
        assert!(message.starts_with(expect), "{message}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(run(&["--help"], writer.into()), (Some(0), String::new()));
}

#[test]
fn an_unwritable_standard_error_changes_no_exit_code() {
    let mut wrong = command(&["check", "--config", "nowhere.json"]);
    assert_eq!(wrong.stderr(full()).status().unwrap().code(), Some(1));
    let mut usage = command(&["check"]);
    assert_eq!(usage.stderr(full()).status().unwrap().code(), Some(2));
}

#[test]
fn a_data_folder_that_can_not_be_one_is_named() {
    let broken = Broken::new();
    let file = broken.config(); // as good as any
    let arguments = ["serve", "--config", file, "--port", "0", "--admin-addr", "127.0.0.1:0"];
    let arguments = [&arguments[..], &["--data-dir", file]].concat();
    let (code, message) = run(&arguments, Stdio::null());
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains(file), "{message}");
}

#[test]
fn an_endless_configuration_is_refused() {
    let (code, message) = run(&["check", "--config", "/dev/zero"], Stdio::null());
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("which no configuration has"), "{message}");
}
