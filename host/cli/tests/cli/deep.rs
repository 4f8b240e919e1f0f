//! `signalbox check --deep`, as a program: every expert is hashed, loaded and made to speak, whatever the
//! others do.

use serde_json::Value;

use crate::broken::{Broken, copy, expert, signalbox};

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

/// One expert, proven; the report of it.
fn prove(config: &std::path::Path, flag: &str) -> (Option<i32>, Value) {
    let output = signalbox(&["check", flag, "--json", "--config", config.to_str().unwrap()]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.code(), report["experts"][0]["proof"].clone())
}

#[test]
fn a_file_that_changed_since_it_was_noted_is_named() {
    let folder = tempfile::tempdir().unwrap();
    copy("phi4_fast", &folder.path().join("phi"));
    let config = folder.path().join("host.json");
    let settings = serde_json::json!({ "experts": [expert("phi", "phi", "none", "auto")] });
    std::fs::write(&config, settings.to_string()).unwrap();
    let (code, proof) = prove(&config, "--deep");
    assert_eq!(code, Some(0), "{proof:#}");
    assert!(proof["files"][0]["known_by"].is_null() && proof["manifest"].is_null(), "{proof:#}");

    let (code, noted) = prove(&config, "--write-manifest");
    let manifest = folder.path().join("phi/signalbox-manifest.json");
    assert_eq!((code, noted["manifest"].as_str()), (Some(0), manifest.to_str()));
    let (code, known) = prove(&config, "--deep");
    assert_eq!((code, &known["sha256"]), (Some(0), &proof["sha256"]), "the manifest is no part");
    assert_eq!(known["files"][0]["known_by"], "signalbox-manifest.json");

    // One that is still whole, sound and well formed.
    let file = folder.path().join("phi/generation_config.json");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}\n")).unwrap();
    std::fs::remove_file(folder.path().join("phi/recorded.json")).unwrap();
    let (code, changed) = prove(&config, "--deep");
    let problem = changed["problem"].as_str().unwrap();
    assert_eq!((code, &changed["ok"]), (Some(1), &Value::Bool(false)));
    assert!(problem.contains("generation_config.json: its sha256 is "), "{problem}");
    assert!(problem.contains("but signalbox-manifest.json says "), "{problem}");
    assert!(problem.contains("recorded.json: signalbox-manifest.json names it"), "{problem}");
}
