//! `policy test`: a policy's cases under the limits of a host, without one.

use std::{fs, path::Path, process::Output};

use serde_json::Value;

use crate::broken::signalbox;

/// Runs the cases in `text` against a built-in example.
fn test(example: &str, text: &str, more: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("cases.json"), text).unwrap();
    run(example, folder.path(), more)
}

fn run(policy: &str, cases: &Path, more: &[&str]) -> Output {
    let fixed = ["policy", "test", policy, "--cases", cases.to_str().unwrap()];
    signalbox(&[&fixed, more].concat())
}

const BUDGET: &str = r#"[
    {
        "name": "a long prompt",
        "call": {"messages": [{"role": "user", "content": "one two three four"}]},
        "experts": [{"id": "a"}],
        "settings": {"prompt-tokens-max": "3"},
        "expect": {"refused": {"kind": "too_large"}, "call": null}
    },
    {
        "name": "a short one",
        "call": {"messages": [{"role": "user", "content": "one two"}]},
        "settings": {"prompt-tokens-max": "3", "reply-tokens-max": "7"},
        "expect": {"call": {"max_tokens": 7, "messages": [{"content": "one two"}]}}
    }
]"#;

#[test]
fn cases_with_settings_of_their_own_are_as_expected() {
    let output = test("token-budget", BUDGET, &["--json", "--repeat", "3"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let cases = told["cases"].as_array().unwrap();
    assert_eq!((cases.len(), told["compile_ms"].as_u64() > Some(0)), (2, true), "{told}");
    for case in cases {
        assert_eq!(case["ok"], true, "{case}");
        let cost = &case["hooks"]["pre"];
        assert_eq!((&cost["calls"], &cost["deadline_ms"]), (&1.into(), &1000.into()), "{cost}");
        assert!(cost["wall_us"].as_u64() > Some(0) && cost["guest_us"].is_u64(), "{cost}");
        let memory = cost["memory_bytes"].as_u64().unwrap();
        assert!((64 << 10..16 << 20).contains(&memory), "{cost}");
    }
}

#[test]
fn what_differs_is_shown_beside_what_was_expected() {
    let other = BUDGET.replace("\"max_tokens\": 7", "\"max_tokens\": 8");
    let output = test("token-budget", &other, &[]);
    let (out, said) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("1 of 2 cases not as expected"), "{said}");
    assert!(out.contains("ok       cases.json: a long prompt"), "{out}");
    assert!(out.contains("differs  cases.json: a short one"), "{out}");
    assert!(
        out.contains("call.max_tokens\n             expected 8\n             got      7"),
        "{out}"
    );
}

#[test]
fn a_router_and_a_reply_are_tried_as_a_host_does_it() {
    let routed = r#"{
        "call": {"messages": [{"role": "user", "content": "hi"}]},
        "experts": [{"id": "busy", "queue_depth": 2}, {"id": "free"}, {"id": "gone", "state": {"failed": "no file"}}],
        "expect": {"route": {"fallback": ["free", "busy"], "confidence": 1}}
    }"#;
    let output = test("round-robin", routed, &[]);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}");

    let redacted = r#"{
        "name": "in and out, across chunks",
        "call": {"messages": [{"role": "user", "content": "I am jane.doe@example.org"}]},
        "reply": {"chunks": ["Hello jane.d", "oe@example.org", ", how are you?"]},
        "expect": {
            "call": {"messages": [{"content": "I am [email]"}]},
            "reply": {"text": "Hello [email], how are you?", "stopped": false}
        }
    }"#;
    let output = test("redact-pii", redacted, &["--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success(), "{told}");
    assert_eq!(told["cases"][0]["hooks"]["post"]["calls"], 5, "a session, three pieces, the end");
}

#[test]
fn a_router_that_learns_is_told_what_came_of_a_case_before_the_next_one() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/learning-router/tests");
    let output = run("learning-router", &cases, &["--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success(), "{told}");
    let outcome = r#"{
        "call": {"messages": [{"role": "user", "content": "hi"}]},
        "experts": [{"id": "a"}],
        "outcome": {"end": {"failed": "expert"}},
        "expect": {"failed": {"hook": "feedback", "code": "policy_invalid_answer"}}
    }"#;
    let output = test("round-robin", outcome, &[]);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "it exports no feedback: {shown}");
}

#[test]
fn mistakes_in_cases_and_components_are_named() {
    let check = |policy: &str, text: &str, expect: &str| {
        let output = test(policy, text, &[]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1));
        assert!(said.contains(expect), "{said}");
    };
    check("round-robin", "[]", "has no cases; write one");
    check("round-robin", r#"{"call": {}}"#, "cases.json: missing field `messages`");
    let call = r#"{"call": {"messages": []}, "expect": {"answer": "x"}}"#;
    let rated =
        r#"{"call": {"messages": []}, "outcome": {"rating": 5}, "expect": {"answer": "x"}}"#;
    check("round-robin", rated, "a rating is -1 to 1, not 5");
    check("round-robi", call, "is no file, no folder and no built-in example");
    let folder = tempfile::tempdir().unwrap();
    let module = folder.path().join("old.wasm");
    fs::write(&module, b"\0asm\x01\0\0\0").unwrap();
    check(module.to_str().unwrap(), call, "this is a core module, not a component");
}

#[test]
fn a_profile_shows_where_a_policy_is_on_one_of_its_cases() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("cases.json"), BUDGET).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let written = elsewhere.path().join("profile.json");
    let profile = |case: &str| {
        let (cases, output) = (folder.path().to_str().unwrap(), written.to_str().unwrap());
        let fixed = ["policy", "profile", "token-budget", "--cases", cases, "--output", output];
        signalbox(&[&fixed[..], &["--seconds", "1", "--case", case]].concat())
    };
    let output = profile("a short one");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let profile_of: Value = serde_json::from_slice(&fs::read(&written).unwrap()).unwrap();
    let samples = &profile_of["threads"][0]["samples"]["length"];
    assert!(samples.as_u64() > Some(0), "{samples}");
    let told = profile_of.to_string();
    assert!(told.contains("token_budget") && told.contains("a short one"), "{told:.2000}");

    let said = profile("another").stderr;
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("there are \"a long prompt\", \"a short one\""), "{said}");
}
