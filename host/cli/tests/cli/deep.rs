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
    let report = |id: &str| {
        let experts = report["experts"].as_array().unwrap();
        &experts.iter().find(|expert| expert["id"] == id).unwrap()["proof"]
    };
    for (id, word) in [
        ("missing", "does not exist"),
        ("truncated", "fetch the file again"),
        ("unsupported", "Mamba"),
    ] {
        assert_eq!(report(id)["ok"], false);
        assert!(report(id)["problem"].as_str().unwrap().contains(word), "{:#}", report(id));
    }
    assert!(report("missing")["sha256"].is_null());
    for id in ["plain", "half", "good"] {
        let report = report(id);
        assert_eq!((&report["ok"], &report["problem"]), (&Value::Bool(true), &Value::Null), "{id}");
        assert_eq!(report["sha256"].as_str().unwrap().len(), 64);
        assert_eq!(
            (&report["template"], &report["tokens"]),
            (&"rendered".into(), &8.into()),
            "{report:#}"
        );
        assert!(!report["text"].as_str().unwrap().is_empty(), "{report:#}");
        assert!(
            report["load_s"].as_f64().unwrap() > 0.0
                && report["tokens_per_second"].as_f64() > Some(0.0)
        );
        let files = report["files"].as_array().unwrap();
        assert!(files.iter().any(|file| file["name"] == "config.json"), "{files:?}");
    }
    assert_eq!(report("plain")["sha256"], report("half")["sha256"], "the same folder");
    assert_ne!(report("truncated")["sha256"], report("good")["sha256"], "half a file is another");
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

/// One expert, tested; the report of it.
fn deep(config: &std::path::Path, flag: &str) -> (Option<i32>, Value) {
    let output = signalbox(&["check", flag, "--json", "--config", config.to_str().unwrap()]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.code(), report["experts"][0]["proof"].clone())
}

#[test]
fn a_file_that_changed_since_it_was_listed_is_named() {
    let folder = tempfile::tempdir().unwrap();
    copy("phi4_fast", &folder.path().join("phi"));
    let config = folder.path().join("host.json");
    let settings = serde_json::json!({ "experts": [expert("phi", "phi", "none", "auto")] });
    std::fs::write(&config, settings.to_string()).unwrap();
    let (code, report) = deep(&config, "--deep");
    assert_eq!(code, Some(0), "{report:#}");
    assert!(report["files"][0]["known_by"].is_null() && report["manifest"].is_null(), "{report:#}");

    let (code, written) = deep(&config, "--write-manifest");
    let manifest = folder.path().join("phi/signalbox-manifest.json");
    assert_eq!((code, written["manifest"].as_str()), (Some(0), manifest.to_str()));
    let (code, known) = deep(&config, "--deep");
    assert_eq!((code, &known["sha256"]), (Some(0), &report["sha256"]), "the manifest is no part");
    assert_eq!(known["files"][0]["known_by"], "signalbox-manifest.json");

    // One that is still whole, sound and well formed.
    let file = folder.path().join("phi/generation_config.json");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}\n")).unwrap();
    std::fs::remove_file(folder.path().join("phi/recorded.json")).unwrap();
    let (code, changed) = deep(&config, "--deep");
    let problem = changed["problem"].as_str().unwrap();
    assert_eq!((code, &changed["ok"]), (Some(1), &Value::Bool(false)));
    assert!(problem.contains("generation_config.json: its sha256 is "), "{problem}");
    assert!(problem.contains("but signalbox-manifest.json says "), "{problem}");
    assert!(problem.contains("recorded.json: signalbox-manifest.json names it"), "{problem}");
}
