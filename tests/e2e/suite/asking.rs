//! Policies that ask experts, over real HTTP: on whose behalf, at whose cost, and how much.

use serde_json::{Value, json};

use ::guests::{ASKED, ASKS, ASKS_WITHOUT_END, QUESTION, request_for};

use crate::{
    host::{Host, config, content, misbehaving_component},
    http::{Answer, chat_body, get_with, post_with},
};

const CHAT: &str = "/v1/chat/completions";
const MAY: &str = "may-ask-everybody-here";
const MAY_NOT: &str = "may-ask-no-other-expert";
const POOR: &str = "has-one-token-a-minute";

fn host(limits: Value) -> Host {
    let mut config = config();
    config["policies"] = json!({"on_failure": {"asking": "refuse"}, "limits": limits});
    config["access"] = json!({"keys": [
        {"name": "all", "key": MAY},
        {"name": "some", "key": MAY_NOT, "experts": ["qwen_coder"]},
        {"name": "poor", "key": POOR, "tokens_per_minute": 1},
    ]});
    let host = Host::start_with(config);
    host.deploy("asking", &misbehaving_component());
    host
}

fn chat(host: &Host, key: &str, model: &str, text: &str) -> Answer {
    let url = format!("{}{CHAT}", host.url);
    post_with(&url, &[("x-api-key", key)], &chat_body(model, text))
}

fn said(host: &Host, key: &str, (hook, told): (&str, &str)) -> String {
    content(&chat(host, key, "auto", &request_for(hook, told)).ok())
}

fn newest(host: &Host) -> Value {
    host.admin_get("/decisions?limit=1")["decisions"][0].clone()
}

#[test]
fn a_policy_asks_for_its_caller_and_the_answer_is_in_its_books() {
    let host = host(json!({}));
    let plain = chat(&host, MAY, ASKED, QUESTION).ok();
    let cost = plain["usage"]["total_tokens"].as_u64().unwrap();
    assert_eq!(said(&host, MAY, ASKS), content(&plain), "greedily, the expert says the same");
    let record = newest(&host);
    let asking = &record["hooks"][0];
    assert_eq!((&asking["asks"], &asking["asked_tokens"]), (&json!(1), &json!(cost)), "{record}");
    assert!(record["plan"].is_null(), "no router and no policy saw the question: {record}");
    let metrics = get_with(&format!("{}/metrics", host.url), &[("x-api-key", MAY)]).text;
    let line =
        format!("signalbox_policy_asked_tokens_total{{policy=\"asking\",hook=\"pre\"}} {cost}");
    assert!(metrics.contains(&line), "{metrics}");
}

#[test]
fn nobody_reaches_through_a_policy_whom_it_may_not_ask_or_what_it_has_not_left() {
    let host = host(json!({}));
    assert_eq!(said(&host, MAY_NOT, ASKS), format!("no expert is called '{ASKED}'"));
    // A call begins while a token is left, and what it takes is paid back before the next one.
    let first = said(&host, POOR, ASKS);
    assert!(!first.contains("tokens a minute"), "{first}");
    let second = chat(&host, POOR, "auto", &request_for(ASKS.0, ASKS.1));
    assert_eq!((second.status, second.error_code().as_str()), (429, "rate_limit_exceeded"));
    let third = said(&host, MAY, ASKS_WITHOUT_END);
    assert!(third.starts_with("the policy has had its 4 questions about this call"), "{third}");
    assert_eq!(newest(&host)["hooks"][0]["asks"], 4);
}

#[test]
fn questions_are_bounded_before_they_are_asked() {
    let host = host(json!({"inference_tokens": 2}));
    let said = said(&host, MAY, ASKS);
    assert!(said.contains("policies.limits.inference_tokens"), "{said}");
    assert_eq!(newest(&host)["hooks"][0]["asked_tokens"], 0);
    assert_eq!(host.admin_get("/policies/asking")["name"], "asking");
}
