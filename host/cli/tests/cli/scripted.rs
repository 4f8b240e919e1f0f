//! `policy test` of policies that ask: experts, other hosts and the bucket say what the case has them say.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use serde_json::{Value, json};

use crate::broken::signalbox;

/// Runs one case against a built-in example.
fn test(example: &str, case: &Value, more: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("cases.json"), case.to_string()).unwrap();
    let cases = folder.path().to_str().unwrap();
    signalbox(&[&["policy", "--json", "test", example, "--cases", cases], more].concat())
}

/// What came of a case that has to be as expected.
fn outcome(example: &str, case: &Value, more: &[&str]) -> Value {
    let output = test(example, case, more);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}{}", String::from_utf8_lossy(&output.stdout));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    told["cases"][0]["outcome"].clone()
}

fn asked(text: &str) -> Value {
    json!({"messages": [{"role": "user", "content": text}]})
}

#[test]
fn vectors_and_what_is_cached_decide_where_a_call_goes() {
    let case = json!({
        "call": asked("When does the train leave?"),
        "experts": [
            {"id": "a", "description": "timetables"},
            {"id": "b", "description": "trains", "cached_tokens": 40},
            {"id": "c", "description": "cooking"},
        ],
        "embeddings": {"*": [9, 1], "cooking": [0, 1]},
        "expect": {"route": {"fallback": ["b", "a", "c"], "tags": {"nearest": "b"}}},
    });
    outcome("semantic-router", &case, &[]);
}

#[test]
fn what_an_expert_finds_of_a_question_is_the_case_s() {
    let case = |weighing: Value, expect: Value| {
        json!({
            "call": asked("Prove it."),
            "experts": [{"id": "a", "priority": 2}, {"id": "b"}],
            "decide": [weighing],
            "expect": {"route": expect},
        })
    };
    let hard = json!({"expert": "a", "question": "several steps", "probabilities": [0.9, 0.1]});
    let members = json!({"consensus": {"members": ["a", "b"]}});
    outcome("consensus", &case(hard, members), &[]);
    let refused = json!({"error": "out_of_budget"});
    let said = "nobody says whether it is hard: the case has it so";
    outcome("consensus", &case(refused, json!({"reason": said})), &[]);
}

#[test]
fn other_hosts_answer_what_the_case_has_them_answer() {
    let passages = json!([
        {"url": "http://localhost:8001/api/v1/embeddings", "body": {"embedding": [0.25, 0.5]}},
        {
            "method": "post",
            "url": "http://localhost:8001/api/v1/milvus/search",
            "body": {"results": [{"text": "The gauge is 1435 mm, measured between the rails."}]},
        },
    ]);
    let case = |http: Value, note: &str| {
        json!({
            "call": asked("What is the gauge of this line?"),
            "http": http,
            "expect": {"notes": {"rag": note}},
        })
    };
    let told = outcome("rag-bridge", &case(passages, "factual: 1 of 1 passages"), &[]);
    let shown = told["call"]["messages"][0]["content"].as_str().unwrap();
    assert!(shown.contains("1435 mm"), "{shown}");
    let late = json!([{"url": "http://localhost:8001/api/v1/embeddings", "error": "timeout"}]);
    let said = "factual: no context: there was no answer in time";
    outcome("rag-bridge", &case(late, said), &[]);
}

#[test]
fn what_a_policy_keeps_is_there_for_the_next_case() {
    let first = json!({
        "call": asked("Hello!"),
        "reply": {"chunks": ["Good ", "day."]},
        "expect": {"answer": null, "reply": {"text": "Good day."}},
    });
    let kept = outcome("answer-cache", &first, &[])["keyvalue"].clone();
    let entries = kept.as_object().unwrap();
    assert!(entries.len() == 1 && entries.values().all(|value| value.is_string()), "{kept}");
    let again = json!({
        "call": asked("Hello!"),
        "keyvalue": kept,
        "expect": {"answer": "Good day.", "keyvalue": kept},
    });
    outcome("answer-cache", &again, &[]);
    let nothing = json!({
        "call": asked("Hello!"),
        "keyvalue": {},
        "expect": {"answer": null, "keyvalue": null},
    });
    outcome("answer-cache", &nothing, &[]);
}

#[test]
fn what_nobody_answers_is_said_with_its_mend() {
    let check = |example: &str, words: &[&str]| {
        let case = json!({
            "call": asked("What is the gauge of this line?"),
            "experts": [{"id": "a", "description": "x"}, {"id": "b", "description": "y"}],
            "http": [{"url": "http://localhost:8001/elsewhere"}],
            "expect": {"answer": "never"},
        });
        let output = test(example, &case, &[]);
        assert_eq!(output.status.code(), Some(1));
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let unanswered = told["cases"][0]["unanswered"].to_string();
        for word in words {
            assert!(unanswered.contains(word), "no {word} in {unanswered}");
        }
    };
    check("semantic-router", &["has no vector of", "under \\\"embeddings\\\""]);
    check("consensus", &["does not decide", "under \\\"decide\\\""]);
    check("rag-bridge", &["POST http://localhost:8001/api/v1/embeddings", "under \\\"http\\\""]);
}

/// A configuration with one toy expert.
fn configured(folder: &Path) -> PathBuf {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/models");
    let config = json!({
        "experts": [{
            "expert_id": "phi4_fast", "model_path": models.join("phi4_fast"), "priority": 7,
            "description": "talks", "use_cases": ["small talk"],
        }],
        "policies": {
            "settings": {"token-budget": {"prompt-tokens-max": "3"}},
            "limits": {"http_requests": 1},
            "http_hosts": {"rag-bridge": ["https://example.com"]},
        },
    });
    let file = folder.join("host.json");
    fs::write(&file, config.to_string()).unwrap();
    file
}

#[test]
fn an_operator_s_file_brings_settings_hosts_and_experts() {
    let folder = tempfile::tempdir().unwrap();
    let file = configured(folder.path());
    let config = ["--config", file.to_str().unwrap()];
    let long = json!({
        "call": asked("one two three four"),
        "expect": {"refused": {"kind": "too_large"}},
    });
    outcome("token-budget", &long, &config);
    let more = json!({
        "call": asked("one two three four"),
        "settings": {"prompt-tokens-max": "4"},
        "expect": {"refused": null},
    });
    outcome("token-budget", &more, &config);
    let routed = json!({"call": asked("hi"), "expect": {"route": {"fallback": ["phi4_fast"]}}});
    outcome("round-robin", &routed, &config);
    let bridge = json!({
        "call": asked("What is the gauge of this line?"),
        "http": [{"url": "http://localhost:8001/api/v1/embeddings", "body": {"embedding": [1]}}],
        "expect": {"notes": {"rag": "factual: 1 of 1 passages"}},
    });
    let output = test("rag-bridge", &bridge, &config);
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("list their hosts in policies.http_hosts"), "{told}");

    let nowhere = test("round-robin", &routed, &["--config", "nowhere.json"]);
    let said = String::from_utf8_lossy(&nowhere.stderr);
    assert!(said.contains("nowhere.json"), "{said}");
}
