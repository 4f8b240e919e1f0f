//! The configuration is read anew while the host serves: keys come and go, replies and experts stay.

use std::{process::Command, thread, time::Duration};

use serde_json::{Value, json};

use crate::{
    answers::recorded,
    host::{Host, config, eventually},
    http::{self, Answer, Events, chat_body},
};

/// A signal has been obeyed by then.
const PATIENCE: Duration = Duration::from_secs(20);
const FIRST: &str = "the-first-of-all-keys";
const SECOND: &str = "the-second-of-all-keys";

fn keys(keys: &[(&str, &str)]) -> Value {
    let keys: Vec<_> = keys.iter().map(|(name, key)| json!({"name": name, "key": key})).collect();
    json!({ "keys": keys })
}

fn models(host: &Host, key: &str) -> Answer {
    http::get_with(&format!("{}/v1/models", host.url), &[("x-api-key", key)])
}

fn reload(host: &Host) -> Answer {
    host.admin_post("/reload", &json!({}))
}

#[test]
fn keys_and_aliases_change_while_replies_go_on() {
    let host = Host::start_with(config());
    let (prompt, answer) = &recorded("gemma3_multimodal")[0];
    let mut events = Events::open(&host.url, chat_body("gemma3_multimodal", prompt));
    let begun = events.next_data().unwrap();
    let loads = host.expert("phi4_fast")["load_count"].clone();

    let mut changed = host.configured();
    changed["access"] = keys(&[("first", FIRST)]);
    changed["experts"][0]["aliases"] = json!(["gpt-4o-mini"]);
    host.configure(&changed.to_string());
    let report = reload(&host).ok();
    assert_eq!(report["changed"], json!(["access.keys", "experts[].aliases"]), "{report}");
    assert_eq!(report["needs_restart"], json!([]));
    assert_eq!(report["experts"]["unchanged"].as_array().unwrap().len(), 5, "{report}");
    assert_eq!(host.get("/v1/models").error_code(), "missing_api_key");
    assert!(models(&host, FIRST).text.contains("gpt-4o-mini"));
    assert_eq!(models(&host, SECOND).error_code(), "invalid_api_key");
    let (rest, _) = events.finish();
    assert!(answer.ends_with(&rest), "{begun} and {rest:?}");

    changed["access"] = keys(&[("second", SECOND)]);
    changed["experts"][0]["priority"] = json!(9);
    host.configure(&changed.to_string());
    host.signal("-HUP");
    eventually("the second key opens", PATIENCE, || models(&host, SECOND).status == 200);
    assert_eq!(models(&host, FIRST).error_code(), "invalid_api_key");
    let described = reload(&host).ok();
    assert_eq!(described["needs_restart"], json!([]));
    let experts = http::get_with(&format!("{}/experts", host.url), &[("x-api-key", SECOND)]).ok();
    let same = |expert: &Value| expert["expert_id"] == "phi4_fast" && expert["load_count"] == loads;
    assert!(experts["experts"].as_array().unwrap().iter().any(same), "{experts}");
}

/// What must not change of an expert that is not touched.
fn in_memory(host: &Host, id: &str) -> Value {
    let experts = host.admin_get("/experts");
    let all = experts["experts"].as_array().unwrap();
    let expert = all.iter().find(|expert| expert["expert_id"] == id).unwrap();
    assert!(
        expert["weights_address"].is_string() || expert["weights_address"].is_u64(),
        "{expert}"
    );
    json!([expert["weights_address"], expert["load_count"], expert["total_requests"]])
}

#[test]
fn experts_come_go_and_change_while_a_reply_goes_on() {
    let host = Host::start_with(config());
    let untouched = in_memory(&host, "phi4_fast");
    let (prompt, answer) = &recorded("qwen_coder")[0];
    let mut events = Events::open(&host.url, chat_body("qwen_coder", prompt));
    events.next_data().unwrap();

    let mut changed = host.configured();
    let experts = changed["experts"].as_array_mut().unwrap();
    let gone = experts.remove(2);
    assert_eq!(gone["expert_id"], "qwen_coder");
    let mut new = gone;
    new["expert_id"] = json!("newcomer");
    experts.push(new);
    experts[1]["max_num_seqs"] = json!(3);
    experts[0]["priority"] = json!(9);
    host.configure(&changed.to_string());
    let report = reload(&host).ok();
    let expected = json!({
        "added": ["newcomer"],
        "replaced": ["mistral_balanced"],
        "described": ["phi4_fast"],
        "removed": ["qwen_coder"],
        "unchanged": ["gemma3_multimodal", "aya_expanse_multilingual"],
    });
    assert_eq!(report["experts"], expected, "{report}");
    assert_eq!(in_memory(&host, "phi4_fast"), untouched);
    let missing = host.chat("qwen_coder", prompt);
    assert_eq!((missing.status, missing.error_code().as_str()), (404, "model_not_found"));
    assert_eq!(&host.ask("newcomer", prompt), answer);
    assert_eq!(host.chat("mistral_balanced", "Hello!").status, 200);
    let (rest, _) = events.finish();
    assert!(!rest.is_empty() && answer.ends_with(&rest), "{rest:?}");
    assert_eq!(reload(&host).ok()["changed"], json!([]));
    assert_eq!(in_memory(&host, "phi4_fast"), untouched);
}

