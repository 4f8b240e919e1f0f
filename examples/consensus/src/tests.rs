//! Hard and easy questions, ready and busy experts, without a host.

use std::time::Duration;

use signalbox_sdk::{
    State,
    testing::{self, ExpertBuilder, RequestBuilder},
};

use super::*;

fn expert(id: &str, domain: &str, priority: i32) -> ExpertBuilder {
    testing::expert(id).domain(domain).priority(priority)
}

fn experts() -> Vec<Expert> {
    vec![
        expert("coder", "coding", 3).build(),
        expert("general", "general", 1).build(),
        expert("technical", "technical", 2).build(),
        expert("busy", "technical", 9).estimated_wait(Duration::from_secs(9)).build(),
        expert("cold", "technical", 9).state(State::Cold).build(),
        expert("torn", "technical", 9).state(State::Failed("torn".into())).build(),
    ]
}

/// What is said about a question that is so hard.
fn decided(hard: f64, call: RequestBuilder) -> Decision {
    testing::set_weights(
        move |text, _| if text == "hello" { vec![0.1, 0.9] } else { vec![hard, 1.0 - hard] },
    );
    Consensus::choose(&call.build(), &experts()).unwrap()
}

fn members_of(decision: Decision) -> Vec<String> {
    match decision.plan {
        Plan::Consensus { members, .. } => members,
        _ => vec![],
    }
}

#[test]
fn hard_questions_are_answered_by_those_who_are_ready() {
    let decision = decided(0.7, testing::request("prove it"));
    assert_eq!(decision.reason, "hard (0.70), so general, coder, technical answer it");
    assert_eq!(members_of(decision), ["general", "coder", "technical"]);
    testing::set_config("domains", "technical, coding");
    testing::set_config("mode", "turns");
    testing::set_config("judge", "coder");
    let members = vec!["coder".to_owned(), "technical".to_owned()];
    let expect = Plan::Consensus { members, judge: Some("coder".to_owned()), mode: Mode::Turns };
    assert_eq!(decided(0.7, testing::request("prove it")).plan, expect);
    testing::set_config("wait-ms", "10000");
    testing::set_config("members", "2");
    assert_eq!(members_of(decided(0.7, testing::request("prove it"))), ["busy", "coder"]);
}

#[test]
fn everything_else_goes_to_one_expert() {
    let check = |hard: f64, call: RequestBuilder, why: &str| {
        let decision = decided(hard, call);
        assert!(decision.reason.contains(why), "{}", decision.reason);
        let Plan::Fallback(plan) = decision.plan else { panic!("{:?}", decision.plan) };
        assert_eq!((plan[0].as_str(), plan.len()), ("general", 5), "{plan:?}");
    };
    check(0.7, testing::request("hello"), "not hard enough (0.10)");
    check(0.5, testing::request("prove it"), "not hard enough (0.50)");
    check(0.7, testing::request("prove it").tool("search"), "can't call tools");
    testing::set_config("domains", "coding");
    check(0.7, testing::request("prove it"), "fewer than two");
}

#[test]
fn who_can_not_be_asked_makes_nothing_hard() {
    let decision = Consensus::choose(&testing::request("prove it").build(), &experts()).unwrap();
    assert!(decision.reason.starts_with("nobody says whether it is hard"), "{}", decision.reason);
    let none = Consensus::choose(&testing::request("prove it").build(), &[]);
    assert_eq!(none.unwrap_err().message, "no expert can answer this call");
}
