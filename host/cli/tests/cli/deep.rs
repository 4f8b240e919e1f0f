//! `signalbox check --deep`, as a program: every expert is hashed, loaded and made to speak, whatever the
//! others do.

use serde_json::Value;

use crate::broken::{Broken, signalbox};

#[test]
fn one_bad_expert_stops_no_other() {
    let broken = Broken::new();
    let output = signalbox(&["check", "--deep", "--json", "--config", broken.config()]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["ok"], false);
    let proof = |id: &str| {
        let experts = report["experts"].as_array().unwrap();
        &experts.iter().find(|expert| expert["id"] == id).unwrap()["proof"]
    };
    for (id, word) in [
        ("missing", "does not exist"),
        ("truncated", "fetch the file again"),
        ("unsupported", "Mamba"),
    ] {
        assert_eq!(proof(id)["ok"], false);
        assert!(proof(id)["problem"].as_str().unwrap().contains(word), "{:#}", proof(id));
    }
    assert!(proof("missing")["sha256"].is_null());
    for id in ["plain", "half", "good"] {
        let proof = proof(id);
        assert_eq!((&proof["ok"], &proof["problem"]), (&Value::Bool(true), &Value::Null), "{id}");
        assert_eq!(proof["sha256"].as_str().unwrap().len(), 64);
        assert_eq!(
            (&proof["template"], &proof["tokens"]),
            (&"rendered".into(), &8.into()),
            "{proof:#}"
        );
        assert!(!proof["text"].as_str().unwrap().is_empty(), "{proof:#}");
        assert!(
            proof["load_s"].as_f64().unwrap() > 0.0
                && proof["tokens_per_second"].as_f64() > Some(0.0)
        );
        let files = proof["files"].as_array().unwrap();
        assert!(files.iter().any(|file| file["name"] == "config.json"), "{files:?}");
    }
    assert_eq!(proof("plain")["sha256"], proof("half")["sha256"], "the same folder");
    assert_ne!(proof("truncated")["sha256"], proof("good")["sha256"], "half a file is another");
}

#[test]
fn people_get_a_table_of_verdicts() {
    let broken = Broken::new();
    let output = signalbox(&["check", "--deep", "--config", broken.config()]);
    let text = String::from_utf8(output.stdout).unwrap();
    let line = |id: &str| {
        let of = |line: &&str| line.starts_with(&format!("{id} "));
        text.lines().find(of).unwrap_or_else(|| panic!("no line of {id} in\n{text}"))
    };
    assert!(line("expert").contains("sha256") && line("expert").ends_with("verdict"), "{text}");
    assert!(line("good").contains("rendered") && line("good").ends_with('✓'), "{text}");
    assert!(line("truncated").ends_with("fails"), "{text}");
    assert!(text.contains("✗ truncated: "), "{text}");
}
