//! Revisions on trial: how they begin, what ends them, and what they leave as it is.

use super::*;

/// `a1` routes, and the guard works in both hooks.
fn in_force() -> Ledger {
    let mut ledger = ledger();
    ledger.activate("a", "a1", 1).unwrap();
    ledger.activate("guard", "g1", 2).unwrap();
    ledger
}

fn trial(ledger: &Ledger, name: &str) -> (Option<String>, Option<String>) {
    let slot = &ledger.policies[name];
    (slot.canary.as_ref().map(|canary| canary.revision.clone()), slot.shadow.clone())
}

#[test]
fn a_canary_leaves_in_force_what_is_and_is_promoted_or_rolled_back() {
    let mut ledger = in_force();
    let begun = ledger.begin_canary("a", "a2", 10, 3).unwrap();
    check(&ledger, "a1 g1", "guard | a | guard");
    let change = |from: Option<&str>, to: Option<&str>| Change {
        policy: "a".into(),
        from: from.map(Into::into),
        to: to.map(Into::into),
    };
    assert_eq!((begun.cause, begun.changes.len()), (Cause::Canary, 0));
    assert_eq!(begun.canaries, [change(None, Some("a2"))]);
    assert!(matches!(ledger.remove("a", "a2"), Err(PolicyError::InUse { .. })));
    let ended = ledger.roll_back_if_clear(Some("a"), 4).unwrap();
    assert_eq!((ended.canaries, trial(&ledger, "a").0), (vec![change(Some("a2"), None)], None));
    check(&ledger, "a1 g1", "guard | a | guard");
    ledger.begin_canary("a", "a2", 10, 5).unwrap();
    ledger.promote("a", 6).unwrap();
    check(&ledger, "a2 g1", "guard | a | guard");
    assert_eq!(trial(&ledger, "a").0, None);
    assert!(matches!(ledger.promote("a", 7), Err(PolicyError::NoCanaryThere { .. })));
    ledger.roll_back_if_clear(Some("a"), 8).unwrap();
    check(&ledger, "a1 g1", "guard | a | guard");
}

#[test]
fn who_says_back_ends_the_canary_that_is_the_newest_change() {
    let mut ledger = in_force();
    ledger.begin_canary("a", "a2", 10, 3).unwrap();
    ledger.roll_back_if_clear(None, 4).unwrap();
    assert_eq!(trial(&ledger, "a").0, None);
    check(&ledger, "a1 g1", "guard | a | guard");
    ledger.begin_canary("a", "a2", 10, 5).unwrap();
    ledger.activate("b", "b1", 6).unwrap();
    ledger.roll_back_if_clear(None, 7).unwrap();
    check(&ledger, "a1 g1", "guard | a | guard");
    assert_eq!(trial(&ledger, "a").0.as_deref(), Some("a2"), "an older one stays");
}

#[test]
fn a_guards_canary_has_every_hook_that_the_pipeline_calls() {
    let mut ledger = in_force();
    let refused = ledger.begin_canary("guard", "g2", 50, 3).unwrap_err().to_string();
    assert!(refused.contains("it has no post hook"), "{refused}");
    ledger.set_pipeline(Pipeline { pre: names(&["guard"]), ..Pipeline::default() }, 4).unwrap();
    ledger.begin_canary("guard", "g2", 50, 5).unwrap();
    let both = Pipeline { pre: names(&["guard"]), route: None, post: names(&["guard"]) };
    ledger.set_pipeline(both, 6).unwrap();
    assert_eq!(trial(&ledger, "guard").0, None, "it would leave a hole");
}

#[test]
fn trials_end_with_what_they_stand_beside() {
    let check = |end: fn(&mut Ledger), expect: (Option<&str>, Option<&str>)| {
        let mut ledger = in_force();
        ledger.add("a", stored("a3", &[Hook::Route]), 9);
        ledger.begin_canary("a", "a2", 10, 3).unwrap();
        ledger.cast("a", "a3").unwrap();
        end(&mut ledger);
        let (canary, shadow) = trial(&ledger, "a");
        assert_eq!((canary.as_deref(), shadow.as_deref()), expect);
    };
    check(|_| {}, (Some("a2"), Some("a3")));
    check(|ledger| drop(ledger.deactivate("a", 4).unwrap()), (None, None));
    check(|ledger| drop(ledger.activate("a", "a2", 4).unwrap()), (None, Some("a3")));
    check(|ledger| drop(ledger.activate("a", "a3", 4).unwrap()), (None, None));
    check(|ledger| ledger.uncast("a").unwrap(), (Some("a2"), None));
    check(|ledger| drop(ledger.activate("b", "b1", 4).unwrap()), (Some("a2"), Some("a3")));
}

#[test]
fn a_canary_that_fails_ends_alone_and_says_why() {
    let mut ledger = in_force();
    ledger.begin_canary("a", "a2", 10, 3).unwrap();
    let end = |ledger: &mut Ledger, revision| {
        ledger.end_canary(&policy("a", revision), Cause::Breaker, "it kept failing", 4)
    };
    assert_eq!(end(&mut ledger, "a1"), None, "it is in force");
    let ended = end(&mut ledger, "a2").unwrap();
    assert_eq!(ended.reason.as_deref(), Some("it kept failing"));
    assert_eq!(ledger.history.last(), Some(&ended));
    assert_eq!(ledger.policies["a"].problem.as_deref(), Some("it kept failing"));
    check(&ledger, "a1 g1", "guard | a | guard");
    assert_eq!(end(&mut ledger, "a2"), None);
}

#[test]
fn nothing_is_on_trial_beside_nothing_or_itself() {
    let mut ledger = in_force();
    let code = |tried: Result<(), PolicyError>| tried.unwrap_err().code().to_owned();
    assert_eq!(code(ledger.begin_canary("a", "a1", 10, 3).map(drop)), "canary_impossible");
    assert_eq!(code(ledger.begin_canary("b", "b1", 10, 3).map(drop)), "canary_impossible");
    assert_eq!(code(ledger.cast("a", "a1").map(drop)), "shadow_impossible");
    assert_eq!(code(ledger.cast("b", "b1").map(drop)), "shadow_impossible");
    assert_eq!(code(ledger.uncast("a")), "shadow_not_found");
    ledger.add("guard", stored("g3", &[Hook::Post]), 9);
    let refused = ledger.cast("guard", "g3").unwrap_err().to_string();
    assert!(refused.contains("replies in `post` are not worked on twice"), "{refused}");
    assert_eq!(ledger.cast("guard", "g2").unwrap(), [Hook::Pre]);
}

#[test]
fn a_state_with_trials_is_read_again_and_one_that_names_strangers_is_not() {
    let revision = |digit: &str| digit.repeat(64);
    let mut ledger = Ledger::default();
    for digit in ["a", "b", "c"] {
        ledger.add("router", stored(&revision(digit), &[Hook::Route]), 9);
    }
    ledger.activate("router", &revision("a"), 1).unwrap();
    ledger.begin_canary("router", &revision("b"), 10, 2).unwrap();
    ledger.cast("router", &revision("c")).unwrap();
    let text = ledger.text().unwrap();
    assert_eq!(Ledger::parse(&text), Ok(ledger.clone()));
    for (digit, what) in [("b", "on trial"), ("c", "in shadow")] {
        let mut strange = ledger.clone();
        let slot = strange.policies.get_mut("router").unwrap();
        slot.revisions.retain(|known| known.revision != revision(digit));
        let error = Ledger::parse(&strange.text().unwrap()).unwrap_err();
        assert!(error.contains(what), "{error}");
    }
}
