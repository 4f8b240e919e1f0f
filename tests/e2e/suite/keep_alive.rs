//! How long experts stay in memory behind their calls: the operator's word, and what clients ask within it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::host::{Host, config, eventually};

const PATIENCE: Duration = Duration::from_secs(20);

/// Nothing warm, and these times of the first three experts.
fn host(times: [Value; 3]) -> Host {
    let mut config = config();
    config["lazy_loading"] = json!({"warmup_pool_size": 0, "keep_alive": "10m"});
    for (at, time) in times.into_iter().enumerate().filter(|(_, time)| !time.is_null()) {
        config["experts"][at]["keep_alive"] = time;
    }
    Host::start_with(config)
}

fn generate(host: &Host, model: &str, more: &Value) -> Value {
    let mut body = json!({"model": model, "prompt": "Hello", "stream": false});
    body["options"] = json!({"num_predict": 3});
    let more = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(more);
    host.post("/api/generate", &body).ok()
}

fn is_gone(host: &Host, id: &str) -> bool {
    let expert = host.expert(id);
    expert["state"] == "cold" && expert["unload_count"] == 1
}

fn is_there(host: &Host, id: &str) -> bool {
    host.expert(id)["state"] == "resident"
}

#[test]
fn an_expert_stays_as_long_as_the_operator_says() {
    let host = host([json!(0), json!(-1), json!("100ms")]);
    host.chat("mistral_balanced", "Hello!").ok();
    for id in ["phi4_fast", "qwen_coder"] {
        host.chat(id, "Hello!").ok();
        eventually("it goes", PATIENCE, || is_gone(&host, id));
    }
    generate(&host, "mistral_balanced", &json!({"keep_alive": "5h"}));
    assert!(is_there(&host, "mistral_balanced"));
    // No client keeps one for longer.
    generate(&host, "qwen_coder", &json!({"keep_alive": -1}));
    eventually("it goes again", PATIENCE, || host.expert("qwen_coder")["unload_count"] == 2);
}

#[test]
fn clients_have_an_expert_go_that_nobody_else_was_promised() {
    let host = host([Value::Null, Value::Null, Value::Null]);
    generate(&host, "phi4_fast", &json!({"keep_alive": 0}));
    eventually("it goes at once", PATIENCE, || is_gone(&host, "phi4_fast"));

    host.chat("qwen_coder", "Hello!").ok();
    generate(&host, "qwen_coder", &json!({"keep_alive": 0}));
    let let_go = json!({"model": "qwen_coder", "keep_alive": 0});
    assert_eq!(host.post("/api/generate", &let_go).ok()["done"], true);
    // Another comes and goes twice meanwhile. It may go a moment after its call's end is known.
    for times in 1..=2 {
        generate(&host, "mistral_balanced", &json!({"keep_alive": "0s"}));
        eventually("the other went", PATIENCE, || {
            host.expert("mistral_balanced")["unload_count"] == times
        });
    }
    assert!(is_there(&host, "qwen_coder"), "another call was promised ten minutes");

    let pinned = host.admin_post("/experts/aya_expanse_multilingual/pin", &json!({}));
    assert_eq!(pinned.status, 200);
    generate(&host, "aya_expanse_multilingual", &json!({"keep_alive": 0}));
    assert!(is_there(&host, "aya_expanse_multilingual"), "it is pinned");
}
