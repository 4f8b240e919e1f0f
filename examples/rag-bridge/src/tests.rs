//! A bridge that answers, that is silent, and that says other things, without a host.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};
use signalbox_sdk::http::{Error, Request as Asked, Response};
use signalbox_sdk::testing;

use super::*;

const QUESTION: &str = "What is the gauge of the line?";

fn said(body: &Value) -> Result<Response, Error> {
    Ok(Response::new(200, body.to_string()))
}

/// A bridge that knows two things, and keeps what it was asked.
fn bridge() -> Rc<RefCell<Vec<(String, Value)>>> {
    let asked = Rc::new(RefCell::new(Vec::new()));
    let kept = asked.clone();
    testing::answer_http(move |request: &Asked| {
        let body = serde_json::from_slice(request.sent()).unwrap();
        kept.borrow_mut().push((request.url().to_owned(), body));
        match request.url().ends_with("/embeddings") {
            true => said(&json!({"model": "m", "data": [{"embedding": [0.5, -1]}]})),
            false => said(&json!({"results": [
                {"id": 7, "score": 0.9, "entity": {"text": "The gauge is 1435 mm. \u{fffc}"}},
                {"id": 8, "score": 0.4, "entity": {"text": "", "content": "Trains run hourly."}},
            ]})),
        }
    });
    asked
}

/// The text of the newest message behind the policy.
fn handled(text: &str) -> String {
    let (call, edits) = (testing::request(text).build(), testing::edits());
    assert_eq!(RagBridge::handle(&call, &edits), Ok(Outcome::Proceed));
    testing::apply(&call, &edits).last_user_text()
}

#[test]
fn what_the_bridge_knows_stands_before_the_question() {
    testing::set_config("bridge-url", "http://bridge.example/");
    let asked = bridge();
    let text = handled(QUESTION);
    let context = "[RETRIEVED CONTEXT]\n(1) The gauge is 1435 mm.  \n(2) Trains run hourly.\n[END";
    assert!(text.starts_with(context), "{text}");
    assert!(text.ends_with(&format!("\n\n{QUESTION}")), "{text}");
    let search = json!({"collection_name": "capibara_docs", "vector": [0.5, -1], "top_k": 5,
        "nprobe": 16, "output_fields": ["text", "content"]});
    let calls = [
        ("http://bridge.example/api/v1/embeddings".to_owned(), json!({"text": QUESTION})),
        ("http://bridge.example/api/v1/milvus/search".to_owned(), search),
    ];
    assert_eq!(*asked.borrow(), calls);
    assert_eq!(testing::notes(), [("rag".into(), "factual: 2 of 2 passages".into())]);
}

#[test]
fn passages_beyond_the_tokens_are_left_out() {
    bridge();
    testing::set_config("max-context-tokens", "8");
    let text = handled(QUESTION);
    assert!(text.contains("1435") && !text.contains("hourly"), "{text}");
    testing::set_config("max-context-tokens", "2");
    assert_eq!(handled(QUESTION), QUESTION);
}

#[test]
fn without_context_the_call_goes_on_as_it_came_and_a_note_says_why() {
    let check = |answer: fn(&Asked) -> Result<Response, Error>, why: &str| {
        testing::answer_http(answer);
        assert_eq!(handled(QUESTION), QUESTION);
        let notes = testing::notes();
        assert!(notes[0].1.contains(why), "{notes:?}");
    };
    check(|_| Err(Error::Timeout), "there was no answer in time");
    check(|_| Err(Error::Denied), "may not be sent");
    check(|_| Ok(Response::new(302, "")), "answers 302");
    check(|_| Ok(Response::new(200, "<html>")), "no JSON");
    check(|_| said(&json!({"error": "no model"})), "no vector");
    let empty = |asked: &Asked| match asked.url().ends_with("/embeddings") {
        true => said(&json!({"embedding": [1]})),
        false => said(&json!({"results": []})),
    };
    check(empty, "0 of 0");
}

#[test]
fn only_questions_that_documents_answer_are_looked_up() {
    let asked = bridge();
    for text in
        ["Hello!", "How are you?", "Write a poem about what is lost", "Thanks, shorter please"]
    {
        assert_eq!(handled(text), text);
    }
    let call = testing::conversation([("user", QUESTION), ("tool", "42")]).build();
    let edits = testing::edits();
    assert_eq!(RagBridge::handle(&call, &edits), Ok(Outcome::Proceed));
    assert!(asked.borrow().is_empty(), "{asked:?}");
}

#[test]
fn a_question_is_of_a_kind() {
    let check = |text: &str, expect| assert_eq!(Intent::of(text, THRESHOLD), expect, "{text}");
    check("Who built the bridge", Some(Intent::Factual));
    check("¿Cuántos trenes hay?", Some(Intent::Factual));
    check("How do I configure the endpoint?", Some(Intent::Technical));
    check("¿Cómo se instala?", Some(Intent::Technical));
    check("According to the documentation, what is a block?", Some(Intent::Contextual));
    check("Según el manual, ¿qué hago?", Some(Intent::Contextual));
    check("Is it raining?", None);
    check("Somewho knows", None);
    assert_eq!(Intent::of(QUESTION, 0.9), None);
}

#[test]
fn a_long_question_is_searched_for_by_its_ends() {
    let asked = bridge();
    let text = format!("What is this? {}The end.", "ñ".repeat(5000));
    assert!(handled(&text).ends_with(&text));
    let searched = asked.borrow()[0].1["text"].as_str().unwrap().to_owned();
    assert!(
        searched.len() < 5000 && searched.starts_with("What is") && searched.ends_with("The end.")
    );
}
