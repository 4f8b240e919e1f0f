//! `signalbox eval`, as a program: it says what transformers says of the toys, writes what it sees, and
//! its verdict on a reference is its exit code.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::broken::{edit, signalbox, toy};

fn eval(model: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let model = toy(model);
    let arguments = [&["eval", "--model", model.to_str().unwrap()], more].concat();
    let output = signalbox(&arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A run that has to succeed, for scripts.
fn scored(model: &str, more: &[&str]) -> Value {
    let (code, text, message) = eval(model, &[more, &["--json"]].concat());
    assert_eq!(code, Some(0), "{text}{message}");
    serde_json::from_str(&text).unwrap()
}

fn listed(ids: &[u64]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[test]
fn recorded_answers_are_the_most_likely_ones() {
    for model in ["phi4_fast", "mistral_balanced", "qwen_coder", "aya_expanse_multilingual"] {
        let recorded = fs::read(toy(model).join("recorded.json")).unwrap();
        let recorded: Value = serde_json::from_slice(&recorded).unwrap();
        let entry = &recorded["entries"][0];
        let ids = |key: &str| -> Vec<u64> { serde_json::from_value(entry[key].clone()).unwrap() };
        let (prompt, answer) = (ids("prompt_ids"), ids("answer_ids"));
        let all = [prompt.clone(), answer.clone()].concat();
        for path in [&[][..], &["--exact", "--chunk", "7", "--threads", "1"]] {
            let given = listed(&all);
            let report = scored(model, &[&["--ids", &given], path].concat());
            let top1: Vec<u64> = serde_json::from_value(report["top1"].clone()).unwrap();
            assert_eq!(top1[prompt.len() - 1..all.len() - 1], answer, "{model} {path:?}");
            let nll: Vec<f64> = serde_json::from_value(report["nll"].clone()).unwrap();
            assert_eq!(nll.len(), all.len() - 1);
            let mean = nll.iter().sum::<f64>() / nll.len() as f64;
            let perplexity = report["perplexity"].as_f64().unwrap();
            assert!((perplexity - mean.exp()).abs() < 1e-9 * perplexity, "{perplexity} of {mean}");
        }
    }
}

#[test]
fn logits_are_written_whole_and_compared() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("logits.json");
    let written = file.to_str().unwrap();
    scored("phi4_fast", &["--ids", "5,6,7,8,9", "--exact", "--logits", written]);
    let logits: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(logits["ids"], json!([5, 6, 7, 8, 9]));
    assert_eq!(logits["logits"].as_array().unwrap().len(), 5);
    for path in
        [&["--exact"][..], &["--exact", "--chunk", "2"], &["--chunk", "1", "--threads", "2"]]
    {
        let report = scored("phi4_fast", &[&["--expect", written], path].concat());
        assert_eq!(report["comparison"]["ok"], true, "{path:?}: {:#}", report["comparison"]);
        assert_eq!(report["comparison"]["top1_agreement"], 1.0);
    }
    check_spoilt(&file);
}

/// A reference that is a little off is reported as such.
fn check_spoilt(file: &Path) {
    edit(file, |logits| {
        let number = &mut logits["logits"][3][0];
        *number = json!(number.as_f64().unwrap() + 1.0);
    });
    let (code, text, message) = eval("phi4_fast", &["--expect", file.to_str().unwrap(), "--exact"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("against the reference: relative error"), "{text}");
    assert!(message.contains("out of bounds: a relative error of"), "{message}");
    assert!(message.contains("at position 3, above 1e-4"), "{message}");
}

#[test]
fn people_get_a_line_per_position() {
    let (code, text, _) = eval("qwen_coder", &["--text", "def add(a, b):"]);
    assert_eq!(code, Some(0), "{text}");
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].contains("serving path") && lines[0].contains("all at once"), "{text}");
    assert_eq!(lines[1].split_whitespace().collect::<Vec<_>>(), ["position", "id", "top-1", "nll"]);
    assert!(lines[2].trim_start().starts_with("0 ") && lines[2].ends_with('-'), "{text}");
    assert!(text.contains("perplexity ") && text.contains("tokens/s"), "{text}");
}

#[test]
fn what_can_not_be_scored_is_named() {
    let check = |arguments: &[&str], code: i32, word: &str| {
        let (is, _, message) = eval("phi4_fast", arguments);
        assert_eq!(is, Some(code), "{arguments:?}: {message}");
        assert!(message.contains(word), "{arguments:?}: no '{word}' in {message}");
    };
    check(&[], 2, "--ids");
    check(&["--ids", "1", "--text", "a"], 2, "cannot be used with");
    check(&["--ids", "1", "--threads", "0"], 2, "--threads");
    check(&["--ids", "1,99999999"], 1, "there is no token 99999999");
    check(&["--text", ""], 1, "no tokens to score");
    check(&["--ids-file", "nowhere.json"], 1, "nowhere.json can't be read");
    check(&["--ids", "1", "--image", "nowhere.png"], 1, "nowhere.png can't be read");
    check(
        &["--ids", "1", "--logits", "nowhere/logits.json"],
        1,
        "nowhere/logits.json can't be written",
    );
    let output = signalbox(&["eval", "--model", "nowhere", "--ids", "1"]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(message.contains("nowhere: there is no such file"), "{message}");
}
