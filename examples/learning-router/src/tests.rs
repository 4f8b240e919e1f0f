//! Calls whose outcomes are made up: the better expert gets them, and loses them when it becomes the worse one.

use std::{collections::BTreeMap, time::Duration};

use signalbox_sdk::{
    Blame, CallEnd, Plan,
    testing::{self, ExpertBuilder, OutcomeBuilder},
};

use super::*;

/// A question of the kind `short`, and one of the kind `code`.
const SHORT: &str = "Hello?";
const CODE: &str = "What does ```x = 1``` do?";

fn expert(id: &str) -> ExpertBuilder {
    testing::expert(id)
}

fn menu() -> Vec<Expert> {
    vec![expert("slow").priority(5).build(), expert("fast").build(), expert("poor").build()]
}

fn decide(text: &str, experts: &[Expert]) -> (Decision, Vec<String>) {
    let decision = LearningRouter::choose(&testing::request(text).build(), experts).unwrap();
    let Plan::Fallback(plan) = decision.plan.clone() else { panic!("{decision:?}") };
    (decision, plan)
}

/// Asks `calls` times, has the chosen expert do as `does` says, and counts who was chosen.
fn live(
    text: &str,
    experts: &[Expert],
    calls: u32,
    does: impl Fn(&str) -> OutcomeBuilder,
) -> BTreeMap<String, u32> {
    let mut chosen = BTreeMap::new();
    for _ in 0..calls {
        let (decision, plan) = decide(text, experts);
        let request = testing::request(text).build();
        LearningRouter::learn(&request, &testing::decided(&decision), &does(&plan[0]).build());
        *chosen.entry(plan[0].clone()).or_default() += 1;
    }
    chosen
}

fn by_time(times: &[(&'static str, u64)]) -> impl Fn(&str) -> OutcomeBuilder {
    let times: BTreeMap<&str, u64> = times.iter().copied().collect();
    move |id| {
        let total = Duration::from_secs(times.get(id).copied().unwrap_or(60));
        testing::outcome(id).took(total / 10, total)
    }
}

#[test]
fn the_better_expert_gets_nearly_all_calls_and_the_others_one_now_and_then() {
    let chosen = live(SHORT, &menu(), 300, by_time(&[("slow", 40), ("fast", 1)]));
    assert!(chosen["fast"] > 225, "{chosen:?}");
    assert!(chosen["slow"] > 2 && chosen["poor"] > 2, "{chosen:?}");
    let (decision, plan) = decide(SHORT, &menu());
    assert_eq!(plan.len(), 3, "whoever can answer stands behind it");
    assert!(decision.reason.starts_with("short: "), "{}", decision.reason);
}

#[test]
fn when_the_better_one_becomes_worse_the_other_is_found() {
    live(SHORT, &menu(), 300, by_time(&[("slow", 40), ("fast", 1)]));
    live(SHORT, &menu(), 150, by_time(&[("slow", 1), ("fast", 40)]));
    let chosen = live(SHORT, &menu(), 100, by_time(&[("slow", 1), ("fast", 40)]));
    assert!(chosen["slow"] > 70, "{chosen:?}");
}

#[test]
fn kinds_are_learned_apart_and_failures_and_ratings_count() {
    let fails = |id: &str| match id {
        "fast" => testing::outcome(id).end(CallEnd::Failed(Blame::Expert)),
        _ => testing::outcome(id),
    };
    live(CODE, &menu(), 100, fails);
    assert_ne!(decide(CODE, &menu()).1[0], "fast");
    assert_eq!(decide(SHORT, &menu()).1[0], "slow", "nothing is known: the operator's preference");
    let rated = |id: &str| testing::outcome(id).rating(if id == "poor" { 1.0 } else { -1.0 });
    let chosen = live(SHORT, &menu(), 100, rated);
    assert!(chosen["poor"] > 80, "{chosen:?}");
}

#[test]
fn what_says_nothing_of_the_expert_is_not_learned() {
    for end in [
        CallEnd::Failed(Blame::Client),
        CallEnd::Failed(Blame::Policy),
        CallEnd::Stopped,
        CallEnd::Left,
    ] {
        let end = || end.clone();
        live(SHORT, &menu(), 3, |id| testing::outcome(id).end(end()));
    }
    assert!(keyvalue::open().unwrap().keys().unwrap().is_empty());
    let nobody = |id: &str| testing::outcome(id).end(CallEnd::Failed(Blame::Host)).unanswered();
    live(SHORT, &menu()[..1], 1, nobody);
    let (decision, _) = decide(SHORT, &menu()[..1]);
    assert_eq!(decision.reason, "short: slow is worth 0.25 after 1 answers");
}

#[test]
fn only_who_can_answer_is_chosen_and_only_who_is_in_memory_is_tried() {
    let failed = expert("fast").state(State::Failed("torn".into())).build();
    let (_, plan) = decide(SHORT, &[failed, expert("slow").build()]);
    assert_eq!(plan, ["slow"]);
    let none = LearningRouter::choose(&testing::request(SHORT).build(), &[]).unwrap_err();
    assert_eq!(none.message, "no expert can answer this call");
    let blind = testing::request("\u{fffc}").images(1).build();
    assert!(LearningRouter::choose(&blind, &menu()).is_err());
    let cold = [expert("warm").build(), expert("cold").state(State::Cold).build()];
    let chosen = live(SHORT, &cold, 100, by_time(&[("warm", 1)]));
    assert_eq!(chosen["warm"], 100, "{chosen:?}");
}

#[test]
fn a_tools_result_goes_to_who_called_it_and_damage_is_not_known() {
    let call = [("user", "hi"), ("assistant", "calls"), ("tool", "42")];
    let result = testing::conversation(call).previous_expert("poor").build();
    let decision = LearningRouter::choose(&result, &menu()).unwrap();
    let Plan::Fallback(plan) = decision.plan else { panic!("a list") };
    assert_eq!(plan[0], "poor");
    let bucket = keyvalue::open().unwrap();
    bucket.set("short", b"nan nan slow\n9 1e9 fast\nx\n\xff\n").unwrap();
    assert_eq!(decide(SHORT, &menu()).1[0], "slow");
}

#[test]
fn the_same_memory_makes_the_same_choice() {
    live(SHORT, &menu(), 57, by_time(&[("slow", 9), ("fast", 3)]));
    let first = decide(SHORT, &menu()).0;
    assert!((0..20).all(|_| decide(SHORT, &menu()).0 == first));
}
