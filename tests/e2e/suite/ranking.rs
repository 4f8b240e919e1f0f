//! Documents are ranked by a cross-encoder where there is one, over real HTTP and behind the same guards.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::{
    embeddings::{INJECTION, with_encoder},
    host::Host,
};

const RANKER: &str = "ranker";

fn checkpoint() -> PathBuf {
    let golden = "../golden/rankers/bert-wordpiece-pooler-f32";
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(golden)
}

/// The toy experts, an encoder, and a cross-encoder of lower priority.
fn with_ranker() -> Value {
    let mut config = with_encoder();
    let ranker = json!({
        "expert_id": RANKER, "model_path": checkpoint(), "domain": "general", "priority": 3,
        "description": "scores of documents", "max_num_seqs": 16
    });
    config["experts"].as_array_mut().unwrap().push(ranker);
    config["lazy_loading"]["max_loaded_experts"] = json!(7);
    config
}

/// A query, documents, and the scores that transformers recorded for them.
fn recorded() -> (Value, Vec<Value>, Vec<f64>) {
    let recorded = fs::read(checkpoint().join("expected.json")).unwrap();
    let recorded: Vec<Value> = serde_json::from_slice(&recorded).unwrap();
    let query = recorded[0]["query"].clone();
    let of_query = recorded
        .iter()
        .filter(|one| one["query"] == query && one["most"].is_null() && one["text"] != "");
    let (documents, scores) =
        of_query.map(|one| (one["text"].clone(), one["score"].as_f64().unwrap())).unzip();
    (query, documents, scores)
}

#[test]
fn documents_are_ranked_by_what_a_cross_encoder_scores_them() {
    let host = Host::start_with(with_ranker());
    let (query, documents, scores) = recorded();
    assert!(documents.len() > 3);
    for model in [RANKER, "auto"] {
        let body = json!({ "model": model, "query": query, "documents": documents });
        let answer = host.post("/v1/rerank", &body);
        assert_eq!(answer.header("x-signalbox-expert"), RANKER, "{}", answer.text);
        let body = answer.ok();
        let results = body["results"].as_array().unwrap();
        assert_eq!(results.len(), documents.len());
        let score = |one: &Value| one["relevance_score"].as_f64().unwrap();
        assert!(results.iter().map(score).is_sorted_by(|a, b| a >= b), "{results:?}");
        for one in results {
            let at = one["index"].as_u64().unwrap() as usize;
            assert!((score(one) - scores[at]).abs() < 1e-4, "{one} is not {}", scores[at]);
        }
        assert!(body["usage"]["prompt_tokens"].as_u64().unwrap() > 0);
    }
    let body = json!({ "model": "minilm", "query": query, "documents": documents });
    assert_eq!(host.post("/v1/rerank", &body).header("x-signalbox-expert"), "minilm");
}

#[test]
fn a_cross_encoder_makes_no_vectors_does_not_converse_and_refuses_what_is_too_long() {
    let host = Host::start_with(with_ranker());
    let check = |path: &str, body: Value, code: &str| {
        let answer = host.post(path, &body);
        assert_eq!((answer.status, answer.error_code().as_str()), (400, code), "{}", answer.text);
    };
    check("/v1/embeddings", json!({"model": RANKER, "input": "x"}), "embeddings_not_supported");
    let chat = json!({"model": RANKER, "messages": [{"role": "user", "content": "Hello"}]});
    check("/v1/chat/completions", chat, "chat_not_supported");
    let mut long = json!({"model": RANKER, "query": "x", "documents": ["the line ".repeat(100)]});
    check("/v1/rerank", long.clone(), "context_length_exceeded");
    long["truncate"] = json!(true);
    host.post("/v1/rerank", &long).ok();
    let experts = host.get("/v1/models").ok();
    let listed = experts["data"].as_array().unwrap().iter().find(|one| one["id"] == RANKER);
    assert_eq!(listed.unwrap()["capabilities"], json!(["rerank"]));
    let vectors = host.post("/v1/embeddings", &json!({"input": "x"}));
    assert_eq!(vectors.header("x-signalbox-expert"), "minilm", "{}", vectors.text);
}

#[test]
fn guards_examine_the_query_and_every_document() {
    let host = Host::start_with(with_ranker());
    host.deploy_example("prompt-guard");
    for body in [
        json!({"model": RANKER, "query": INJECTION, "documents": ["harmless"]}),
        json!({"model": RANKER, "query": "harmless", "documents": ["harmless", INJECTION]}),
    ] {
        assert_eq!(host.post("/v1/rerank", &body).status, 403, "{body}");
    }
}
