//! `signalbox prepack`, as a program: it makes what loads use, once, and says where.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::broken::{copy, signalbox};

fn run(what: &Path, code: i32) -> Value {
    let output = signalbox(&["prepack", what.to_str().unwrap(), "--json"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_checkpoint_is_packed_once() {
    let folder = tempfile::tempdir().unwrap();
    let toy = folder.path().join("toy");
    copy("phi4_fast", &toy);
    let first = run(&toy, 0);
    let file = toy.join("signalbox-weights.pack");
    assert_eq!(
        (first[0]["made"].as_bool(), first[0]["file"].as_str()),
        (Some(true), file.to_str())
    );
    assert!(fs::metadata(&file).unwrap().len() >= first[0]["bytes"].as_u64().unwrap());
    assert_eq!(run(&toy, 0)[0]["made"], false);
    let said = signalbox(&["prepack", toy.to_str().unwrap()]).stdout;
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("was packed") && said.contains("signalbox-weights.pack"), "{said}");
}

#[test]
fn all_experts_of_a_configuration_are_packed_and_the_broken_named() {
    let folder = tempfile::tempdir().unwrap();
    copy("phi4_fast", &folder.path().join("toy"));
    let config = folder.path().join("config.json");
    let write = |more: Value| {
        let experts = json!([
            { "expert_id": "nowhere", "model_path": "nowhere" },
            { "expert_id": "toy", "model_path": "toy" },
        ]);
        fs::write(&config, json!({ "experts": experts, "pack_files": more }).to_string()).unwrap();
    };
    write(json!({ "cache_dir": "cache" }));
    let report = run(&config, 1);
    assert!(report[0]["error"].as_str().unwrap().contains("nowhere"), "{report}");
    assert_eq!(report[1]["made"], true, "{report}");

    write(json!({ "enabled": false }));
    let output = signalbox(&["prepack", config.to_str().unwrap()]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("pack_files.enabled"), "{message}");
    assert_eq!(output.status.code(), Some(1));
}
