//! Whatever an expert says, a program reads JSON.

use signalbox_sdk::testing;

use super::*;

/// What an expert says, and what the client reads.
const REPLIES: [(&str, &str); 22] = [
    (r#"{"a": 1}"#, r#"{"a": 1}"#),
    (r#"[1, -2.5e3, "x"]"#, r#"[1, -2.5e3, "x"]"#),
    ("Sure! Here it is:\n```json\n{\"a\": [1, 2]}\n```\nAnything else?", "{\"a\": [1, 2]}"),
    (r#"{"a": {"b": [{}, []]}}"#, r#"{"a": {"b": [{}, []]}}"#),
    (r#"{"a": 1,}"#, r#"{"a": 1}"#),
    ("[1, 2, ]", "[1, 2]"),
    (r#"{"ok": True, "no": False, "x": None}"#, r#"{"ok": true, "no": false, "x": null}"#),
    (r#"{"city": Madrid}"#, r#"{"city": "Madrid"}"#),
    (r#"{"n": 007}"#, r#"{"n": "007"}"#),
    ("{\"a\": \"two\nlines\"}", "{\"a\": \"two\\nlines\"}"),
    (r#"{"a": "q\"u\\o\u00e9"}"#, r#"{"a": "q\"u\\o\u00e9"}"#),
    (r#"{"a": "bad \x escape"}"#, "{\"a\": \"bad \u{fffd} escape\"}"),
    (r#"{"a": "cut"#, r#"{"a": "cut"}"#),
    (r#"{"a": "cut \"#, r#"{"a": "cut "}"#),
    (r#"{"a": [1, {"b": 2"#, r#"{"a": [1, {"b": 2}]}"#),
    (r#"{"key"#, r#"{"key":null}"#),
    (r#"{"key""#, r#"{"key":null}"#),
    (r#"{"key":"#, r#"{"key":null}"#),
    (r#"{"a": tru"#, r#"{"a": "tru"}"#),
    (r#"{"a": 1.}"#, r#"{"a": "1."}"#),
    ("I can't do that.", NO_JSON),
    ("", NO_JSON),
];

fn reply(prompt: &str, says: &str, size: usize) -> String {
    let letters: Vec<char> = says.chars().collect();
    let chunks: Vec<String> = letters.chunks(size).map(|chunk| chunk.iter().collect()).collect();
    let request = testing::request(prompt).build();
    testing::reply::<JsonOnly>(&request, "any", chunks.iter().map(String::as_str))
}

#[test]
fn what_the_client_reads_is_json_however_it_comes() {
    for (says, expect) in REPLIES {
        for size in 1..=says.len().max(1) {
            let read = reply("Answer in JSON", says, size);
            assert_eq!(read, expect, "{says} in chunks of {size}");
            assert!(serde_json::from_str::<serde_json::Value>(&read).is_ok(), "{read}");
        }
    }
}

#[test]
fn any_prefix_of_a_value_becomes_json() {
    let says = r#"{"a": [1, -2.5e3, true], "b": {"c": "x\u00e9\n", "d": null}, "e": []}"#;
    for end in 1..=says.len() {
        let read = reply("JSON please", &says[..end], 3);
        assert!(serde_json::from_str::<serde_json::Value>(&read).is_ok(), "{read}");
    }
}

#[test]
fn who_did_not_ask_for_json_gets_what_was_said() {
    assert_eq!(reply("Hello", "Hi there! {", 2), "Hi there! {");
    testing::set_config("when", "always");
    assert_eq!(reply("Hello", "Hi there! {", 2), "{}");
}

#[test]
fn an_expert_that_only_talks_is_stopped() {
    let talk = "word ".repeat(PROSE_MAX);
    assert_eq!(reply("JSON", &format!("{talk}{{}}"), 100), NO_JSON);
}
