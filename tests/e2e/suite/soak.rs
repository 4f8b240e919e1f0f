//! What is left of a long life: after a thousand swaps, a thousand traps and two hundred uploads the
//! idle host holds no more memory than after the first ten of each.
//!
//! Takes minutes, so it runs apart: `cargo test --release -p signalbox-e2e -- --ignored soak`.

use std::{fs, thread, time::Duration};

use guests::request_for;
use serde_json::{Value, json};

use crate::host::{Host, config, eventually, misbehaving_component};

const FIRST: usize = 10;
const SWAPS: usize = 1000;
const TRAPS: usize = 1000;
const UPLOADS: usize = 200;
/// How much more memory the idle host may hold at the end.
const GROWTH_MAX: f64 = 1.10;
/// Without calls for so long, the host is idle.
const REST: Duration = Duration::from_secs(3);

#[test]
#[ignore = "takes minutes; .ci/run has a step for it"]
fn soak_swaps_traps_and_uploads_leave_no_memory_behind() {
    let host = Host::start_with(settings());
    let router = active(&host, "route-by-domain");
    let other = host.deploy_example("round-robin");
    host.deploy("trapper", &misbehaving_component());
    let life = |range: [std::ops::Range<usize>; 3]| {
        let [swaps, traps, uploads] = range;
        swaps.for_each(|n| swap(&host, n, [&router, &other]));
        traps.for_each(|_| trap(&host));
        uploads.for_each(|n| upload(&host, n));
        resting(&host)
    };
    let early = life([0..FIRST, 0..FIRST, 0..FIRST]);
    let late = life([FIRST..SWAPS, FIRST..TRAPS, FIRST..UPLOADS]);
    println!("idle memory: {early} KiB after the first ten, {late} KiB at the end");
    assert!(late as f64 <= early as f64 * GROWTH_MAX, "{early} KiB grew to {late} KiB");
}

/// The trapper is only ever asked for its trouble, so that no breaker may open: what is measured is
/// a thousand traps, not one.
fn settings() -> Value {
    let mut settings = config();
    settings["policies"]["breaker_failures"] = json!(0);
    settings
}

fn active(host: &Host, policy: &str) -> String {
    let status = host.admin_get(&format!("/policies/{policy}"));
    status["active"].as_str().unwrap_or_else(|| panic!("no active revision: {status}")).to_owned()
}

fn swap(host: &Host, n: usize, [by_domain, round_robin]: [&str; 2]) {
    match n.is_multiple_of(2) {
        true => host.activate("route-by-domain", by_domain),
        false => host.activate("round-robin", round_robin),
    }
}

fn trap(host: &Host) {
    let answer = host.chat("phi4_fast", &request_for("pre", "trap"));
    assert_eq!(answer.status, 500, "{}", answer.text);
}

/// Another revision each time: a custom section, which changes nothing else, says `n`.
fn upload(host: &Host, n: usize) {
    let mut component = misbehaving_component();
    let [low, high] = (n as u16).to_le_bytes();
    component.extend([0, 4, 1, b'n', low, high]);
    host.upload("uploaded", &component).ok();
}

/// Resident memory in KiB, once it has stopped falling.
fn resting(host: &Host) -> u64 {
    eventually("the host is idle", REST * 10, || {
        host.get("/stats").ok()["requests_in_flight"] == 0
    });
    thread::sleep(REST);
    let status = fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
