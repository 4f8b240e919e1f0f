//! Near, nearly as near, and near to nothing, without a host: a vector counts a few words.

use signalbox_sdk::{
    Plan, State,
    testing::{self, ExpertBuilder, RequestBuilder},
};

use super::*;

/// Subjects by a word each; the last element keeps texts about nothing from having no direction.
fn vectors() {
    testing::set_vectors(|text| {
        let count = |word: &str| text.matches(word).count() as f32;
        vec![count("code"), count("law"), count("poem"), 0.1]
    });
}

fn expert(id: &str, description: &str) -> ExpertBuilder {
    testing::expert(id).domain(id).description(description)
}

fn experts() -> Vec<Expert> {
    vec![
        expert("general", "").priority(5).build(),
        expert("coder", "Writes code. Use cases: code review; code in Rust").build(),
        expert("lawyer", "law").build(),
    ]
}

fn asked(call: RequestBuilder, experts: &[Expert]) -> (Vec<String>, String) {
    let decision = SemanticRouter::choose(&call.build(), experts).unwrap();
    let plan = match decision.plan {
        Plan::Expert(expert) => vec![expert],
        Plan::Fallback(experts) => experts,
        other => panic!("{other:?}"),
    };
    (plan, decision.reason)
}

fn check(text: &str, experts: &[Expert], expect: &[&str]) {
    assert_eq!(asked(testing::request(text), experts).0, expect, "{text}");
}

#[test]
fn the_nearest_purpose_decides_and_nothing_near_goes_to_a_general_expert() {
    vectors();
    check("review this code", &experts(), &["coder", "general"]);
    check("what does the law say?", &experts(), &["lawyer", "general"]);
    check("good morning", &experts(), &["general"]);
    let (_, reason) = asked(testing::request("some code"), &experts());
    assert_eq!(reason, "near to 'Writes code.' (1.00)");
    testing::set_config("examples.lawyer", "leases; a poem about a judge");
    check("a poem, please", &experts(), &["lawyer", "general"]);
    testing::set_config("threshold", "1.1");
    check("review this code", &experts(), &["general"]);
}

#[test]
fn nobody_is_loaded_for_a_hairs_breadth_and_a_failed_expert_is_passed_over() {
    vectors();
    let with = |coder: State| {
        let mut experts = experts();
        experts.push(expert("coder2", "code, and law now and then").build());
        experts[1] = expert("coder", "code").state(coder).build();
        experts
    };
    testing::set_config("margin", "0.3");
    check("code", &with(State::Resident), &["coder", "coder2", "general"]);
    check("code", &with(State::Cold), &["coder2", "coder", "general"]);
    check("code", &with(State::Failed("torn".into())), &["coder2", "general"]);
    testing::set_config("margin", "0.01");
    check("code", &with(State::Cold), &["coder", "general"]);
}

#[test]
fn who_has_computed_most_of_the_prompt_goes_first_among_equals() {
    vectors();
    let coder = |id, tokens| expert(id, "code").cached_tokens(tokens).build();
    let experts = [coder("first", 0), coder("second", 40), coder("third", 20)];
    check("code", &experts, &["second", "third", "first"]);
}

#[test]
fn a_conversation_stays_where_nothing_else_is_near_and_a_tools_result_in_any_case() {
    vectors();
    let experts = experts();
    let shorter = testing::request("make it shorter").previous_expert("lawyer");
    assert_eq!(asked(shorter, &experts).0, ["lawyer", "general"]);
    let other = testing::request("now some code").previous_expert("lawyer");
    assert_eq!(asked(other, &experts).0[0], "coder");
    let call = [("user", "code"), ("assistant", "calls"), ("tool", "42")];
    let result = testing::conversation(call).previous_expert("lawyer");
    assert_eq!(asked(result, &experts).0[0], "lawyer");
}

#[test]
fn images_go_to_who_sees_and_without_vectors_a_general_expert_answers() {
    let (plan, reason) = asked(testing::request("review this code"), &experts());
    assert_eq!((plan, reason.starts_with("no vectors (")), (vec!["general".to_owned()], true));
    let seer = testing::expert("seer").domain("vision").capability("images").build();
    let mut experts = experts();
    experts.push(seer);
    assert_eq!(asked(testing::request("\u{fffc} code").images(1), &experts).0, ["seer"]);
    let blind =
        SemanticRouter::choose(&testing::request("\u{fffc}").images(1).build(), &experts[..3]);
    assert_eq!(blind.unwrap_err().message, "no expert can answer this call");
}
