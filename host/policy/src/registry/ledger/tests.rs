//! Every change of the ledger, and the changes that are refused.

mod trials;

use super::*;
use crate::Change;

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
fn a_rollback_that_would_leave_no_router_or_bring_back_what_was_taken_out_is_not_clear() {
    let clear = |ledger: &Ledger, name| ledger.clone().roll_back_if_clear(name, 9).is_ok();
    let mut ledger = ledger();
    ledger.activate("a", "a1", 1).unwrap();
    assert!(!clear(&ledger, None) && !clear(&ledger, Some("a")), "as the first act");
    ledger.activate("a", "a1", 2).unwrap();
    assert!(!clear(&ledger, None), "an activation that changed nothing is none");
    ledger.activate("a", "a2", 3).unwrap();
    assert!(clear(&ledger, None) && clear(&ledger, Some("a")));
    ledger.activate("guard", "g1", 4).unwrap();
    assert!(clear(&ledger, None) && clear(&ledger, Some("guard")));
    ledger.deactivate("guard", 5).unwrap();
    assert!(!clear(&ledger, None), "it was taken out for a reason");
    assert!(clear(&ledger, Some("guard")), "by name it is meant");
}

#[test]
fn a_rollback_to_a_router_that_is_gone_by_now_is_not_clear() {
    let mut ledger = ledger();
    ledger.activate("a", "a1", 1).unwrap();
    ledger.activate("b", "b1", 2).unwrap();
    ledger.deactivate("a", 3).unwrap();
    let unclear = ledger.clone().roll_back_if_clear(Some("b"), 4).unwrap_err();
    assert!(unclear.to_string().contains("would leave no router"), "{unclear}");
}

#[test]
fn the_last_good_revision_stays_for_as_long_as_another_is_in_force() {
    let mut ledger = ledger();
    ledger.activate("a", "a1", 1).unwrap();
    ledger.activate("a", "a2", 2).unwrap();
    assert!(matches!(ledger.remove("a", "a1"), Err(PolicyError::InUse { .. })));
    ledger.deactivate("a", 3).unwrap();
    ledger.remove("a", "a1").unwrap();
    assert!(matches!(ledger.remove("a", "a2"), Err(PolicyError::InUse { .. })), "a rollback");
    ledger.activate("a", "a2", 4).unwrap();
    assert_eq!(ledger.policies["a"].last_good, None);
}

#[test]
fn activating_the_same_revision_again_is_nothing_to_roll_back() {
    let mut ledger = ledger();
    ledger.activate("a", "a1", 1).unwrap();
    ledger.activate("a", "a2", 2).unwrap();
    ledger.activate("a", "a2", 3).unwrap();
    assert_eq!(ledger.roll_back(None, 4).unwrap().undoes, Some(2));
    check(&ledger, "a1", " | a | ");
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
        ledger.demote(&policy("a", revision), Cause::Breaker, "kept failing", 3)
    };
    demote(&mut ledger, "a2").unwrap();
    check(&ledger, "a1", " | a | ");
    let slot = &ledger.policies["a"];
    assert_eq!(slot.requested.as_deref(), Some("a2"));
    assert_eq!(slot.problem.as_deref(), Some("kept failing"));
    assert_eq!(demote(&mut ledger, "a2"), None);
    assert_eq!(demote(&mut ledger, "a1"), None, "nothing can take over");
    check(&ledger, "a1", " | a | ");
    ledger.roll_back(Some("a"), 4).unwrap();
    check(&ledger, "a1", " | a | ");
    ledger.roll_back(Some("a"), 5).unwrap();
    check(&ledger, "", " | - | ");
}

#[test]
fn a_good_revision_that_lacks_a_hook_takes_nothing_over() {
    let mut ledger = ledger();
    ledger.activate("guard", "g2", 1).unwrap();
    ledger.activate("guard", "g1", 2).unwrap();
    assert_eq!(ledger.demote(&policy("guard", "g1"), Cause::Start, "damaged", 3), None);
    check(&ledger, "g1", "guard | - | guard");
}

