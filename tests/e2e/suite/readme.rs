//! The README's `curl` lines, run as they stand against a host on the addresses they name.

use std::process::Command;

use crate::host::Host;

/// Lines of the README's shell blocks that begin with `curl`, continuations joined.
fn curl_lines() -> Vec<String> {
    let readme = include_str!("../../../README.md").replace("\\\n", " ");
    let mut inside = false;
    let mut found = Vec::new();
    for line in readme.lines() {
        if line.starts_with("```") {
            inside = line.starts_with("```sh");
        } else if inside && line.starts_with("curl ") {
            found.push(line.to_owned());
        }
    }
    found
}

#[test]
fn every_curl_line_works_when_pasted() {
    let host = Host::start();
    let lines = curl_lines();
    assert!(lines.len() >= 5, "the README promises five curl lines, it has {}", lines.len());
    for line in lines {
        let here = line
            .replace("http://127.0.0.1:8080", &host.url)
            .replace("http://127.0.0.1:8081", &host.admin)
            .replacen("curl ", "curl --fail-with-body --silent --show-error ", 1);
        let output = Command::new("sh").args(["-c", &here]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}\n{said}\n{complaint}");
        assert!(!said.trim().is_empty(), "{line} printed nothing");
    }
}