#[test]
fn limits_and_policies_settings_hold_for_calls_from_then_on() {
    let mut first = config();
    first["policies"]["settings"] = json!({"token-budget": {"reply-tokens-max": "3"}});
    let host = Host::start_with(first);
    host.deploy_example("token-budget");
    let length = || host.chat("phi4_fast", "Hello!").ok()["usage"]["completion_tokens"].clone();
    assert_eq!(length(), 3);

    let mut changed = host.configured();
    changed["policies"]["settings"] = json!({"token-budget": {"reply-tokens-max": "2"}});
    changed["policies"]["limits"] = json!({"held_ms": 9000, "workers": 3});
    changed["limits"] = json!({"max_tokens_max": 3000, "connections_max": 77, "queue_max": 7});
    host.configure(&changed.to_string());
    let report = reload(&host).ok();
    let keys = [
        "limits.max_tokens_max",
        "policies.limits.held_ms",
        "policies.settings.token-budget",
        "limits.queue_max",
    ];
    assert_eq!(report["changed"], json!(keys), "{report}");
    let waiting: Vec<_> = report["needs_restart"].as_array().unwrap().iter().collect();
    let waiting_keys: Vec<_> = waiting.iter().map(|waiting| &waiting["key"]).collect();
    assert_eq!(waiting_keys, ["limits.connections_max", "policies.limits.workers"]);
    assert!(waiting.iter().all(|waiting| waiting["reason"].as_str().unwrap().contains("start")));
    assert_eq!(length(), 2, "the policy's new setting");
    let greedy = json!({"model": "phi4_fast", "max_tokens": 3001,
        "messages": [{"role": "user", "content": "Hello!"}]});
    assert_eq!(host.post("/v1/chat/completions", &greedy).status, 400, "more than there may be");

    let limits = host.get("/stats").ok()["limits"].to_string();
    changed["limits"] = json!({"body_bytes_max": 256 << 20});
    host.configure(&changed.to_string());
    let refused = reload(&host);
    assert_eq!((refused.status, refused.error_code().as_str()), (422, "configuration_invalid"));
    assert!(refused.text.contains("body_memory_bytes_max"), "{}", refused.text);
    assert_eq!(host.get("/stats").ok()["limits"].to_string(), limits);
}

#[test]
fn an_expert_that_cannot_be_served_leaves_all_as_it_is() {
    let host = Host::start_with(config());
    let untouched = in_memory(&host, "phi4_fast");
    let mut changed = host.configured();
    changed["experts"][0]["model_path"] = json!("nowhere");
    changed["access"] = keys(&[("first", FIRST)]);
    host.configure(&changed.to_string());
    let refused = reload(&host);
    assert_eq!((refused.status, refused.error_code().as_str()), (422, "configuration_invalid"));
    assert!(refused.text.contains("phi4_fast"), "{}", refused.text);
    assert_eq!(in_memory(&host, "phi4_fast"), untouched);
    assert_eq!(host.get("/v1/models").status, 200, "no key is wanted");
}

#[test]
fn the_command_says_what_came_of_it() {
    let host = Host::start_with(config());
    let mut changed = host.configured();
    changed["experts"][0]["description"] = json!("another");
    changed["server_config"]["log_level"] = json!("error");
    host.configure(&changed.to_string());
    let program = env!("CARGO_BIN_EXE_signalbox-under-test");
    let run =
        |admin: &str| Command::new(program).args(["reload", "--admin", admin]).output().unwrap();
    let (first, second) = thread::scope(|scope| {
        let [first, second] = [(); 2].map(|()| scope.spawn(|| run(&host.admin)));
        (first.join().unwrap(), second.join().unwrap())
    });
    let said = [&first, &second].map(|output| String::from_utf8(output.stdout.clone()).unwrap());
    for (output, text) in [&first, &second].into_iter().zip(&said) {
        assert!(output.status.success(), "{output:?}");
        assert!(text.contains("needs a restart: server_config"), "{text}");
    }
    let described = |text: &&String| text.contains("experts described anew: phi4_fast");
    assert_eq!(said.iter().filter(described).count(), 1, "one after the other: {said:?}");
    host.configure("{");
    let failed = run(&host.admin);
    assert_eq!(failed.status.code(), Some(1));
    assert!(String::from_utf8(failed.stderr).unwrap().contains("nothing was changed"));
}

#[test]
fn a_file_with_mistakes_changes_nothing() {
    let mut guarded = config();
    guarded["access"] = keys(&[("first", FIRST)]);
    let host = Host::start_with(guarded);
    for (text, words) in [
        ("{ not json".to_owned(), "can't be used"),
        (json!({"experts": [], "access": {"keys": []}}).to_string(), "experts"),
        (
            {
                let mut config = host.configured();
                config["access"] = keys(&[("first", "short")]);
                config.to_string()
            },
            "16 to 512",
        ),
    ] {
        host.configure(&text);
        let refused = reload(&host);
        assert_eq!((refused.status, refused.error_code().as_str()), (422, "configuration_invalid"));
        assert!(refused.text.contains(words), "{}", refused.text);
        assert_eq!(models(&host, FIRST).status, 200);
        assert_eq!(host.get("/v1/models").error_code(), "missing_api_key");
    }
}
