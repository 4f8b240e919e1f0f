//! The toy experts answer as transformers recorded it, through the same door that the server uses.

use crate::support::{TOYS, again, ask, chat, fleet, recorded, settings, toy};
use serde_json::Value;
use signalbox_engine::{Finish, Fleet, Message, Quantization, Request, Templates};

/// A recorded entry as a request; just enough tokens, so that nothing hides behind a cut.
fn question(entry: &Value) -> signalbox_engine::Request {
    let messages = match entry["messages"].as_array() {
        Some(turns) => turns
            .iter()
            .map(|turn| {
                Message::text(turn["role"].as_str().unwrap(), turn["content"].as_str().unwrap())
            })
            .collect(),
        None => vec![Message::text("user", entry["prompt"].as_str().unwrap())],
    };
    let tokens = entry["answer_ids"].as_array().unwrap().len() as u32;
    let mut request = chat("");
    request.prompt = messages.into();
    request.max_tokens = Some(tokens + 1);
    request
}

/// Asks everything at once, so that the answers also show that batching changes nothing.
async fn mistakes(fleet: &Fleet, id: &'static str) -> (usize, Vec<String>) {
    let entries = recorded(id);
    let asked = entries.len();
    let replies = entries.into_iter().map(|entry| {
        let fleet = fleet.clone();
        tokio::spawn(async move {
            let reply = ask(&fleet, id, question(&entry)).await.unwrap();
            let expected = entry["answer"].as_str().unwrap();
            let prompt_tokens = entry["prompt_ids"].as_array().unwrap().len();
            let right = reply.text == expected
                && reply.reason == Finish::Stop
                && reply.usage.prompt_tokens as usize == prompt_tokens
                && reply.usage.completion_tokens as usize
                    == entry["answer_ids"].as_array().unwrap().len();
            (!right)
                .then(|| format!("{}: {:?} instead of {expected:?}", entry["prompt"], reply.text))
        })
    });
    let mut wrong = Vec::new();
    for reply in replies.collect::<Vec<_>>() {
        wrong.extend(reply.await.unwrap());
    }
    (asked, wrong)
}

async fn check(id: &'static str) {
    let fleet = fleet(&[id]);
    let (asked, wrong) = mistakes(&fleet, id).await;
    assert!(wrong.is_empty(), "{id}: {} of {asked} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(fleet.status(id).unwrap().load_count, 1);
}

#[tokio::test]
async fn phi4_fast_answers_as_recorded() {
    check("phi4_fast").await;
}

#[tokio::test]
async fn mistral_balanced_answers_as_recorded() {
    check("mistral_balanced").await;
}

#[tokio::test]
async fn qwen_coder_answers_as_recorded() {
    check("qwen_coder").await;
}

#[tokio::test]
async fn gemma3_multimodal_answers_as_recorded() {
    check("gemma3_multimodal").await;
}

#[tokio::test]
async fn aya_expanse_multilingual_answers_as_recorded() {
    check("aya_expanse_multilingual").await;
}

#[test]
fn inspection_finds_nothing_wrong_with_the_toys() {
    for id in TOYS {
        let seen = signalbox_engine::inspect(&toy(id), &Templates::InProcess);
        assert_eq!(seen.failure(), None);
        assert!(seen.chat, "{id}");
        let quantised = seen.quantization.unwrap();
        assert_eq!(quantised.contains("awq"), id != "gemma3_multimodal", "{id}: {quantised}");
    }
}

#[tokio::test]
async fn an_expert_in_8_bits_answers_nearly_as_it_does_in_16() {
    const ID: &str = "gemma3_multimodal";
    let mut declared = settings(&[ID]);
    declared.experts[0].quantization = Some(Quantization::Int8);
    let (asked, wrong) = mistakes(&Fleet::start(declared), ID).await;
    assert!(wrong.len() * 20 <= asked, "{} of {asked} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn what_an_expert_has_computed_of_a_prompt_is_known_before_it_is_asked() {
    let fleet = Fleet::start(settings(&["qwen_coder", "phi4_fast"]));
    let of = |question: &str, scope| Request { scope, ..chat(question) };
    let known = async |id: &str, request: &Request| {
        fleet.cached_tokens(id, request.scope, request.prompt.clone()).await.unwrap()
    };
    let question =
        "Write a Python function that adds two numbers and another that multiplies them.";
    assert_eq!(known("qwen_coder", &of(question, 1)).await, 0, "it is cold");
    let first = ask(&fleet, "qwen_coder", of(question, 1)).await.unwrap();
    assert_eq!(first.usage.cached_tokens, 0);
    // A reply is over a moment before what it computed is kept.
    while known("qwen_coder", &of(question, 1)).await == 0 {
        tokio::task::yield_now().await;
    }
    let expected = [
        ("qwen_coder", 1, again(first.usage).cached_tokens),
        ("qwen_coder", 2, 0),
        ("phi4_fast", 1, 0),
    ];
    for (id, scope, tokens) in expected {
        assert_eq!(known(id, &of(question, scope)).await, tokens, "{id} in scope {scope}");
    }
    let longer = of(&format!("{question} Explain it."), 1);
    let seen = known("qwen_coder", &longer).await;
    let second = ask(&fleet, "qwen_coder", longer).await.unwrap();
    assert_eq!((seen > 16, second.usage.cached_tokens), (true, seen));
}
