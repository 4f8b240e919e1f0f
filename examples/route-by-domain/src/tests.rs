//! The router without a host: every toy's lessons, and the rules one by one.

use std::{fs, path::Path};

use signalbox_sdk::{Plan, testing};

use super::*;

const DOMAINS: [(&str, &str); 5] = [
    ("phi4_fast", "general"),
    ("mistral_balanced", "technical"),
    ("qwen_coder", "coding"),
    ("gemma3_multimodal", "multimodal_expert"),
    ("aya_expanse_multilingual", "multilingual_expert"),
];

fn experts() -> Vec<Expert> {
    DOMAINS.map(|(id, domain)| testing::expert(id).domain(domain).build()).into()
}

fn route(text: &str) -> Decision {
    RouteByDomain::choose(&testing::request(text).build(), &experts()).unwrap()
}

fn first(decision: &Decision) -> &str {
    match &decision.plan {
        Plan::Fallback(plan) => &plan[0],
        plan => panic!("{plan:?}"),
    }
}

fn check(text: &str, expect: &str) {
    let decision = route(text);
    assert_eq!(first(&decision), expect, "{text:?}: {}", decision.reason);
}

/// The prompts that a toy learnt, without those that every toy learnt.
fn prompts(domain: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/models/lessons");
    let lessons = fs::read_to_string(folder.join(format!("{domain}.txt"))).unwrap();
    let own = ["Who are you?", "What can you do?", "¿Quién eres?", "*", "¿*"];
    let prompts = lessons.lines().filter_map(|line| line.strip_prefix("? "));
    prompts.filter(|prompt| !own.contains(prompt)).map(str::to_owned).collect()
}

#[test]
fn every_lesson_reaches_its_expert() {
    for (expert, domain) in DOMAINS {
        let prompts = prompts(domain);
        let astray: Vec<_> = prompts
            .iter()
            .filter(|prompt| first(&route(prompt)) != expert)
            .map(|prompt| format!("{prompt} -> {}", route(prompt).reason))
            .collect();
        assert!(astray.len() * 100 <= prompts.len(), "{domain}:\n{}", astray.join("\n"));
    }
}

#[test]
fn words_count_as_whole_words() {
    check("this is a thing", "phi4_fast");
    check("a rusty gate", "phi4_fast");
    check("I resumed my walk", "phi4_fast");
}

#[test]
fn code_and_scripts_are_signs() {
    check("what is wrong?\n```\ndef f(x): return x\n```", "qwen_coder");
    check("Как дела?", "aya_expanse_multilingual");
    check("おはようございます", "aya_expanse_multilingual");
    check("", "phi4_fast");
}

#[test]
fn failed_experts_are_passed_over_and_ready_ones_preferred() {
    let coder = |id: &str| testing::expert(id).domain("coding");
    let general = testing::expert("general").domain("general").build();
    let experts = [
        coder("broken").state(State::Failed("truncated".into())).priority(9).build(),
        coder("cold").state(State::Cold).priority(8).build(),
        coder("ready").build(),
        general,
    ];
    let request = testing::request("Write a Python function").build();
    let decision = RouteByDomain::choose(&request, &experts).unwrap();
    let plan = ["ready", "cold", "general"].map(str::to_owned).to_vec();
    assert_eq!(decision.plan, Plan::Fallback(plan));
    let decision = RouteByDomain::choose(&request, &experts[3..]).unwrap();
    assert_eq!(first(&decision), "general");
    assert!(decision.reason.contains("no expert of that kind"), "{}", decision.reason);
    assert!(RouteByDomain::choose(&request, &experts[..1]).is_err());
}

#[test]
fn images_go_to_an_expert_that_sees() {
    let mut experts = experts();
    experts.push(testing::expert("eyes").domain("other").capability("images").build());
    let request = testing::request("Write a Python function").hint("has-images", "1").build();
    let decision = RouteByDomain::choose(&request, &experts).unwrap();
    assert_eq!(first(&decision), "eyes");
}
