//! Revisions that keep failing are taken out of force.

use signalbox_policy::{Cause, OnFailure};

use crate::scene::{Scene, guest, until, variant};

#[tokio::test]
async fn a_failing_revision_gives_way_to_the_last_good_one_then_to_none() {
    let scene = Scene::empty(|settings| settings.breaker_failures = 3);
    let good = scene.put("guest", guest()).await;
    let bad = scene.put("guest", &variant(1)).await;
    for _ in 0..3 {
        scene.route("panic").await.unwrap_err();
    }
    until(|| scene.active("guest").as_ref() == Some(&good)).await;
    let status = scene.policies.show("guest").unwrap();
    assert_eq!((status.requested, status.last_good), (Some(bad), None));
    assert!(status.problem.unwrap().contains("kept failing in its route hook"));
    assert_eq!(scene.policies.history().last().unwrap().cause, Cause::Breaker);
    assert_eq!(scene.reason("hello").await, "5 bytes");

    for _ in 0..3 {
        scene.route("panic").await.unwrap_err();
    }
    until(|| scene.active("guest").is_none()).await;
    assert_eq!(scene.route("panic").await.unwrap(), None);
}

#[tokio::test]
async fn failures_with_successes_between_them_change_nothing() {
    let scene = Scene::new(|settings| {
        settings.breaker_failures = 2;
        settings.failure_defaults.route = OnFailure::Native;
    })
    .await;
    for _ in 0..4 {
        scene.route("panic").await.unwrap();
        scene.route("hello").await.unwrap();
    }
    assert_eq!(scene.policies.history().len(), 1);
}
