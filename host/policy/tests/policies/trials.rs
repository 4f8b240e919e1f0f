//! Revisions on trial beside the one in force: in its shadow, and as a canary.

use std::{sync::Arc, time::Duration};

use signalbox_policy::{
    Call, Hook, NewImports, Policies, PolicyError, Provenance, RecordedCall, Replayed, ShadowStatus,
};

use crate::scene::{Scene, Still, menu, says, settings, until, variant};

fn restart(scene: Scene) -> Scene {
    let Scene { policies, folder } = scene;
    drop(policies);
    let policies = Policies::open(settings(folder.path()), Arc::new(Still)).unwrap();
    Scene { policies, folder }
}

fn shadow(scene: &Scene) -> ShadowStatus {
    scene.policies.show("guest").unwrap().shadow.unwrap()
}

/// Through both hooks before the expert.
async fn ask(scene: &Scene, text: &str) {
    let snapshot = scene.policies.snapshot_of("caller");
    let _ = snapshot.pre(says(text)).await;
    let _ = snapshot.route(&says(text), &menu()).await;
}

#[tokio::test]
async fn a_shadow_is_compared_and_changes_nothing() {
    let scene = Scene::new(|settings| settings.limits.agreement_calls = 4).await;
    let candidate = scene.upload("guest", &variant(1)).await;
    let before = scene.policies.pipeline();
    scene.policies.shadow("guest", &candidate, NewImports::Refused).unwrap();
    assert_eq!(scene.policies.pipeline(), before);
    let compared = || shadow(&scene).hooks.values().map(|seen| seen.compared).sum::<u64>();
    for (asked, text) in ["hello", "edit", "refuse", "answer"].into_iter().enumerate() {
        ask(&scene, text).await;
        until(|| compared() == 2 * (asked as u64 + 1)).await;
    }
    let seen = shadow(&scene).hooks;
    assert_eq!(seen.keys().collect::<Vec<_>>(), [&Hook::Pre, &Hook::Route], "and not in post");
    assert!(seen.values().all(|seen| seen.agreed == 4 && seen.flips.is_empty()), "{seen:?}");
    assert!(seen.values().all(|seen| seen.candidate_us > 0 && seen.active_us > 0), "{seen:?}");
    let counted = scene.policies.totals()["guest"][&Hook::Route].calls;
    assert_eq!(counted, 4, "what works in shadow is not counted among calls");
    scene.policies.check_agreement("guest", &candidate, 1000).unwrap();
    let other = scene.policies.check_agreement("guest", &scene.active("guest").unwrap(), 900);
    assert!(matches!(other, Err(PolicyError::NotAgreed { .. })), "{other:?}");

    let scene = restart(scene);
    assert_eq!(shadow(&scene).revision, candidate, "it works on after a restart");
    assert!(matches!(
        scene.policies.remove_revision("guest", &candidate),
        Err(PolicyError::InUse { .. })
    ));
    scene.policies.activate("guest", &candidate, NewImports::Refused).unwrap();
    assert_eq!(scene.policies.show("guest").unwrap().shadow, None);
}

#[tokio::test]
async fn what_does_not_fit_beside_calls_is_dropped_and_counted() {
    let scene = Scene::new(|_| {}).await;
    let candidate = scene.upload("guest", &variant(1)).await;
    scene.policies.shadow("guest", &candidate, NewImports::Refused).unwrap();
    scene.route(&"x".repeat(2 << 20)).await.unwrap();
    scene.route("hello").await.unwrap();
    until(|| shadow(&scene).hooks[&Hook::Route].compared == 1).await;
    assert_eq!(shadow(&scene).hooks[&Hook::Route].dropped, 1);
}

#[tokio::test]
async fn calls_that_the_revision_in_force_fails_in_are_not_compared() {
    let scene = Scene::new(|_| {}).await;
    let candidate = scene.upload("guest", &variant(1)).await;
    scene.policies.shadow("guest", &candidate, NewImports::Refused).unwrap();
    scene.route("panic").await.unwrap_err();
    scene.route("hello").await.unwrap();
    until(|| shadow(&scene).hooks[&Hook::Route].compared == 1).await;
    assert!(shadow(&scene).hooks[&Hook::Route].failures.is_empty());
}

/// The callers whom the canary answers.
async fn taken(scene: &Scene, canary: &str) -> Vec<u32> {
    let mut taken = Vec::new();
    for caller in 0..40 {
        let snapshot = scene.policies.snapshot_of(&format!("key:{caller}"));
        let call = Call { caller: u64::from(caller), ..says("hello") };
        let chosen = snapshot.route(&call, &menu()).await.unwrap().unwrap();
        if chosen.policy.revision == canary {
            taken.push(caller);
        }
    }
    taken
}

