//! The configuration is read anew while the host serves: keys come and go, replies and experts stay.

use std::time::Duration;

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
    assert_eq!(reload(&host).ok()["needs_restart"], json!(["experts"]));
    let experts = http::get_with(&format!("{}/experts", host.url), &[("x-api-key", SECOND)]).ok();
    let same = |expert: &Value| expert["expert_id"] == "phi4_fast" && expert["load_count"] == loads;
    assert!(experts["experts"].as_array().unwrap().iter().any(same), "{experts}");
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
