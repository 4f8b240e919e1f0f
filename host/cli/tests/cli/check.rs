//! `signalbox check`, as a program: five broken experts are named with their mends, for people and
//! for scripts, and the exit code says that something failed.

use serde_json::Value;

use crate::broken::{Broken, signalbox};

fn check(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = signalbox(arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn all_five_broken_experts_are_named() {
    let broken = Broken::new();
    let (code, text, _) = check(&["check", "--config", broken.config()]);
    assert_eq!(code, Some(1), "{text}");
    for expert in ["missing", "truncated", "unsupported", "plain", "half"] {
        assert!(text.contains(expert), "{expert} is not named in\n{text}");
    }
    assert!(text.contains("3 of 6 experts can be served"), "{text}");
}

#[test]
fn scripts_get_codes_and_mends() {
    let broken = Broken::new();
    let (code, text, _) = check(&["check", "--json", "--config", broken.config()]);
    assert_eq!(code, Some(1));
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["ok"], false);
    let worst = |id: &str| {
        let experts = report["experts"].as_array().unwrap();
        let expert = experts.iter().find(|expert| expert["id"] == id).unwrap();
        let findings = expert["findings"].as_array().unwrap();
        let serious = findings.iter().find(|finding| finding["severity"] != "note");
        let serious = serious.unwrap_or_else(|| panic!("{id} has no finding: {expert:#}"));
        assert!(!serious["mend"].as_str().unwrap().is_empty(), "{serious:#}");
        assert!(!serious["code"].as_str().unwrap().is_empty(), "{serious:#}");
        serious["severity"].as_str().unwrap().to_owned()
    };
    assert_eq!(worst("missing"), "error");
    assert_eq!(worst("truncated"), "error");
    assert_eq!(worst("unsupported"), "error");
    assert_eq!(worst("plain"), "warning");
    assert_eq!(worst("half"), "warning");
    assert_eq!(report["experts"][5]["ok"], true, "{:#}", report["experts"][5]);
    assert_eq!(report["ignored"][0]["key"], "experts[].swap_space");
}

#[test]
fn a_configuration_with_mistakes_names_them_all() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.json");
    std::fs::write(&file, "{ \"experts\": [ { \"expert_idd\": \"a\" } ],\n \"chunk\": 1 }")
        .unwrap();
    let (code, _, message) = check(&["check", "--config", file.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    for expect in ["did you mean `expert_id`?", "model_path: is missing", "line 2: chunk: "] {
        assert!(message.contains(expect), "{expect} is not in\n{message}");
    }
    let (code, text, _) = check(&["check", "--json", "--config", file.to_str().unwrap()]);
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &report["ok"]), (Some(1), &Value::Bool(false)));
    assert!(report["mistakes"].as_array().unwrap().len() >= 3, "{report:#}");
}

#[test]
fn unknown_and_doubled_keys_are_warnings_and_mistakes_under_strict() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("old.json");
    let expert = r#"{ "expert_id": "a", "expert_id": "b", "model_path": "~/none", "fancy": 1 }"#;
    std::fs::write(&file, format!("{{ \"experts\": [ {expert} ] }}")).unwrap();
    let path = file.to_str().unwrap();
    let (_, text, _) = check(&["check", path]);
    for expect in ["experts[0].expert_id: is given twice", "experts[0].fancy: there is no such key"]
    {
        assert!(text.contains(expect), "{expect} is not in\n{text}");
    }
    assert!(!text.contains('~'), "{text}");
    let (_, text, _) = check(&["check", "--json", "--config", path]);
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["warnings"].as_array().unwrap().len(), 2, "{report:#}");
    assert_eq!(report["experts"][0]["id"], "b");
    let (code, _, message) = check(&["check", "--strict", path]);
    assert_eq!(code, Some(1));
    assert!(message.contains("can't be used: 2 mistakes"), "{message}");
}

#[test]
fn checkpoints_are_checked_without_a_configuration() {
    let toys = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/models");
    let (code, text, message) = check(&["check", &format!("{toys}/phi4_fast")]);
    assert_eq!(code, Some(0), "{text}{message}");
    assert!(text.contains("✓ phi4_fast"), "{text}");
    assert!(text.contains("a reply ends with <|endoftext|> (1073), <|end|> (1075)"), "{text}");
    let (code, text, _) = check(&["check", toys]);
    assert!(code == Some(0) && text.contains("5 of 5 experts can be served"), "{text}");
    let (code, _, message) = check(&["check", &format!("{toys}/lessons")]);
    assert!(code == Some(1) && message.contains("holds no checkpoint"), "{message}");
}

#[test]
fn a_missing_file_and_wrong_usage_differ() {
    let (code, _, message) = check(&["check", "--config", "nowhere.json"]);
    assert_eq!(code, Some(1));
    assert!(message.contains("nowhere.json can't be read"), "{message}");
    let (code, _, message) = check(&["check"]);
    assert_eq!(code, Some(2));
    assert!(message.contains("--config"), "{message}");
    assert_eq!(check(&["--help"]).0, Some(0));
}

#[test]
fn a_host_that_is_not_there_is_named() {
    let (code, _, message) = check(&["policy", "list", "--admin", "http://127.0.0.1:9"]);
    assert_eq!(code, Some(1));
    assert!(message.contains("no host answers at http://127.0.0.1:9"), "{message}");
}
