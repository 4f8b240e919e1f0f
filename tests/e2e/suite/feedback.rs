//! Routers that learn from what came of their decisions, over real HTTP: who tells them, who may rate, and what a router that
//! learns badly costs.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use ::guests::{TROUBLES_IN_LEARNING, request_for};

use crate::{
    host::{Host, config, eventually, misbehaving_component},
    http::{Answer, chat_body, post_with},
};

/// For what is done aside, on a busy machine.
const SOON: Duration = Duration::from_secs(60);
const ANA: &str = "the-key-of-ana-is-this";
const BEN: &str = "the-key-of-ben-is-this";

/// What `/stats` says a policy was told.
fn told(host: &Host, policy: &str) -> Value {
    host.get("/stats").ok()["feedback"][policy].clone()
}

fn heard(host: &Host, policy: &str, count: u64) {
    eventually("the router is told", SOON, || told(host, policy)["told"] == count);
}

fn rate(host: &Host, decision: &str, key: &str, body: &Value) -> Answer {
    let url = format!("{}/decisions/{decision}/feedback", host.url);
    post_with(&url, &[("x-api-key", key)], body)
}

/// Who answers, and what the call's record is called.
fn chosen(host: &Host, text: &str) -> (String, String) {
    let answer = host.chat("auto", text);
    assert_eq!(answer.status, 200, "{}", answer.text);
    let (expert, decision) =
        (answer.header("x-signalbox-expert"), answer.header("x-signalbox-decision"));
    (expert.to_owned(), decision.to_owned())
}

#[test]
fn ratings_move_the_learning_router_and_stand_in_the_decision_log() {
    let mut config = config();
    config["policies"]["settings"] = json!({"learning-router": {"explore": "0"}});
    let host = Host::start_with(config);
    host.deploy_example("learning-router");
    assert_eq!(host.admin_get("/policies/learning-router")["learns"], true);
    let (first, decision) = chosen(&host, "Hello!");
    assert_eq!(first, "phi4_fast", "nothing is known: the operator's preference");
    heard(&host, "learning-router", 1);
    assert_eq!(chosen(&host, "Hello!").0, first, "it answered well");
    heard(&host, "learning-router", 2);
    // Ratings count four times as much as that there was an answer.
    let url = |decision: &str| format!("/decisions/{decision}/feedback");
    let bad = json!({"rating": -1, "note": "wrong\nlanguage"});
    assert_eq!(host.post(&url(&decision), &bad).status, 204);
    heard(&host, "learning-router", 3);
    let (other, _) = chosen(&host, "Hello!");
    assert_ne!(other, first, "the caller did not like it");
    let again = host.post(&url(&decision), &json!({"rating": 1}));
    assert_eq!((again.status, again.error_code().as_str()), (409, "decision_rated"));
    let log = |host: &Host| host.admin_get(&format!("/decisions/{decision}"));
    let rating = log(&host)["decision"]["rating"].clone();
    assert_eq!((&rating["value"], &rating["note"]), (&json!(-1.0), &json!("wrong\\nlanguage")));
    heard(&host, "learning-router", 4);
    // What was learned and what was said outlive the host.
    host.terminate();
    let host = host.restart();
    assert_eq!(log(&host)["decision"]["rating"], rating);
    assert_eq!(chosen(&host, "Hello!").0, other);
}

#[test]
fn a_call_is_rated_by_its_caller_alone_and_within_bounds() {
    let mut config = config();
    config["access"] = json!({"keys": [{"name": "ana", "key": ANA}, {"name": "ben", "key": BEN}]});
    let host = Host::start_with(config);
    let url = format!("{}/v1/chat/completions", host.url);
    let answer = post_with(&url, &[("x-api-key", ANA)], &chat_body("phi4_fast", "Hello!"));
    let decision = answer.header("x-signalbox-decision").to_owned();
    let check = |key: &str, decision: &str, body: Value, status: u16, code: &str| {
        let answer = rate(&host, decision, key, &body);
        assert_eq!((answer.status, answer.error_code().as_str()), (status, code), "{body}");
    };
    check(BEN, &decision, json!({"rating": 1}), 404, "decision_not_found");
    check("nobody", &decision, json!({"rating": 1}), 401, "invalid_api_key");
    check(ANA, "none", json!({"rating": 1}), 404, "decision_not_found");
    check(ANA, &decision, json!({"rating": 1.01}), 400, "invalid_value");
    check(ANA, &decision, json!({"rating": "good"}), 400, "invalid_value");
    check(ANA, &decision, json!({"note": "good"}), 400, "missing_parameter");
    check(ANA, &decision, json!({"rating": 1, "note": "x".repeat(1001)}), 400, "invalid_value");
    assert_eq!(rate(&host, &decision, ANA, &json!({"rating": 0.5})).status, 204);
    let record = host.admin_get(&format!("/decisions/{decision}"));
    assert_eq!(record["decision"]["rating"]["value"], 0.5);
    assert_eq!(record["decision"]["route"], "client", "no router is told, and it can be rated");
}

#[test]
fn a_router_that_learns_badly_disturbs_nobody_and_what_does_not_fit_is_counted() {
    let mut config = config();
    config["policies"] = json!({
        "on_failure": {"misbehaving": "refuse"},
        "breaker_failures": 1,
        "breaker": {"calls": 1, "callers": 1},
        "limits": {"feedback_queue": 1, "feedback_deadline_ms": 1000},
    });
    let host = Host::start_with(config);
    host.deploy("misbehaving", &misbehaving_component());
    for (index, trouble) in TROUBLES_IN_LEARNING.iter().enumerate() {
        let begun = Instant::now();
        let answer = host.chat("auto", &request_for("feedback", trouble));
        assert_eq!(answer.status, 200, "'{trouble}': {}", answer.text);
        assert!(begun.elapsed() < Duration::from_secs(5), "'{trouble}' was waited for");
        let failed = |told: &Value| -> u64 {
            let failures = told["failures"].as_object().unwrap().values();
            failures.filter_map(Value::as_u64).sum()
        };
        eventually("it has failed", SOON, || {
            let told = told(&host, "misbehaving");
            told["told"] == index + 1 && failed(&told) == told["told"]
        });
    }
    let stats = host.get("/stats").ok();
    assert_eq!(stats["feedback"]["misbehaving"]["told"], TROUBLES_IN_LEARNING.len());
    assert_eq!(stats["policies_out_of_service"], json!([]), "no breaker looks at it");
    // It learns for a second from each of these, and one waits.
    for _ in 0..6 {
        assert_eq!(host.chat("auto", &request_for("feedback", "loop")).status, 200);
    }
    let dropped = told(&host, "misbehaving")["dropped"]["queue"].as_u64();
    assert!(dropped > Some(0), "{:?}", told(&host, "misbehaving"));
    let metrics = host.get("/metrics").text;
    let line = "signalbox_policy_feedback_dropped_total{policy=\"misbehaving\",why=\"queue\"}";
    assert!(metrics.contains(line), "{metrics}");
    // A call whose client named the expert was nobody's decision.
    let before = told(&host, "misbehaving")["told"].clone();
    eventually("it is idle", SOON, || {
        let now = told(&host, "misbehaving");
        std::thread::sleep(Duration::from_secs(2));
        now == told(&host, "misbehaving")
    });
    let idle = told(&host, "misbehaving")["told"].clone();
    assert!(idle.as_u64() >= before.as_u64());
    assert_eq!(host.chat("phi4_fast", "Hello!").status, 200);
    assert_eq!(told(&host, "misbehaving")["told"], idle);
}
