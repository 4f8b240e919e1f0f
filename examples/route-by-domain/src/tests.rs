//! The router on its own, and on every prompt that the toy experts were recorded with.

mod evaluation;
mod keywords;
mod training;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use signalbox_sdk::{Decision, Expert, Plan, Route, State, testing};

use crate::RouteByDomain;

const EXPERTS: [(&str, &str); 5] = [
    ("phi4_fast", "general"),
    ("mistral_balanced", "technical"),
    ("qwen_coder", "coding"),
    ("gemma3_multimodal", "multimodal_expert"),
    ("aya_expanse_multilingual", "multilingual_expert"),
];

fn menu() -> Vec<Expert> {
    EXPERTS.iter().map(|(id, domain)| testing::expert(id).domain(domain).build()).collect()
}

fn decide(text: &str, experts: &[Expert]) -> Decision {
    RouteByDomain::choose(&testing::request(text).build(), experts).unwrap()
}

fn order(decision: &Decision) -> Vec<&str> {
    let Plan::Fallback(ids) = &decision.plan else { panic!("{decision:?}") };
    ids.iter().map(String::as_str).collect()
}

#[test]
fn what_a_text_is_about_and_not_its_first_word_decides() {
    let check = |text: &str, expert: &str| {
        let decision = decide(text, &menu());
        assert_eq!(order(&decision)[0], expert, "{text}: {}", decision.reason);
    };
    check("Can you please summarise the plot of Hamlet?", "gemma3_multimodal");
    check("fn main() {\n    println!(\"hi\");\n}", "qwen_coder");
    check("Why does this fail?\n```\nx = [1\n```", "qwen_coder");
    check("SELECT name, count(*) FROM users GROUP BY name", "qwen_coder");
    check("sudo systemctl restart nginx", "qwen_coder");
    check("git rebase -i HEAD~3", "qwen_coder");
    check("Select a gift from the list for me", "phi4_fast");
    check("Как дела?", "aya_expanse_multilingual");
    check("¿Puedes traducir esto al inglés?", "aya_expanse_multilingual");
    check("Por favor: convierte 3 millas a kilómetros", "mistral_balanced");
    check("", "phi4_fast");
    check("...", "phi4_fast");
    check("Now make it shorter", "phi4_fast");
}

#[test]
fn a_conversation_stays_with_its_expert_until_the_subject_changes() {
    let ask = |turns: &[(&str, &str)]| {
        let call = testing::conversation(turns.iter().copied()).build();
        RouteByDomain::choose(&call, &menu()).unwrap()
    };
    let code = ("user", "Write a Python function that adds two numbers");
    let done = ("assistant", "def add(a, b): return a + b");
    let check = |next: &str, expert: &str| {
        let decision = ask(&[code, done, ("user", next)]);
        assert_eq!(order(&decision)[0], expert, "{next}: {}", decision.reason);
    };
    check("Now make it shorter", "qwen_coder");
    check("y en JavaScript?", "qwen_coder");
    check("Thanks!", "qwen_coder");
    check("Why?", "qwen_coder");
    check("", "qwen_coder");
    check("Translate 'good night' into French", "aya_expanse_multilingual");
    check("Convert 5 miles to kilometres", "mistral_balanced");
    // Two steps back, and while a tool's answer waits to be read.
    let tool = ("tool", "{\"rows\": 3}");
    let waits = ask(&[code, done, ("user", "shorter"), done, ("user", "and again"), done, tool]);
    assert_eq!(order(&waits)[0], "qwen_coder");
    assert!(waits.reason.starts_with("coding: goes on with '"), "{}", waits.reason);
}

#[test]
fn a_domain_that_the_operator_made_needs_no_code() {
    let expert = |id: &str, domain: &str, words: &str| {
        testing::expert(id).domain(domain).description(words).build()
    };
    let mut experts = menu();
    experts.push(expert("advocate", "legal", "Contracts and leases. Use cases: employment law"));
    experts.push(expert("smith", "horology", "Repairs watches. Use cases: escapement; mainspring"));
    let check = |text: &str, expert: &str| {
        let decision = decide(text, &experts);
        assert_eq!(order(&decision)[0], expert, "{text}: {}", decision.reason);
    };
    check("Can my landlord keep the deposit?", "advocate");
    check("¿Puede mi jefe cancelar el contrato por despido?", "advocate");
    check("Which oil does a mainspring need?", "smith");
    check("Write a Python function that prints a contract", "qwen_coder");
    check("Translate this contract into French", "aya_expanse_multilingual");
    check("What is the capital of France?", "phi4_fast");
    let decision = decide("Can my landlord keep the deposit?", &experts);
    assert_eq!(decision.reason, "legal: 'deposit', 'landlord'; 80 %");
}

#[test]
fn operators_may_name_a_taught_domain_otherwise() {
    let named = |id: &str, domain: &str| testing::expert(id).domain(domain).build();
    let experts = [named("a", "chat"), named("b", "Code"), named("c", "translation")];
    let check = |text: &str, expert: &str| assert_eq!(order(&decide(text, &experts))[0], expert);
    check("Write a quicksort in Rust", "b");
    check("Translate 'hello' to Greek", "c");
    check("Hello!", "a");
    check("What is a diode?", "a");
}

