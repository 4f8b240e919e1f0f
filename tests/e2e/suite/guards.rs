//! A guard fails closed: nothing that clients send, no damage on disk and no restart lets calls pass
//! a policy unexamined that is in force with the failure mode `refuse`.

use std::{fs, path::Path, time::Duration};

use ::guests::request_for;
use serde_json::{Value, json};

use crate::{
    host::{Host, config, eventually, misbehaving_component},
    http::{self, Answer},
};

/// For what happens aside, on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// A host that notices failures after few calls, and does not try again while a test runs.
fn host(policies: Value) -> Host {
    let mut config = config();
    config["policies"] = policies;
    config["policies"]["breaker"] = json!({"failures": 4, "calls": 4, "cooldown_ms": 3_600_000});
    Host::start_with(config)
}

/// The same trouble, asked for by callers at different addresses.
fn ask_from_many(host: &Host, hook: &str, trouble: &str) {
    let url = format!("{}/v1/chat/completions", host.url);
    let body = http::chat_body("auto", &request_for(hook, trouble));
    for caller in 2..8 {
        http::post_from([127, 0, 0, caller], &url, &body);
    }
}

fn hello(host: &Host) -> Answer {
    host.chat("auto", "Hello!")
}

/// Calls are refused for this reason, and none gets through before.
fn refused(host: &Host, code: &str) {
    eventually(code, SOON, || {
        let answer = hello(host);
        assert_ne!(answer.status, 200, "a call got through: {}", answer.text);
        answer.status == 503 && answer.error_code() == code
    });
}

/// Whether `/ready` names the hook of the policy as out of service.
fn degraded(host: &Host, policy: &str, hook: &str) -> bool {
    let ready = host.get("/ready").json();
    let degraded = ready["degraded"].as_array().unwrap();
    degraded.iter().any(|out| out["policy"] == policy && out["hook"] == hook)
}

#[test]
fn huge_messages_of_one_client_leave_the_guard_in_force() {
    let host = Host::start();
    host.deploy_example("redact-pii");
    for _ in 0..6 {
        host.chat("phi4_fast", &format!("ana@example.com {}", "1 ".repeat(3_000_000)));
    }
    let examined = |host: &Host| {
        let status = host.admin_get("/policies/redact-pii");
        status["counters"]["pre"]["calls"].as_u64().unwrap()
    };
    let before = examined(&host);
    hello(&host).ok();
    assert_eq!(examined(&host), before + 1, "the next call is examined");
    let ready = host.get("/ready").ok();
    assert_eq!((&ready["ready"], &ready["degraded"]), (&json!(true), &json!([])));
    assert_eq!(host.admin_get("/pipeline")["pre"][0]["name"], "redact-pii");
}

#[test]
fn a_guard_that_fails_for_many_refuses_until_it_works_again() {
    let host = host(json!({}));
    host.deploy("misbehaving", &misbehaving_component());
    ask_from_many(&host, "pre", "trap");
    refused(&host, "policy_out_of_service");
    assert!(!hello(&host).header("retry-after").is_empty());
    let ready = host.get("/ready");
    assert_eq!(ready.status, 503);
    assert!(degraded(&host, "misbehaving", "pre") && !degraded(&host, "misbehaving", "post"));
    assert_eq!(host.get("/health").ok()["status"], "degraded");
    let metrics = host.get("/metrics").text;
    let gauge = "signalbox_policy_out_of_service{policy=\"misbehaving\",hook=\"pre\"} 1";
    assert!(metrics.contains(gauge), "{metrics}");
    assert!(metrics.contains("signalbox_policy_openings_total"), "{metrics}");
    let policy = host.admin_get("/policies/misbehaving");
    assert_eq!(policy["in_pipeline"], json!(["pre", "route", "post"]));

    let host = host.restart_after(|_| {});
    eventually("a restart examines the guard again", SOON, || hello(&host).status == 200);
    assert_eq!(host.admin_get("/pipeline")["pre"][0]["name"], "misbehaving");
}

#[test]
fn a_policy_that_tears_every_reply_is_taken_out_of_service() {
    let host = host(json!({}));
    host.deploy("misbehaving", &misbehaving_component());
    ask_from_many(&host, "post", "hold at the end");
    refused(&host, "policy_out_of_service");
    assert!(degraded(&host, "misbehaving", "post"));
}

#[test]
fn a_failing_router_gives_way_to_the_one_before() {
    let host = host(json!({}));
    host.deploy_example("round-robin");
    host.deploy("misbehaving", &misbehaving_component());
    ask_from_many(&host, "route", "trap");
    eventually("the router before routes again", SOON, || {
        host.admin_get("/pipeline")["route"]["name"] == "round-robin"
    });
    let answer = hello(&host);
    assert!(answer.header("x-signalbox-route").starts_with("round-robin@"));
    assert_eq!(host.admin_get("/pipeline")["pre"][0]["name"], "misbehaving");
    let failures = "signalbox_policy_failures_total{policy=\"misbehaving\",hook=\"route\"";
    let metrics = host.get("/metrics").text;
    assert!(metrics.contains(failures), "they stay counted: {metrics}");
}

/// Flips one bit in the middle of the only component.
fn flip(policies: &Path, revision: &str) {
    let file = policies.join("components").join(format!("{revision}.wasm"));
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
}

#[test]
fn a_damaged_guard_refuses_after_a_restart() {
    let host = Host::start();
    let revision = host.deploy_example("redact-pii");
    let host = host.restart_after(|policies| flip(policies, &revision));
    eventually("the host says that it is not ready", SOON, || {
        host.get("/ready").status == 503 && degraded(&host, "redact-pii", "pre")
    });
    refused(&host, "policy_out_of_service");
    let ready = host.get("/ready").text;
    assert!(ready.contains("is damaged; upload it again"), "{ready}");
    host.deploy_example("redact-pii");
    eventually("mended", SOON, || host.get("/ready").status == 200);
    hello(&host).ok();
}

#[test]
fn a_state_that_cannot_be_read_lets_nothing_through_until_an_operator_decides() {
    let mut host = Host::start();
    host.deploy_example("redact-pii");
    let whole = fs::read(host.policies_dir().join("state.json")).unwrap();
    let newer =
        String::from_utf8(whole.clone()).unwrap().replace("\"version\": 1", "\"version\": 2");
    let damages: [&[u8]; 4] = [b"", b"{}", &whole[..whole.len() / 2], newer.as_bytes()];
    for damage in damages {
        host = host.restart_after(|dir| fs::write(dir.join("state.json"), damage).unwrap());
        refused(&host, "policies_unreadable");
        let ready = host.get("/ready");
        assert!(ready.status == 503 && ready.text.contains("state.json"), "{}", ready.text);
    }
    host = host.restart_after(|dir| fs::write(dir.join("state.json"), &whole).unwrap());
    eventually("a mended state is as it was", SOON, || host.get("/ready").status == 200);
    assert_eq!(host.admin_get("/pipeline")["pre"][0]["name"], "redact-pii");

    host = host.restart_after(|dir| fs::write(dir.join("state.json"), b"?").unwrap());
    host.deploy_example("redact-pii");
    refused(&host, "policies_unreadable");
    host.admin_put("/pipeline", &json!({"pre": ["redact-pii"]})).ok();
    eventually("the operator has decided", SOON, || host.get("/ready").status == 200);
    hello(&host).ok();
    assert!(host.policies_dir().join("state.json.broken-1").exists());
}
