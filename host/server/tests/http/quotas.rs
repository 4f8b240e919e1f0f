//! What the owner of a key may use: experts, calls and tokens of a minute, calls at once. What is left is said in headers,
//! in the names that clients look for.

use serde_json::json;
use signalbox_server::{Access, Allowance, Key};

use crate::fixture::{Answer, GENERAL, Server, chat_body, recorded};

const CHAT: &str = "/v1/chat/completions";
const KEY: (&str, &str) = ("x-api-key", "sixteen-or-more-1");
const FREE: (&str, &str) = ("x-api-key", "sixteen-or-more-2");
const TECHNICAL: &str = "mistral_balanced";

/// One key that opens no more than this, and one that opens everything.
fn limited(allowance: Allowance) -> Server {
    let keys = vec![
        Key::new("app", KEY.1).unwrap().allowing(allowance),
        Key::new("free", FREE.1).unwrap(),
    ];
    Server::with(|settings| settings.access = Access { keys, ..Access::default() })
}

fn ask(server: &Server, key: (&str, &str), more: &str) -> Answer {
    let (prompt, ..) = recorded(GENERAL);
    server.ask("POST", CHAT, &[key], &chat_body(&prompt, more))
}

fn described(answer: &Answer) -> (u16, String) {
    (answer.status, answer.code())
}

fn number(answer: &Answer, header: &str) -> u32 {
    let value = answer.header(header);
    assert!(value.parse::<u32>().is_ok(), "{header}: '{value}' of {}", answer.text);
    value.parse().unwrap()
}

#[test]
fn calls_of_a_minute_are_counted_by_key() {
    let server = limited(Allowance { requests_per_minute: Some(2), ..Allowance::default() });
    let left = [(); 2].map(|()| number(&ask(&server, KEY, ""), "x-ratelimit-remaining-requests"));
    assert_eq!(left, [1, 0]);
    let third = ask(&server, KEY, "");
    assert_eq!(described(&third), (429, "rate_limit_exceeded".to_owned()));
    assert_eq!(number(&third, "x-ratelimit-limit-requests"), 2);
    let after = number(&third, "retry-after");
    assert!((28..=30).contains(&after), "half a minute for each: {after}");
    let free = ask(&server, FREE, "");
    assert_eq!((free.status, free.header("x-ratelimit-limit-requests")), (200, ""));
    // Whoever lists models or looks at health spends nothing.
    let models = server.ask("GET", "/v1/models", &[KEY], "");
    assert_eq!((models.status, number(&models, "x-ratelimit-remaining-requests")), (200, 0));
}

#[test]
fn several_replies_to_one_call_are_one_call() {
    let server = limited(Allowance {
        requests_per_minute: Some(9),
        concurrent_calls: Some(1),
        ..Allowance::default()
    });
    let answer = ask(&server, KEY, r#","n":3"#);
    assert_eq!(answer.json()["choices"].as_array().unwrap().len(), 3, "{}", answer.text);
    assert_eq!(number(&answer, "x-ratelimit-remaining-requests"), 8);
}

#[test]
fn tokens_of_a_minute_are_counted_as_they_are_spent() {
    let server = limited(Allowance { tokens_per_minute: Some(60_000), ..Allowance::default() });
    let first = ask(&server, KEY, "");
    let spent = first.json()["usage"]["total_tokens"].as_u64().unwrap() as u32;
    assert_eq!(number(&first, "x-ratelimit-limit-tokens"), 60_000);
    let anthropics = server.ask("GET", "/v1/models", &[KEY], "");
    let left = number(&anthropics, "x-ratelimit-remaining-tokens");
    let filled = 60_000 / 60 * 5; // five seconds at most have passed since
    assert!(left <= 60_000 && left + spent <= 60_000 + filled, "{left} and {spent}");

    let small = limited(Allowance { tokens_per_minute: Some(1), ..Allowance::default() });
    assert_eq!(ask(&small, KEY, "").status, 200, "a call begins while any are left");
    let second = ask(&small, KEY, "");
    assert_eq!(described(&second), (429, "rate_limit_exceeded".to_owned()));
    let after = number(&second, "retry-after");
    assert!((spent * 60).abs_diff(after) <= 60, "{after} s for a debt of {spent} tokens");
}

#[test]
fn anthropics_clients_read_their_own_headers() {
    let server = limited(Allowance { requests_per_minute: Some(1), ..Allowance::default() });
    let body = json!({
        "model": GENERAL, "max_tokens": 4, "messages": [{"role": "user", "content": "hello"}],
    });
    let ask = || server.ask("POST", "/v1/messages", &[KEY], &body.to_string());
    let first = ask();
    assert_eq!(first.status, 200, "{}", first.text);
    assert_eq!(number(&first, "anthropic-ratelimit-requests-limit"), 1);
    assert_eq!(number(&first, "anthropic-ratelimit-requests-remaining"), 0);
    assert!(first.header("anthropic-ratelimit-requests-reset").ends_with('Z'));
    let second = ask();
    assert_eq!(second.status, 429);
    assert_eq!(second.json()["error"]["type"], "rate_limit_error");
    assert!(number(&second, "retry-after") > 50);
}

#[test]
fn a_key_opens_the_experts_that_it_names() {
    let experts = vec![TECHNICAL.to_owned()];
    let server = limited(Allowance { experts, ..Allowance::default() });
    let named = |expert: &str| {
        let body = json!({
            "model": expert, "max_tokens": 4, "messages": [{"role": "user", "content": "hello"}],
        });
        server.ask("POST", CHAT, &[KEY], &body.to_string())
    };
    let refused = named(GENERAL);
    assert_eq!(described(&refused), (403, "expert_not_allowed".to_owned()));
    let message = refused.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains(GENERAL) && message.contains(TECHNICAL), "{message}");
    for allowed in [TECHNICAL, "auto"] {
        let answer = named(allowed);
        assert_eq!((answer.status, answer.header("x-signalbox-expert")), (200, TECHNICAL));
    }
    let ids = |key| {
        let models = server.ask("GET", "/v1/models", &[key], "").json();
        let ids = models["data"].as_array().unwrap().iter().map(|model| model["id"].to_string());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(ids(KEY), ["\"auto\"".to_owned(), format!("\"{TECHNICAL}\"")]);
    assert!(ids(FREE).len() > 2);
    let tokens = json!({"model": GENERAL, "prompt": "a"}).to_string();
    assert_eq!(described(&server.ask("POST", "/tokenize", &[KEY], &tokens)).0, 403);
    let shown = json!({"model": GENERAL}).to_string();
    assert_eq!(server.ask("POST", "/api/show", &[KEY], &shown).status, 403);
    assert_eq!(server.ask("POST", "/api/generate", &[KEY], &shown).status, 403, "loads nothing");
}
