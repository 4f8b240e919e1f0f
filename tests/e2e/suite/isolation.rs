//! Guests disturb neither the host nor each other: they run on threads of their own, in rooms of
//! their own, and an honest call of any size passes the policies we ship.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use ::guests::request_for;

use crate::host::{Host, config, misbehaving_component};

/// Guests that loop at once.
const LOOPS: usize = 48;
/// What a request that runs no guest may take beside them, on a machine that builds meanwhile.
const AT_ONCE: Duration = Duration::from_secs(2);
/// What a call with a well-behaved guest may take beside them. One behind the other, the loops take
/// five times as long.
const SOON: Duration = Duration::from_secs(5);

fn limited(limits: &serde_json::Value) -> Host {
    let mut config = config();
    config["policies"] = json!({
        "limits": limits,
        "on_failure": {"misbehaving": "refuse"},
        "breaker_failures": 0,
    });
    Host::start_with(config)
}

#[test]
fn guests_that_loop_hold_up_neither_health_nor_other_calls() {
    let host = limited(&json!({"pre_deadline_ms": 500}));
    host.deploy("misbehaving", &misbehaving_component());
    let looping = request_for("pre", "loop");
    thread::scope(|scope| {
        let loops: Vec<_> =
            (0..LOOPS).map(|_| scope.spawn(|| host.chat("phi4_fast", &looping))).collect();
        for _ in 0..5 {
            let begun = Instant::now();
            assert_eq!(host.get("/health").status, 200);
            assert!(begun.elapsed() < AT_ONCE, "/health took {:?}", begun.elapsed());
            let begun = Instant::now();
            host.chat("phi4_fast", "Hello!").ok();
            assert!(begun.elapsed() < SOON, "a call took {:?}", begun.elapsed());
        }
        for call in loops {
            assert_eq!(call.join().unwrap().error_code(), "policy_deadline");
        }
    });
}

#[test]
fn a_call_without_room_for_its_sessions_is_turned_away_before_it_begins() {
    let host = limited(&json!({"sessions": 1}));
    host.deploy("misbehaving", &misbehaving_component());
    host.chat("phi4_fast", "Hello!").ok();
    host.deploy_example("redact-pii");
    let answer = host.chat("phi4_fast", "Hello!");
    assert_eq!((answer.status, answer.error_code().as_str()), (503, "policy_no_room"));
}

#[test]
fn the_largest_body_passes_the_guard() {
    let host = limited(&json!({}));
    host.deploy_example("redact-pii");
    let unit = "1 a@b.cd ";
    let text = unit.repeat((16 << 20) / unit.len() - 100);
    let answer = host.chat("phi4_fast", &text);
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert!(!answer.error_code().starts_with("policy_"), "{}", answer.text);
    let policies = host.admin_get("/policies");
    let guard = policies["policies"].as_array().unwrap().iter().find(|p| p["name"] == "redact-pii");
    let counters = &guard.unwrap()["counters"]["pre"];
    assert_eq!((&counters["calls"], &counters["failures"]), (&json!(1), &json!({})));
}
