//! The operators' plane: who may use it, and its levers.

use serde_json::json;

use crate::fixture::{GENERAL, STRICT, Server, recorded};

fn code(server: &Server, method: &str, path: &str, body: &[u8]) -> (u16, String) {
    let answer = server.operate(method, path, body);
    (answer.status, answer.code())
}

#[test]
fn a_configured_token_is_asked_for() {
    let server = Server::with(|settings| settings.admin_token = Some("correct-horse".to_owned()));
    let message = server.operate("GET", "/policies", b"");
    assert_eq!((message.status, message.code().as_str()), (401, "missing_admin_token"));
    assert_eq!(message.header("www-authenticate"), "Bearer");
    assert_eq!(code(&server, "GET", "/nowhere", b""), (401, "missing_admin_token".to_owned()));
}

#[test]
fn policies_that_are_not_there_and_uploads_that_are_no_good() {
    let server = Server::open(|_, policies| policies.limits.upload_bytes = 4096);
    let check = |method, path, body: &[u8], status, expect: &str| {
        assert_eq!(code(&server, method, path, body), (status, expect.to_owned()), "{path}");
    };
    assert_eq!(server.operate("GET", "/policies", b"").json(), json!({"policies": []}));
    check("GET", "/policies/none", b"", 404, "policy_not_found");
    check("POST", "/policies/none/activate", b"{}", 400, "missing_parameter");
    check("POST", "/policies/none/activate", br#"{"revision": "ab"}"#, 404, "policy_not_found");
    check("POST", "/policies/none/deactivate", b"", 404, "policy_not_found");
    check("POST", "/rollback", b"", 409, "nothing_to_roll_back");
    check("POST", "/policies/big", &[0; 5000], 413, "upload_too_large");
    check("PUT", "/pipeline", br#"{"pre": ["none"]}"#, 404, "policy_not_found");
    check("PUT", "/pipeline", br#"{"prae": []}"#, 400, "invalid_value");
    check("GET", "/decisions?limit=x", b"", 400, "invalid_value");
    check("GET", "/decisions/none", b"", 404, "decision_not_found");
    check("GET", "/nowhere", b"", 404, "unknown_endpoint");
    let garbage = server.operate("POST", "/policies/router?activate=true", b"not wasm");
    assert_eq!(garbage.status, 422, "{}", garbage.text);
    assert!(garbage.code().starts_with("upload_"), "{}", garbage.text);
    assert_eq!(server.operate("GET", "/policies", b"").json(), json!({"policies": []}));
    assert_eq!(server.operate("GET", "/pipeline", b"").json()["route"], json!(null));
}

#[test]
fn experts_are_loaded_and_unloaded_by_hand() {
    let server = Server::start();
    let loaded = server.operate("POST", &format!("/experts/{STRICT}/load"), b"").json();
    assert_eq!((&loaded["state"], &loaded["load_count"]), (&json!("resident"), &json!(1)));
    assert!(loaded["weights_address"].as_str().unwrap().starts_with("0x"), "{loaded}");
    let unloaded = server.operate("POST", &format!("/experts/{STRICT}/unload"), b"").json();
    assert_eq!((&unloaded["state"], &unloaded["unload_count"]), (&json!("cold"), &json!(1)));
    let pinned = server.operate("POST", &format!("/experts/{GENERAL}/pin"), b"").json();
    assert_eq!(pinned["pinned"], true);
    let unpinned = server.operate("POST", &format!("/experts/{GENERAL}/unpin"), b"").json();
    assert_eq!(unpinned["pinned"], false);
    assert_eq!(code(&server, "POST", "/experts/none/load", b"").1, "model_not_found");
}

#[test]
fn the_contract_is_told() {
    let told = Server::start().operate("GET", "/worlds", b"").json();
    let world = &told["worlds"][0];
    assert_eq!(
        (&world["package"], &world["version"]),
        (&json!("signalbox:policy"), &json!("0.2.3"))
    );
    assert_eq!(world["exports"][0], "signalbox:policy/pre@0.2.3");
    assert!(world["imports"].as_array().unwrap().contains(&json!("wasi:config/store@0.2.0-rc.1")));
}

#[test]
fn a_reply_names_its_decision() {
    let server = Server::start();
    let (prompt, ..) = recorded(GENERAL);
    let name = server.chat(&prompt, "").header("x-signalbox-decision").to_owned();
    let one = server.operate("GET", &format!("/decisions/{name}"), b"").json();
    assert_eq!(one["decision"]["decision"], json!(name));
    assert_eq!(one["decision"]["expert"], GENERAL);
    let other = server.chat(&prompt, "");
    assert_ne!(other.header("x-signalbox-decision"), name);
}

#[test]
fn decisions_say_what_was_chosen_and_how_it_ended() {
    let server = Server::start();
    let (prompt, _, prompt_tokens, _) = recorded(GENERAL);
    server.chat(&prompt, "");
    server.chat(&prompt, r#", "model": "nobody""#);
    let decisions = server.operate("GET", "/decisions", b"").json()["decisions"].clone();
    let (refused, answered) = (&decisions[0], &decisions[1]);
    assert_eq!((&refused["outcome"], &refused["asked_for"]), (&json!("refused"), &json!("nobody")));
    assert!(refused["error"].as_str().unwrap().contains("nobody"), "{refused}");
    assert_eq!(
        (&answered["outcome"], &answered["route"]),
        (&json!("completed"), &json!("default"))
    );
    assert_eq!(answered["plan"], json!({"expert": GENERAL}));
    assert_eq!(
        (&answered["expert"], &answered["prompt_tokens"]),
        (&json!(GENERAL), &json!(prompt_tokens))
    );
    assert!(answered["timings"]["first_text_ms"].as_f64().unwrap() > 0.0, "{answered}");
    let one = server.operate("GET", "/decisions?limit=1", b"").json();
    assert_eq!(one["decisions"].as_array().unwrap().len(), 1);
}
