//! Policies that loop, crash, hoard and lie: the call ends by its failure mode, in time, and the next
//! call is fine.

use std::time::{Duration, Instant};

use serde_json::json;

use ::guests::{TROUBLES, request_for};

use crate::host::{Host, config, eventually, misbehaving_component};

/// The deadline of a hook and the time of a toy's answer, with room for a busy machine.
const IN_TIME: Duration = Duration::from_secs(5);

fn host_where_failure_means(mode: &str) -> Host {
    let mut config = config();
    config["policies"] = json!({"on_failure": {"misbehaving": mode}, "breaker_failures": 0});
    let host = Host::start_with(config);
    host.deploy("misbehaving", &misbehaving_component());
    host
}

/// Asks for one trouble; the answer must come in time.
fn ask_for(host: &Host, hook: &str, trouble: &str) -> crate::http::Answer {
    let begun = Instant::now();
    let answer = host.chat("auto", &request_for(hook, trouble));
    let took = begun.elapsed();
    assert!(took < IN_TIME, "'{trouble}' in {hook} took {took:?}");
    answer
}

#[test]
fn refusing_ends_the_call_and_names_the_policy() {
    let host = host_where_failure_means("refuse");
    for (hook, trouble) in TROUBLES {
        let answer = ask_for(&host, hook, trouble);
        let code = answer.error_code();
        assert!(code.starts_with("policy_"), "'{trouble}' in {hook}: {}", answer.text);
        assert_eq!(answer.status, 500, "'{trouble}' in {hook}");
        assert!(answer.text.contains("misbehaving@"), "whose is it? {}", answer.text);
        assert_eq!(host.chat("auto", "Hello!").status, 200, "after '{trouble}' in {hook}");
    }
}

#[test]
fn skipping_goes_on_without_the_policy() {
    let host = host_where_failure_means("skip");
    for (hook, trouble) in TROUBLES {
        let answer = ask_for(&host, hook, trouble);
        assert_eq!(answer.status, 200, "'{trouble}' in {hook}: {}", answer.text);
        assert!(answer.text.len() < 1 << 20, "'{trouble}' in {hook} reached the client");
    }
}

#[test]
fn a_revision_that_keeps_failing_makes_room_for_the_last_good_one() {
    let mut config = config();
    let breaker = json!({"calls": 3, "callers": 1});
    config["policies"] = json!({
        "on_failure": {"misbehaving": "refuse"}, "breaker_failures": 3, "breaker": breaker,
    });
    let host = Host::start_with(config);
    let good = host.deploy("misbehaving", &misbehaving_component());
    let mut other = misbehaving_component();
    other.extend([0, 3, 1, b'v', 1]); // a custom section, which changes nothing else
    host.deploy("misbehaving", &other);
    for _ in 0..3 {
        ask_for(&host, "route", "trap");
    }
    eventually("the revision is demoted", IN_TIME, || {
        host.admin_get("/policies/misbehaving")["active"] == json!(good)
    });
    let causes = host.admin_get("/activations").to_string();
    assert!(causes.contains("breaker"), "operators are not message: {causes}");
    assert_eq!(host.chat("auto", "Hello!").status, 200);
}
