//! `access`: keys and what they open, origins, names.

use signalbox_engine::Priority;
use signalbox_server::{Allowance, Key};

use super::*;

#[test]
fn access_is_keys_origins_and_hosts() {
    let hash = "ab".repeat(32);
    let more = format!(
        r#""access": {{
            "keys": [ {{ "name": "app", "key": "sixteen-or-more-1" }}, {{ "name": "env", "key_env": "KEY" }},
                {{ "name": "web", "sha256": "{hash}" }} ],
            "origins": ["https://app.example"], "hosts": ["box.example"] }}"#
    );
    let access = parse(&with(&more)).unwrap().server.access;
    assert_eq!(access.keys.iter().map(Key::name).collect::<Vec<_>>(), ["app", "env", "web"]);
    assert_eq!(
        (access.origins[0].as_str(), access.hosts[0].as_str()),
        ("https://app.example", "box.example")
    );
    assert!(
        !access.open && parse(&with(r#""access": { "open": true }"#)).unwrap().server.access.open
    );
    check(
        r#""access": { "keys": [ { "key": "sixteen-or-more-1" }, { "name": "b" },
            { "name": "c", "key": "short" }, { "name": "d", "key": "sixteen-or-more-1", "sha256": "ab" },
            { "name": "e", "key_env": "NOPE" }, { "name": "two words", "key": "sixteen-or-more-2" } ],
            "origins": ["*"] }"#,
        &[
            "line 1: access.keys[0].name: is missing; callers are distinguished by it",
            "line 1: access.keys[1]: must have exactly one of `key`, `key_env` and `sha256`",
            "line 2: access.keys[2].key: a key has 16 to 512 visible ASCII characters; make one with \
             `openssl rand -hex 32`",
            "line 2: access.keys[3]: must have exactly one of `key`, `key_env` and `sha256`",
            "line 3: access.keys[4].key_env: the environment has no variable NOPE",
            "line 3: access.keys[5].name: a key's name has 1 to 64 letters, digits, '.', '_' and '-'",
            "line 4: access.origins: \"*\" is none; write it as browsers do: \"https://app.example\", \
             without path or wildcard",
        ],
    );
}

#[test]
fn strangers_are_served_with_keys_or_in_so_many_words() {
    let check = |host: &str, access: &str, expect: bool| {
        let more = format!(r#""server_config": {{ "host": "{host}" }}, "access": {access}"#);
        let settings = parse(&with(&more)).unwrap();
        let message = would_be_exposed(&settings.data, &settings.server.access);
        assert_eq!(message.is_some(), expect, "{host} {access}: {message:?}");
        if let Some(message) = message {
            for mend in ["\"keys\": [", "--host 127.0.0.1", "\"open\": true"] {
                assert!(message.contains(mend), "{message}");
            }
        }
    };
    check("0.0.0.0", "{}", true);
    check("::", "{}", true);
    check("192.0.2.1", "{}", true);
    check("0.0.0.0", r#"{ "open": true }"#, false);
    check("0.0.0.0", r#"{ "keys": [ { "name": "a", "key_env": "KEY" } ] }"#, false);
    check("127.0.0.1", "{}", false);
    check("::1", "{}", false);
    check("localhost", "{}", false);
}

#[test]
fn keys_open_no_more_than_is_said() {
    let more = |entry: &str| {
        let key = r#""name": "app", "key": "sixteen-or-more-1""#;
        with(&format!(r#""access": {{ "keys": [ {{ {key}, {entry} }} ] }}"#))
    };
    let entry = r#""requests_per_minute": 60, "tokens_per_minute": 9000, "concurrent_calls": 4, "priority": "high""#;
    let allowance = parse(&more(entry)).unwrap().server.access.keys[0].allowance().clone();
    let expect = Allowance {
        experts: vec![],
        requests_per_minute: Some(60),
        tokens_per_minute: Some(9000),
        concurrent_calls: Some(4),
        priority: Priority::High,
    };
    assert_eq!(allowance, expect);
    let wrong = |entry: &str, expect: &str| {
        let mistakes = parse(&more(entry)).unwrap_err();
        assert!(mistakes.iter().any(|m| m.to_string().contains(expect)), "{mistakes:?}");
    };
    wrong(r#""requests_per_minute": 0"#, "must be a whole number from 1 to 1000000");
    wrong(r#""priority": "urgent""#, "use one of high, normal, low");
    wrong(r#""experts": ["nobody"]"#, r#"key "app" opens "nobody", which is no expert"#);
    wrong(r#""expert": ["a"]"#, "experts");
}
