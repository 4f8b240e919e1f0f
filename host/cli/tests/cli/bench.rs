//! `signalbox bench` and `signalbox roofline`, as programs: what they measure is there, and what can't be
//! measured is refused by name.

use serde_json::Value;

use crate::broken::{copy, signalbox};

fn report(arguments: &[&str]) -> Value {
    let output = signalbox(&[arguments, &["--json", "--threads", "2"]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    serde_json::from_str(&text).unwrap()
}

fn check_measured(report: &Value, keys: &[&str]) {
    for key in keys {
        assert!(report[key].as_f64().is_some_and(|number| number > 0.0), "{key} in {report}");
    }
    assert_eq!(report["threads"], 2);
    assert!(report["cpu"].is_string() && report["isa"].is_string(), "{report}");
}

#[test]
fn a_bench_names_speeds_and_what_share_of_the_machine_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let toy = folder.path().join("toy");
    copy("qwen_coder", &toy);
    let sizes = ["--prompt", "16", "--generate", "4", "--batch", "1,2", "--repeat", "1"];
    let report = report(&[&["bench", "--model", toy.to_str().unwrap()][..], &sizes].concat());
    let speeds =
        ["prefill_tokens_per_second", "decode_tokens_per_second", "load_ms", "packed_load_ms"];
    let shares = ["bytes_per_token", "read_gb_per_second", "read_bandwidth_percent"];
    check_measured(&report, &[&speeds[..], &shares, &["int8_peak_percent"]].concat());
    let batches: Vec<_> = report["batches"].as_array().unwrap().iter().collect();
    assert_eq!(batches.iter().map(|batch| &batch["batch"]).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_roofline_is_what_the_machine_allows() {
    check_measured(&report(&["roofline"]), &["read_gb_per_second", "int8_tops"]);
}

#[test]
fn instructions_can_be_chosen() {
    assert_eq!(report(&["roofline", "--isa", "scalar"])["isa"], "scalar");
    let refused = signalbox(&["--isa", "sse2", "roofline"]);
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(message.contains("this machine has scalar, "), "{message}");
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let toy = folder.path().join("toy");
    copy("qwen_coder", &toy);
    let check = |arguments: &[&str], code: i32, expect: &str| {
        let output = signalbox(&[&["bench"], arguments].concat());
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{message}");
        assert!(message.contains(expect), "{message}");
    };
    check(&[], 2, "--model");
    check(&["--synthetic", "gpt-5"], 2, "there are phi-4-mini-awq");
    check(&["--synthetic", "mistral-7b-awq:33"], 2, "mistral-7b-awq:33");
    check(&["--model", "/nowhere"], 1, "/nowhere");
    check(&["--model", toy.to_str().unwrap(), "--prompt", "100000"], 1, "less than 100000");
}