#[test]
fn a_router_gives_way_to_the_newest_before_it_that_is_in_force() {
    let mut ledger = ledger();
    ledger.add("c", stored("c1", &[Hook::Route]), 9);
    ledger.activate("a", "a1", 1).unwrap();
    ledger.activate("b", "b1", 2).unwrap();
    ledger.activate("c", "c1", 3).unwrap();
    ledger.deactivate("b", 4).unwrap();
    let reroute = |ledger: &mut Ledger, name, revision| {
        ledger.reroute(&policy(name, revision), "kept failing", 5).is_some()
    };
    assert!(!reroute(&mut ledger, "a", "a1"), "it does not route");
    assert!(reroute(&mut ledger, "c", "c1"));
    check(&ledger, "a1 c1", " | a | ");
    let mut alone = super::tests::ledger();
    alone.activate("a", "a1", 1).unwrap();
    assert!(!reroute(&mut alone, "a", "a1"));
    check(&alone, "a1", " | a | ");
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

/// A ledger as a program of this kind writes it, with whole revisions.
fn written() -> Ledger {
    let mut ledger = Ledger::default();
    ledger.add("a", stored(&"a".repeat(64), &[Hook::Route]), 9);
    ledger.add("guard", stored(&"b".repeat(64), &[Hook::Pre, Hook::Post]), 9);
    ledger.activate("a", &"a".repeat(64), 1).unwrap();
    ledger.activate("guard", &"b".repeat(64), 2).unwrap();
    ledger
}

#[test]
fn the_state_file_reads_back() {
    let ledger = written();
    assert_eq!(Ledger::parse(&ledger.text().unwrap()).unwrap(), ledger);
}

#[test]
fn a_state_that_cannot_be_followed_whole_is_refused() {
    let check = |change: &dyn Fn(&mut Ledger), message: &str| {
        let mut ledger = written();
        change(&mut ledger);
        let refused = Ledger::parse(&ledger.text().unwrap()).unwrap_err();
        assert!(refused.contains(message), "{refused}");
    };
    check(&|l| l.version = 9, "layout 9");
    check(&|l| drop(l.policies.remove("guard")), "which it does not know");
    check(&|l| l.pipeline.pre.push("a".into()), "without a revision for it");
    check(&|l| l.policies.get_mut("guard").unwrap().active = None, "without a revision");
    check(&|l| l.policies.get_mut("guard").unwrap().revisions.clear(), "without a revision");
    let path = |l: &mut Ledger| l.add("x", stored("../../state", &[]), 9);
    check(&path, "is no sha256");
    let lost = |l: &mut Ledger| {
        l.pipeline.route = None;
        l.policies.get_mut("a").unwrap().active = Some("c".repeat(64));
    };
    check(&lost, "is not among its revisions");
}

mod invariants {
    use proptest::prelude::*;

    use super::*;

    /// What may happen, by operators and by the host.
    #[derive(Debug, Clone)]
    enum Step {
        Activate(usize),
        Deactivate(usize),
        RollBack(Option<usize>),
        SetPipeline(Vec<usize>),
        Demote(usize, bool),
        Reroute(usize),
    }

    const NAMES: [&str; 3] = ["a", "b", "guard"];
    const REVISIONS: [(&str, &str); 5] =
        [("a", "a1"), ("a", "a2"), ("b", "b1"), ("guard", "g1"), ("guard", "g2")];

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..REVISIONS.len()).prop_map(Step::Activate),
            (0..NAMES.len()).prop_map(Step::Deactivate),
            proptest::option::of(0..NAMES.len()).prop_map(Step::RollBack),
            proptest::collection::vec(0..NAMES.len(), 0..3).prop_map(Step::SetPipeline),
            (0..NAMES.len(), any::<bool>()).prop_map(|(name, start)| Step::Demote(name, start)),
            (0..NAMES.len()).prop_map(Step::Reroute),
        ]
    }

    /// The revision in force of a policy, as the host would name it in a failure.
    fn in_force(ledger: &Ledger, name: &str) -> PolicyRef {
        policy(name, ledger.policies[name].active.as_deref().unwrap_or("none"))
    }

    /// Takes the step; whether an operator did.
    fn take(ledger: &mut Ledger, step: &Step) -> bool {
        match step {
            Step::Activate(at) => drop(ledger.activate(REVISIONS[*at].0, REVISIONS[*at].1, 0)),
            Step::Deactivate(at) => drop(ledger.deactivate(NAMES[*at], 0)),
            Step::RollBack(at) => drop(ledger.roll_back(at.map(|at| NAMES[at]), 0)),
            Step::SetPipeline(at) => {
                let pre = at.iter().map(|at| NAMES[*at].to_string()).collect();
                drop(ledger.set_pipeline(Pipeline { pre, ..Pipeline::default() }, 0));
            }
            Step::Demote(at, start) => {
                let cause = if *start { Cause::Start } else { Cause::Breaker };
                drop(ledger.demote(&in_force(ledger, NAMES[*at]), cause, "failed", 0));
                return false;
            }
            Step::Reroute(at) => {
                drop(ledger.reroute(&in_force(ledger, NAMES[*at]), "failed", 0));
                return false;
            }
        }
        true
    }

    proptest! {
        /// Only operators take a policy out of `pre` and `post`, and a router only makes room for a
        /// router; and a registry can always read what it wrote.
        #[test]
        fn the_host_never_takes_a_policy_out(steps in proptest::collection::vec(step(), 0..40)) {
            let mut ledger = ledger();
            for step in steps {
                let before = ledger.pipeline.clone();
                let by_operator = take(&mut ledger, &step);
                let after = &ledger.pipeline;
                if !by_operator {
                    prop_assert_eq!((&before.pre, &before.post), (&after.pre, &after.post));
                    prop_assert_eq!(before.route.is_some(), after.route.is_some());
                }
                for (hook, name) in after.iter() {
                    prop_assert!(ledger.policies[name].hooks().contains(&hook), "{} {}", hook, name);
                }
            }
        }
    }
}