#[test]
fn the_result_of_a_tool_goes_to_the_expert_that_called_it() {
    let turns = [("user", "What is 3 + 4?"), ("assistant", "sum(3, 4)"), ("tool", "7")];
    let check = |menu: &[Expert], previous: &str, expert: &str| {
        let call = testing::conversation(turns).previous_expert(previous).build();
        let decision = RouteByDomain::choose(&call, menu).unwrap();
        assert_eq!(order(&decision)[0], expert, "{}", decision.reason);
    };
    check(&menu(), "aya_expanse_multilingual", "aya_expanse_multilingual");
    check(&menu(), "qwen_coder", "qwen_coder");
    let failed = |id: &str| testing::expert(id).state(State::Failed("torn".into())).build();
    check(&[failed("lost"), testing::expert("phi4_fast").build()], "lost", "phi4_fast");
}

#[test]
fn the_reason_names_what_was_seen() {
    let decision = decide("Write a Python function that adds", &menu());
    assert!(decision.reason.starts_with("coding: '"), "{}", decision.reason);
    assert!(decision.reason.contains("'python'"), "{}", decision.reason);
    assert_eq!(order(&decision), ["qwen_coder", "phi4_fast"]);
    testing::set_config("confidence-min", "1");
    let unsure = decide("Write a Python function that adds", &menu());
    assert!(unsure.reason.starts_with("general: no domain stands out; "), "{}", unsure.reason);
    assert_eq!(decide("", &menu()).reason, "general: no domain stands out; 0 %");
}

#[test]
fn among_experts_of_a_domain_the_readiest_comes_first() {
    let coder = |id: &str| testing::expert(id).domain("coding");
    let experts = [
        coder("cold").state(State::Cold).priority(9).build(),
        coder("busy").estimated_wait(Duration::from_millis(900)).priority(9).build(),
        coder("free").estimated_wait(Duration::from_millis(2)).build(),
        coder("dead").state(State::Failed("no such file".into())).build(),
        testing::expert("chat").build(),
    ];
    let decision = decide("Write a Python class", &experts);
    assert_eq!(order(&decision), ["free", "busy", "cold", "chat"]);
}

#[test]
fn a_failed_expert_is_never_chosen() {
    let failed = || State::Failed("truncated".into());
    let coder = || testing::expert("coder").domain("coding");
    let experts = [coder().state(failed()).build(), testing::expert("chat").build()];
    let decision = decide("Write a Python class", &experts);
    assert_eq!(order(&decision), ["chat"]);
    assert!(decision.reason.ends_with("; its expert is not available"), "{}", decision.reason);

    let only_coder = [coder().build(), testing::expert("chat").state(failed()).build()];
    assert_eq!(order(&decide("hello", &only_coder)), ["coder"]);

    let none = [coder().state(failed()).build()];
    let refusal = RouteByDomain::choose(&testing::request("hello").build(), &none).unwrap_err();
    assert_eq!(refusal.message, "no expert can answer: all of them failed");
}

#[test]
fn images_go_to_an_expert_that_sees() {
    let experts =
        [testing::expert("chat").build(), testing::expert("seer").capability("images").build()];
    let call = testing::request("Write a Python class").images(1).build();
    let decision = RouteByDomain::choose(&call, &experts).unwrap();
    assert_eq!(order(&decision), ["seer"], "a blind expert can't step in");
    assert_eq!(decision.reason, "images: the call has images; 100 %");

    let blind = [testing::expert("chat").build()];
    let decision = RouteByDomain::choose(&call, &blind).unwrap();
    assert_eq!(order(&decision), ["chat"], "and says that it can't see");
}

/// Prompt by the domains that were recorded with it: "Who are you?" is every expert's.
fn recorded() -> BTreeMap<String, BTreeSet<String>> {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/models");
    let mut prompts = BTreeMap::<_, BTreeSet<_>>::new();
    for (expert, _) in EXPERTS {
        let text = fs::read_to_string(models.join(expert).join("recorded.json")).unwrap();
        let recorded: serde_json::Value = serde_json::from_str(&text).unwrap();
        for entry in recorded["entries"].as_array().unwrap() {
            let prompt = entry["prompt"].as_str().unwrap().to_owned();
            let domain = recorded["domain"].as_str().unwrap().to_owned();
            prompts.entry(prompt).or_default().insert(domain);
        }
    }
    prompts
}

#[test]
fn recorded_prompts_find_their_experts() {
    let (experts, prompts) = (menu(), recorded());
    assert!(prompts.len() > 300, "only {} prompts were recorded", prompts.len());
    for (_, domain) in EXPERTS {
        let own: Vec<_> = prompts.iter().filter(|(_, known)| known.contains(domain)).collect();
        let wrong: Vec<_> =
            own.iter().filter_map(|(p, known)| astray(p, known, &experts)).collect();
        println!("{domain}: {} of {}", own.len() - wrong.len(), own.len());
        assert!(wrong.len() * 100 <= own.len(), "{domain}:\n{}", wrong.join("\n"));
    }
}

/// What the router said of `prompt`, when it chose none of the experts that know it.
fn astray(prompt: &str, known: &BTreeSet<String>, experts: &[Expert]) -> Option<String> {
    let decision = decide(prompt, experts);
    let (_, chosen) = EXPERTS.iter().find(|(id, _)| *id == order(&decision)[0]).unwrap();
    (!known.contains(*chosen)).then(|| format!("{prompt} -> {}", decision.reason))
}
