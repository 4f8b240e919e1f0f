//! What a policy's author can do without a host.

use std::fs;

use serde_json::Value;

use crate::broken::signalbox;

#[test]
fn a_component_is_inspected_without_a_host() {
    let output = signalbox(&["policy", "--json", "inspect", "redact-pii"]);
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["hooks"], serde_json::json!(["pre", "post"]));
    let imports = shown["imports"].as_array().unwrap();
    let types = |import: &Value| import.as_str().unwrap().starts_with("signalbox:policy/types@");
    assert!(imports.iter().any(types), "{shown}");

    let folder = tempfile::tempdir().unwrap();
    let module = folder.path().join("old.wasm");
    fs::write(&module, b"\0asm\x01\0\0\0").unwrap();
    let output = signalbox(&["policy", "inspect", module.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        said.contains("old would be refused: this is a core module, not a component"),
        "{said}"
    );
}

#[test]
fn the_contract_is_handed_out_and_nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("wit");
    let hand_out = || signalbox(&["policy", "wit", dir.to_str().unwrap()]);
    assert!(hand_out().status.success());
    let types = dir.join("types.wit");
    assert!(fs::read_to_string(&types).unwrap().contains("package signalbox:policy@"));
    assert!(hand_out().status.success(), "the same again is no conflict");
    fs::write(&types, "mine").unwrap();
    assert!(!hand_out().status.success());
    assert_eq!(fs::read_to_string(&types).unwrap(), "mine");
}
