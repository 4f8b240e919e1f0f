//! Every change of the ledger, and the changes that are refused.

use super::*;

pub(in crate::registry) fn stored(revision: &str, hooks: &[Hook]) -> Stored {
    Stored {
        revision: revision.into(),
        bytes: 1,
        uploaded_unix_ms: 0,
        hooks: hooks.to_vec(),
        imports: Vec::new(),
    }
}

/// Two routers, `a` with two revisions, and a guard with two hooks.
fn ledger() -> Ledger {
    let mut ledger = Ledger::default();
    ledger.add("a", stored("a1", &[Hook::Route]), 9);
    ledger.add("a", stored("a2", &[Hook::Route]), 9);
    ledger.add("b", stored("b1", &[Hook::Route]), 9);
    ledger.add("guard", stored("g1", &[Hook::Pre, Hook::Post]), 9);
    ledger.add("guard", stored("g2", &[Hook::Pre]), 9);
    ledger
}

fn active(ledger: &Ledger) -> String {
    let every: Vec<String> = ledger.active().map(|policy| policy.revision).collect();
    every.join(" ")
}

fn pipeline(ledger: &Ledger) -> String {
    let Pipeline { pre, route, post } = &ledger.pipeline;
    let route = route.as_deref().unwrap_or("-");
    format!("{} | {route} | {}", pre.join(" "), post.join(" "))
}

fn check(ledger: &Ledger, expect_active: &str, expect_pipeline: &str) {
    assert_eq!((active(ledger), pipeline(ledger)), (expect_active.into(), expect_pipeline.into()));
}

