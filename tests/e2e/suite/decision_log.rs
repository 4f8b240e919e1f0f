//! The decision log: what operators read of a call when the host that answered it is gone.

use std::{fs, time::Duration};

use serde_json::{Value, json};

use crate::host::{EXPERTS, Host, config, eventually};

/// For what is written aside, on a busy machine.
const SOON: Duration = Duration::from_secs(30);
/// Nothing that a policy would quote as a whole.
const SECRET: &str = "my password is swordfish";

fn host(text: &str) -> Host {
    let mut config = config();
    config["decision_log"] = json!({ "text": text });
    Host::start_with(config)
}

/// Everything in the log's files.
fn written(host: &Host) -> String {
    let files = fs::read_dir(host.policies_dir().join("decisions")); // none before the first
    files
        .into_iter()
        .flatten()
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect()
}

/// Asks, kills the host when that is written down, and reads the decision from the next one.
fn decided(host: Host, prompt: &str) -> (Host, String, Value) {
    let answer = host.chat("auto", prompt);
    assert_eq!(answer.status, 200, "{}", answer.text);
    let name = answer.header("x-signalbox-decision").to_owned();
    eventually("the decision is written down", SOON, || written(&host).contains(&name));
    host.kill();
    let host = host.restart();
    let found = host.admin_get(&format!("/decisions/{name}"));
    (host, name, found)
}

#[test]
fn a_decision_is_explained_after_a_power_cut() {
    let host = host("full");
    let guard = host.deploy_example("prompt-guard");
    let (host, name, found) = decided(host, "Write a loop in Python");
    let decision = &found["decision"];
    assert_eq!(decision["plan"]["fallback"][0], decision["expert"]);
    assert!(decision["confidence"].is_number(), "{decision}");
    let hooks = decision["hooks"].as_array().unwrap();
    let ran: Vec<_> =
        hooks.iter().map(|run| (&run["hook"], &run["calls"], &run["ended"])).collect();
    let once = (&json!(1), &Value::Null);
    assert_eq!(ran, [(&json!("pre"), once.0, once.1), (&json!("route"), once.0, once.1)]);
    assert_eq!(hooks[0]["policy"], format!("prompt-guard@{}", &guard[..12]));
    assert_eq!(hooks[1]["policy"], decision["route"]);
    assert!(hooks.iter().all(|run| run["total_us"].as_u64() >= run["guest_us"].as_u64()));
    let candidates = decision["candidates"].as_array().unwrap();
    let resident = candidates.iter().filter(|expert| expert["state"] == "resident").count();
    assert_eq!((candidates.len(), resident), (EXPERTS.len(), EXPERTS.len()));
    assert_eq!(found["seen"]["call"]["messages"][0]["content"], "Write a loop in Python");
    assert_eq!(found["seen"]["menu"].as_array().unwrap().len(), EXPERTS.len());
    assert_eq!(host.admin_get("/decisions?limit=1")["decisions"][0]["decision"], name);
    host.chat("auto", "Hello!").ok();
    let listed = host.admin_get("/decisions?limit=2")["decisions"].clone();
    assert_eq!(listed[1]["decision"], name, "new ones come behind it: {listed}");
}

#[test]
fn what_calls_say_is_written_down_only_where_it_is_wanted() {
    let (host, _, found) = decided(host("off"), SECRET);
    assert_eq!(
        (&found["decision"]["input"]["sha256"], &found["seen"]),
        (&Value::Null, &Value::Null)
    );
    assert!(!written(&host).contains(SECRET));
    let (host, _, found) = decided(self::host("hashes"), SECRET);
    assert_eq!(found["decision"]["input"]["sha256"].as_str().unwrap().len(), 64);
    assert!(found["seen"].is_null() && !written(&host).contains(SECRET));
}

#[test]
fn a_disk_that_takes_nothing_ends_no_call() {
    let host = host("full").restart_after(|policies| {
        let folder = policies.join("decisions");
        fs::remove_dir_all(&folder).unwrap_or_default();
        fs::write(&folder, "a file where the folder should be").unwrap();
    });
    let answer = host.chat("auto", "Hello!");
    assert_eq!(answer.status, 200, "{}", answer.text);
    let name = answer.header("x-signalbox-decision");
    assert_eq!(host.admin_get(&format!("/decisions/{name}"))["decision"]["outcome"], "completed");
    eventually("what is lost is counted", SOON, || {
        let metrics = host.get("/metrics").text;
        metrics.contains("signalbox_decisions_dropped_total{why=\"disk\"} 1")
    });
}
