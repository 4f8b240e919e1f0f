//! What routers are told of their decisions, who is told, and what becomes of it when that fails or is too much.

use signalbox_policy::{
    CallEnd, CallOutcome, Fault, FeedbackStatus, NewImports, PolicySettings, Rating, Told,
};

use crate::scene::{Scene, guest, menu, says, until, variant};

fn whole() -> CallOutcome {
    CallOutcome {
        expert: Some("expert_coding".into()),
        end: CallEnd::Whole,
        first_text_ms: Some(12),
        total_ms: 34,
        prompt_tokens: Some(5),
        cached_tokens: Some(4),
        completion_tokens: Some(6),
        rating: None,
    }
}

/// What is kept of a decision about `text`.
async fn decided(scene: &Scene, text: &str) -> Option<Told> {
    let (snapshot, call) = (scene.policies.snapshot(), says(text));
    let decision = snapshot.route(&call, &menu()).await.unwrap().unwrap();
    snapshot.told(&call, &decision)
}

async fn told(scene: &Scene, text: &str, outcome: CallOutcome) {
    decided(scene, text).await.expect("the guest learns").tell(outcome);
}

fn status(scene: &Scene) -> FeedbackStatus {
    scene.policies.feedback().remove("guest").unwrap_or_default()
}

/// Waits until so many outcomes were told.
async fn heard(scene: &Scene, count: u64) {
    until(|| status(scene).told == count).await;
}

async fn check_learned(scene: &Scene, expect: &str) {
    assert_eq!(scene.reason("learned").await, expect);
}

#[tokio::test]
async fn a_router_is_told_what_came_of_its_decision_and_keeps_what_it_learns() {
    let scene = Scene::new(|_| {}).await;
    assert!(scene.policies.show("guest").unwrap().learns);
    check_learned(&scene, "nothing").await;
    told(&scene, "hello", whole()).await;
    heard(&scene, 1).await;
    let expect = "hello: [\"expert_coding\"] 5 bytes -> Some(\"expert_coding\") End::Whole \
                  (Some(12), 34) (Some(5), Some(4), Some(6)) (None, None)";
    check_learned(&scene, expect).await;
    let rating = Some(Rating { value: -0.5, note: Some("too short".into()) });
    let kept = decided(&scene, "again").await.unwrap();
    kept.tell(CallOutcome { end: CallEnd::Failed(Fault::Expert), ..whole() });
    kept.tell(CallOutcome { rating, expert: None, first_text_ms: None, ..whole() });
    heard(&scene, 3).await;
    let expect = "again: [\"expert_coding\"] 5 bytes -> None End::Whole \
                  (None, 34) (Some(5), Some(4), Some(6)) (Some(-0.5), Some(\"too short\"))";
    check_learned(&scene, expect).await;
    let seen = status(&scene);
    assert!(seen.failures.is_empty() && seen.dropped.is_empty() && seen.total_us > 0, "{seen:?}");
    let route = &scene.policies.show("guest").unwrap().counters[&signalbox_policy::Hook::Route];
    assert_eq!(route.calls, 5, "learning is not among the calls of a hook");
}

#[tokio::test]
async fn the_revision_that_decided_is_told_or_the_one_in_force_or_nobody() {
    let scene = Scene::new(|_| {}).await;
    let kept = decided(&scene, "hello").await.unwrap();
    scene.put("guest", &variant(1)).await;
    kept.tell(whole());
    heard(&scene, 1).await;
    assert!(status(&scene).dropped.is_empty());
    scene.policies.deactivate("guest").unwrap();
    kept.tell(whole());
    until(|| status(&scene).dropped.get("gone") == Some(&1)).await;
    assert_eq!(status(&scene).told, 1);
}

#[tokio::test]
async fn who_learns_badly_is_counted_and_called_again() {
    let scene = Scene::new(|settings| {
        settings.breaker.failures = 1;
        settings.limits.feedback_deadline_ms = 300;
    })
    .await;
    for trouble in ["spin", "panic", "eat"] {
        told(&scene, &format!("learn {trouble}"), whole()).await;
    }
    heard(&scene, 3).await;
    let failures = status(&scene).failures;
    let expect = [("policy_deadline", 1), ("policy_memory", 1), ("policy_trapped", 1)];
    assert_eq!(failures.into_iter().collect::<Vec<_>>(), expect);
    assert!(scene.policies.out_of_service().is_empty());
    told(&scene, "hello", whole()).await;
    heard(&scene, 4).await;
    assert_ne!(scene.reason("learned").await, "nothing");
}

#[tokio::test]
async fn what_does_not_fit_is_dropped_and_counted_and_no_call_waits() {
    let slow = |settings: &mut PolicySettings| {
        settings.limits.feedback_queue = 2;
        settings.limits.feedback_deadline_ms = 2000;
    };
    let scene = Scene::new(slow).await;
    let kept = decided(&scene, "learn spin").await.unwrap();
    (0..10).for_each(|_| kept.tell(whole()));
    let dropped = status(&scene).dropped.get("queue").copied().unwrap_or_default();
    assert!((7..=8).contains(&dropped), "one is told, two wait: {dropped}");
    assert_eq!(scene.reason("hello").await, "5 bytes");
    let long = "x".repeat(256 << 10);
    assert!(decided(&scene, &long).await.is_none());
    assert_eq!(status(&scene).dropped["size"], 1);
}

#[tokio::test]
async fn who_is_only_tried_is_told_nothing() {
    let scene = Scene::new(|_| {}).await;
    let candidate = scene.upload("guest", &variant(1)).await;
    scene.policies.shadow("guest", &candidate, NewImports::Refused).unwrap();
    told(&scene, "hello", whole()).await;
    heard(&scene, 1).await;
    scene.put("other", guest()).await;
    assert_eq!(scene.policies.feedback()["other"].told, 0, "its probe taught it nothing");
}