fn policy(name: &str, revision: &str) -> PolicyRef {
    PolicyRef { name: name.into(), revision: revision.into() }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn a_router_replaces_the_router_and_others_join_the_end() {
    let mut ledger = ledger();
    ledger.activate("a", "a1", 1).unwrap();
    ledger.activate("guard", "g1", 2).unwrap();
    check(&ledger, "a1 g1", "guard | a | guard");
    ledger.activate("b", "b1", 3).unwrap();
    check(&ledger, "a1 b1 g1", "guard | b | guard");
    let again = ledger.activate("a", "a2", 4).unwrap();
    check(&ledger, "a2 b1 g1", "guard | a | guard");
    let change = Change { policy: "a".into(), from: Some("a1".into()), to: Some("a2".into()) };
    assert_eq!((again.generation, again.changes), (4, vec![change]));
}

#[test]
fn a_revision_without_a_hook_leaves_that_place() {
    let mut ledger = ledger();
    ledger.activate("guard", "g1", 1).unwrap();
    ledger.activate("guard", "g2", 2).unwrap();
    check(&ledger, "g2", "guard | - | ");
    ledger.activate("guard", "g1", 3).unwrap();
    check(&ledger, "g1", "guard | - | guard");
}

#[test]
fn a_place_the_operator_took_away_is_not_given_back() {
    let mut ledger = ledger();
    ledger.activate("guard", "g1", 1).unwrap();
    let pre_only = Pipeline { pre: names(&["guard"]), ..Pipeline::default() };
    ledger.set_pipeline(pre_only, 2).unwrap();
    ledger.activate("guard", "g1", 3).unwrap();
    check(&ledger, "g1", "guard | - | ");
}

#[test]
fn rollbacks_go_further_back_each_time() {
    let mut ledger = ledger();
    ledger.activate("a", "a1", 1).unwrap();
    ledger.activate("b", "b1", 2).unwrap();
    ledger.activate("a", "a2", 3).unwrap();
    assert_eq!(ledger.roll_back(None, 4).unwrap().undoes, Some(3));
    check(&ledger, "a1 b1", " | b | ");
    ledger.roll_back(None, 5).unwrap();
    check(&ledger, "a1", " | a | ");
    ledger.roll_back(None, 6).unwrap();
    check(&ledger, "", " | - | ");
    assert_eq!(ledger.roll_back(None, 7), Err(PolicyError::NothingToRollBack));
}

#[test]
fn one_policy_is_rolled_back_without_touching_the_others() {
    let mut ledger = ledger();
    ledger.activate("a", "a1", 1).unwrap();
    ledger.activate("b", "b1", 2).unwrap();
    ledger.activate("guard", "g1", 3).unwrap();
    ledger.roll_back(Some("b"), 4).unwrap();
    check(&ledger, "a1 g1", "guard | a | guard");
    ledger.roll_back(Some("guard"), 5).unwrap();
    check(&ledger, "a1", " | a | ");
    assert_eq!(ledger.roll_back(Some("b"), 6), Err(PolicyError::NothingToRollBack));
}

#[test]
fn a_deactivated_policy_comes_back_where_it_was() {
    let mut ledger = ledger();
    ledger.add("other", stored("o1", &[Hook::Pre]), 9);
    ledger.activate("guard", "g1", 1).unwrap();
    ledger.activate("other", "o1", 2).unwrap();
    ledger.deactivate("guard", 3).unwrap();
    check(&ledger, "o1", "other | - | ");
    ledger.roll_back(Some("guard"), 4).unwrap();
    check(&ledger, "g1 o1", "guard other | - | guard");
}

#[test]
fn a_failing_revision_falls_to_the_last_good_one_and_never_flaps() {
    let mut ledger = ledger();
    ledger.activate("a", "a1", 1).unwrap();
    ledger.activate("a", "a2", 2).unwrap();
    let demote = |ledger: &mut Ledger, revision| {
        ledger.demote(&policy("a", revision), Cause::Breaker, "kept failing".into(), 3)
    };
    demote(&mut ledger, "a2").unwrap();
    check(&ledger, "a1", " | a | ");
    let slot = &ledger.policies["a"];
    assert_eq!(slot.requested.as_deref(), Some("a2"));
    assert_eq!(slot.problem.as_deref(), Some("kept failing"));
    assert_eq!(demote(&mut ledger, "a2"), None);
    demote(&mut ledger, "a1").unwrap();
    check(&ledger, "", " | - | ");
}

#[test]
fn a_pipeline_names_active_policies_with_that_hook_once() {
    let mut ledger = ledger();
    ledger.activate("guard", "g1", 1).unwrap();
    let mut check = |pre: &[&str], route: Option<&str>, code: &str| {
        let (pre, route) = (names(pre), route.map(Into::into));
        let error = ledger.set_pipeline(Pipeline { pre, route, post: vec![] }, 2).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    };
    check(&["nobody"], None, "policy_not_found");
    check(&["guard", "guard"], None, "pipeline_invalid");
    check(&[], Some("guard"), "pipeline_invalid");
    check(&[], Some("a"), "pipeline_invalid");
}

#[test]
fn prefixes_must_fit_one_revision() {
    let ledger = ledger();
    assert_eq!(ledger.resolve("a", "A2").unwrap(), "a2");
    let code = |name, prefix| ledger.resolve(name, prefix).unwrap_err().code().to_string();
    assert_eq!(code("a", "a"), "revision_ambiguous");
    assert_eq!(code("a", "c"), "revision_not_found");
    assert_eq!(code("b", ""), "revision_not_found");
    assert_eq!(code("nobody", "a"), "policy_not_found");
}

#[test]
fn what_is_needed_stays() {
    let mut ledger = ledger();
    ledger.add("a", stored("a3", &[Hook::Route]), 9);
    ledger.activate("a", "a1", 1).unwrap();
    ledger.activate("a", "a2", 2).unwrap();
    assert_eq!(ledger.remove("a", "a2").unwrap_err().code(), "revision_in_use");
    assert_eq!(ledger.remove("a", "a1").unwrap_err().code(), "revision_in_use");
    ledger.remove("a", "a3").unwrap();
    ledger.remove("b", "b1").unwrap();
    assert!(!ledger.policies.contains_key("b"));
}

#[test]
fn beyond_the_limit_the_oldest_revision_that_nothing_needs_goes() {
    let mut ledger = ledger();
    ledger.activate("a", "a1", 1).unwrap();
    ledger.add("a", stored("a3", &[Hook::Route]), 2);
    let left: Vec<&str> =
        ledger.policies["a"].revisions.iter().map(|known| known.revision.as_str()).collect();
    assert_eq!(left, ["a1", "a3"]);
}

#[test]
fn the_state_file_reads_back() {
    let mut ledger = ledger();
    ledger.activate("a", "a1", 1).unwrap();
    assert_eq!(Ledger::parse(&ledger.text().unwrap()).unwrap(), ledger);
    let newer = String::from_utf8(ledger.text().unwrap())
        .unwrap()
        .replace("\"version\": 1", "\"version\": 9");
    assert!(Ledger::parse(newer.as_bytes()).unwrap_err().contains("layout 9"));
}