#[tokio::test]
async fn a_canary_answers_the_same_callers_after_a_restart_until_it_is_promoted() {
    let scene = Scene::new(|_| {}).await;
    let stable = scene.active("guest").unwrap();
    let canary = scene.upload("guest", &variant(1)).await;
    scene.policies.begin_canary("guest", &canary, 40, NewImports::Refused).unwrap();
    let callers = taken(&scene, &canary).await;
    assert!((4..=30).contains(&callers.len()), "{callers:?}");
    assert_eq!(taken(&scene, &canary).await, callers);
    let status = scene.policies.show("guest").unwrap();
    let said = &status.canary.unwrap().hooks[&Hook::Route];
    assert_eq!((said.0.calls + said.1.calls, said.1.calls), (80, 2 * callers.len() as u64));
    assert_eq!(status.active, Some(stable.clone()));

    let scene = restart(scene);
    assert_eq!(taken(&scene, &canary).await, callers);
    scene.policies.promote("guest").unwrap();
    assert_eq!(taken(&scene, &canary).await.len(), 40);
    scene.policies.rollback(Some("guest")).unwrap();
    assert_eq!(scene.active("guest"), Some(stable));
    assert_eq!(taken(&scene, &canary).await.len(), 0);
}

#[tokio::test]
async fn a_canary_that_cannot_be_run_any_more_ends_at_the_start() {
    let scene = Scene::new(|_| {}).await;
    let canary = scene.upload("guest", &variant(1)).await;
    scene.policies.begin_canary("guest", &canary, 99, NewImports::Refused).unwrap();
    let Scene { policies, folder } = scene;
    drop(policies);
    let file = folder.path().join("components").join(format!("{canary}.wasm"));
    std::fs::write(file, b"damaged").unwrap();
    let policies = Policies::open(settings(folder.path()), Arc::new(Still)).unwrap();
    let scene = Scene { policies, folder };
    let status = scene.policies.show("guest").unwrap();
    assert!(status.canary.is_none() && status.problem.unwrap().contains("can't be run"));
    assert_eq!(scene.reason("hello").await, "5 bytes");
    assert_eq!(scene.policies.canaries_ended(), [("guest".to_owned(), "start", 1)]);
}

/// Tries another revision on calls of these texts.
async fn replay(scene: &Scene, texts: &[&str], within: Duration) -> Result<Replayed, PolicyError> {
    let recorded = |text: &&str| RecordedCall { call: says(text), routed: None, menu: menu() };
    let recorded = texts.iter().map(recorded).collect();
    scene
        .policies
        .replay("guest", variant(1).into(), Provenance::Outside(None), recorded, within)
        .await
}

#[tokio::test]
async fn a_replay_compares_and_leaves_nothing_but_its_outcome() {
    let scene = Scene::new(|settings| settings.limits.agreement_calls = 4).await;
    let before = scene.policies.list();
    let texts = ["hello", "edit", "refuse", "answer", "panic"];
    let replayed = replay(&scene, &texts, Duration::from_secs(60)).await.unwrap();
    assert_eq!((replayed.calls, replayed.left_out), (5, 0));
    assert_eq!(replayed.against, scene.active("guest").unwrap());
    let seen: Vec<_> = replayed.hooks.values().map(|seen| (seen.compared, seen.agreed)).collect();
    assert_eq!(seen, [(4, 4), (4, 4)], "where the one in force fails, there is nothing to compare");
    assert_eq!(scene.policies.list(), before, "neither stored nor counted");
    let uploaded = scene.upload("guest", &variant(1)).await;
    assert_eq!(uploaded, replayed.revision);
    scene.policies.check_agreement("guest", &uploaded, 1000).unwrap();
    scene.put("guest", &variant(2)).await;
    let moved = scene.policies.check_agreement("guest", &uploaded, 1000).unwrap_err();
    assert_eq!(moved.code(), "revision_not_agreed", "that was beside another one");
}

#[tokio::test]
async fn what_is_not_replayed_in_time_is_left_out() {
    let scene = Scene::new(|_| {}).await;
    let replayed = replay(&scene, &["hello", "edit"], Duration::ZERO).await.unwrap();
    assert_eq!((replayed.calls, replayed.left_out), (0, 2));
    let unknown = scene
        .policies
        .replay("nobody", variant(1).into(), Provenance::Outside(None), vec![], Duration::ZERO)
        .await;
    assert_eq!(unknown.unwrap_err().code(), "policy_not_found");
}
