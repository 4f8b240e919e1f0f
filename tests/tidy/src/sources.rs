//! Rules about single files.

use crate::tree::{Source, files, read};

/// Lines of code an example policy may have.
const EXAMPLE_LINES_MAX: usize = 80;
/// Where `unsafe` is ordinary, and the one file beside it.
const UNSAFE_ROOMS: [&str; 2] = ["host/kernels/", "host/policy/src/code.rs"];

/// Fails with every offender at once.
fn check(rule: &str, offends: impl Fn(&Source) -> bool) {
    let bad: Vec<_> = files(".rs").into_iter().filter(offends).map(|s| s.path).collect();
    assert!(bad.is_empty(), "{rule}:\n  {}", bad.join("\n  "));
}

fn code_lines(text: &str) -> usize {
    text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with("//")).count()
}

/// Whether a line of code (comments aside) holds `word` as a word of its own.
fn says(text: &str, word: &str) -> bool {
    text.lines().filter(|l| !l.trim_start().starts_with("//")).any(|line| {
        line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|token| token == word)
    })
}

#[test]
fn every_file_says_why_it_exists() {
    check("begin the file with a `//!` sentence", |s| !s.text.starts_with("//!"));
}

#[test]
fn examples_stay_small() {
    check(&format!("an example has at most {EXAMPLE_LINES_MAX} lines of code"), |s| {
        s.path.starts_with("examples/")
            && s.path.ends_with("src/lib.rs")
            && code_lines(&s.text) > EXAMPLE_LINES_MAX
    });
}

#[test]
fn modules_are_named_files() {
    check("name the file after its module", |s| s.path.ends_with("/mod.rs"));
}

#[test]
fn unsafe_stays_in_its_rooms() {
    check("leave it to the kernels", |s| {
        says(&s.text, concat!("un", "safe"))
            && !UNSAFE_ROOMS.iter().any(|room| s.path.starts_with(room))
    });
}

#[test]
fn nothing_is_left_lying_about() {
    // Spelled in halves, so that this file keeps its own rule.
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];
    check("finish it or open an issue", |s| words.iter().any(|word| s.text.contains(word)));
}

#[test]
fn the_pipeline_does_not_know_http() {
    check("the pipeline does not know HTTP", |s| {
        s.path.starts_with("host/server/src/pipeline")
            && ["axum", "hyper", "http"].iter().any(|word| says(&s.text, word))
    });
}

#[test]
fn every_example_has_an_end_to_end_test() {
    let suite: String = files(".rs")
        .into_iter()
        .filter(|s| s.path.starts_with("tests/e2e/"))
        .map(|s| s.text)
        .collect();
    for line in read("examples/README.md").lines().filter(|l| l.starts_with("| [`")) {
        let name = line.split('`').nth(1).unwrap();
        assert!(suite.contains(&format!("\"{name}\"")), "no end-to-end test names {name}");
    }
}
