//! What the guest asks of experts when it is told to; it says what came of it.

use crate::bindings::signalbox::policy::{
    decide::{self, Label, Predicate, Selection},
    embeddings::{self, Owner},
    experts,
    inference::{self, Question},
    types::Message,
};

pub(crate) fn reason(message: &str) -> String {
    match message {
        "vectors" => vectors(2, Owner::Caller, None),
        "vectors for all" => vectors(1, Owner::Policy, Some("encoder")),
        "vectors of many" => vectors(300, Owner::Caller, None),
        "vectors for nobody" => vectors(1, Owner::Other("the moon".into()), None),
        "ask" => ask(50_000),
        "ask briefly" => ask(20),
        "ask often" => (0..5).map(|_| ask(50_000)).collect::<Vec<_>>().join("; "),
        "decide" => decided(),
        _ => {
            let cached = experts::menu().iter().map(experts::Expert::cached_tokens).collect();
            let cached: Vec<Option<u32>> = cached;
            format!("{cached:?}")
        }
    }
}

fn vectors(count: usize, owner: Owner, expert: Option<&str>) -> String {
    let texts: Vec<String> = (0..count).map(|n| format!("text {n}")).collect();
    match embeddings::embed(&texts, &owner, expert) {
        Ok(vectors) => format!("{vectors:?}"),
        Err(error) => format!("{error:?}"),
    }
}

fn ask(time_budget_ms: u32) -> String {
    let messages = vec![Message { role: "user".into(), content: "why?".into() }];
    let question = Question {
        messages,
        max_tokens: 7,
        temperature: Some(0.0),
        time_budget_ms,
        expert: Some("expert_coding".into()),
    };
    match inference::ask(&question) {
        Ok(answer) => format!("{} by {}, {:?}", answer.text, answer.expert, answer.finish),
        Err(error) => format!("{error:?}"),
    }
}

fn decided() -> String {
    let label = |name: &str| Label { name: name.into(), description: None };
    let selection =
        || Selection { instructions: "Which?".into(), labels: vec![label("one"), label("two")] };
    let predicate = Predicate { instructions: "So?".into(), yes: Some("it is".into()), no: None };
    let questions = [
        decide::Question::Predicate(predicate),
        decide::Question::Choice(selection()),
        decide::Question::Score(selection()),
    ];
    match decide::decide("a text", &questions, None) {
        Ok(weights) => {
            format!("{:?}", weights.iter().map(|w| &w.probabilities).collect::<Vec<_>>())
        }
        Err(error) => format!("{error:?}"),
    }
}
