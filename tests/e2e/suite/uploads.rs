//! Uploads that must be refused: each with its own code and a reason an author can act on, nothing
//! left behind, and the active revision untouched.

use std::fs;

use serde_json::json;

use crate::{
    host::{Host, config, example, misbehaving_component},
    http,
};

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

/// Components by what is wrong with them: bytes, code, and a word the reason must contain.
fn refused() -> Vec<(&'static str, Vec<u8>, u16, &'static str, &'static str)> {
    let torn = example("round-robin")[..1000].to_vec();
    let import = "(component (import \"wasi:nn/tensor@0.2.0\" (instance)))";
    vec![
        ("empty", Vec::new(), 422, "upload_empty", "empty"),
        ("text", b"print('hello')".to_vec(), 422, "upload_not_a_component", "component"),
        ("core module", wat("(module)"), 422, "upload_core_module", "wasm32-wasip2"),
        ("torn component", torn, 422, "upload_malformed", "component"),
        ("no hook", wat("(component)"), 422, "upload_no_hook", "route"),
        ("strange import", wat(import), 422, "upload_import_not_offered", "wasi:nn/tensor"),
        (
            "precompiled",
            b"\x7fELF\x02\x01\x01\0rest".to_vec(),
            422,
            "upload_precompiled",
            "compiled",
        ),
    ]
}

#[test]
fn refused_uploads_say_why_and_leave_nothing() {
    let host = Host::start();
    let before = (host.admin_get("/pipeline"), files(&host));
    for (name, bytes, status, code, word) in refused() {
        let answer = host.upload("newcomer", &bytes);
        assert_eq!(answer.error_code(), code, "{name}: {}", answer.text);
        assert_eq!(answer.status, status, "{name}");
        assert!(answer.text.contains(word), "{name}: no '{word}' in {}", answer.text);
        assert_eq!((host.admin_get("/pipeline"), files(&host)), before, "{name} left something");
    }
    let missing = http::get(&format!("{}/policies/newcomer", host.admin));
    assert_eq!((missing.status, missing.error_code().as_str()), (404, "policy_not_found"));
    assert_eq!(host.chat("auto", "Hello!").status, 200);
}

#[test]
fn a_component_that_fails_the_probe_is_refused() {
    let mut trapping = config();
    trapping["policies"]["settings"] =
        json!({"trapper": {"always": guests::request_for("route", "trap")}});
    let host = Host::start_with(trapping);
    let answer = host.upload("trapper", &misbehaving_component());
    assert_eq!((answer.status, answer.error_code().as_str()), (422, "upload_probe_failed"));
    assert!(answer.text.contains("asked to trap"), "the guest's own words: {}", answer.text);
    assert!(!host.admin_get("/policies").to_string().contains("trapper"));
}

#[test]
fn an_upload_over_the_limit_is_refused_by_size() {
    let mut small = config();
    small["policies"] = json!({"limits": {"upload_bytes": 1_000_000}});
    let host = Host::start_with(small);
    let answer = host.upload("large", &vec![0; 2_000_000]);
    assert_eq!((answer.status, answer.error_code().as_str()), (413, "upload_too_large"));
}

#[test]
fn names_and_revisions_are_checked() {
    let host = Host::start();
    let revision = json!({"revision": "feedfacefeed"});
    for (path, code) in [
        ("/policies/no-such-policy/activate", "policy_not_found"),
        ("/policies/route-by-domain/activate", "revision_not_found"),
    ] {
        let answer = host.admin_post(path, &revision);
        assert_eq!((answer.status, answer.error_code().as_str()), (404, code), "{path}");
    }
    let answer = host.upload("Not%20A%20Name", example("round-robin"));
    assert_eq!((answer.status, answer.error_code().as_str()), (400, "policy_name_invalid"));
}

#[test]
fn a_revision_that_may_do_more_waits_until_somebody_allows_it() {
    let host = Host::start();
    let first = host.deploy("sorter", example("round-robin"));
    let more = host.upload("sorter", example("route-by-domain")).ok()["revision"].clone();
    let activate = |body| host.admin_post("/policies/sorter/activate", &body);
    let answer = activate(json!({"revision": more}));
    assert_eq!((answer.status, answer.error_code().as_str()), (409, "revision_new_imports"));
    assert!(answer.text.contains("wasi:config/store"), "{}", answer.text);
    assert!(!answer.text.contains("wasi:io"), "nothing is behind it: {}", answer.text);
    assert_eq!(host.admin_get("/policies/sorter")["active"], json!(first));
    activate(json!({"revision": more, "allow_new_imports": true})).ok();
    activate(json!({"revision": first})).ok(); // it may do less
}

/// Everything in the policies folder, by name.
fn files(host: &Host) -> Vec<String> {
    fn walk(dir: &std::path::Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, found) } else { found.push(path.display().to_string()) }
        }
    }
    let mut found = Vec::new();
    walk(&host.policies_dir(), &mut found);
    found.sort();
    found
}
