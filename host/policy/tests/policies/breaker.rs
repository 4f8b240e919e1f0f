//! Revisions that keep failing are taken out of service; a guard among them keeps its place.

use std::{sync::Arc, time::Duration};

use signalbox_policy::{
    Blame, Call, Cause, Hook, NewImports, OnFailure, Policies, PolicyError, PolicySettings,
    PreVerdict,
};

use crate::scene::{Scene, Still, configured, guest, says, settings, until, variant};

/// Opens after three failed calls, and is not tried again while a test runs.
fn strict(settings: &mut PolicySettings) {
    settings.breaker.failures = 3;
    settings.breaker.calls = 3;
    settings.breaker.cooldown_ms = 3_600_000;
}

async fn pre(scene: &Scene, caller: u64, text: &str) -> Result<PreVerdict, PolicyError> {
    scene.policies.snapshot().pre(Call { caller, ..says(text) }).await
}

/// Whether the hook is named as out of service, and refusing.
fn out(scene: &Scene, hook: Hook) -> Option<bool> {
    let out = scene.policies.out_of_service();
    out.iter().find(|out| out.hook == hook).map(|out| out.refuses)
}

#[tokio::test]
async fn a_failing_revision_gives_way_to_the_last_good_one() {
    let scene = Scene::empty(strict);
    let good = scene.put("guest", guest()).await;
    let bad = scene.put("guest", &variant(1)).await;
    scene.route_by_many("panic", 3).await;
    until(|| scene.active("guest").as_ref() == Some(&good)).await;
    let status = scene.policies.show("guest").unwrap();
    assert_eq!((status.requested, status.last_good), (Some(bad), None));
    assert!(status.problem.unwrap().contains("kept failing in its route hook"));
    assert_eq!(scene.policies.history().last().unwrap().cause, Cause::Breaker);
    let failures = &scene.policies.totals()["guest"][&Hook::Route].failures;
    assert_eq!(failures.values().sum::<u64>(), 3, "they stay counted: {failures:?}");
    assert_eq!(scene.reason("hello").await, "5 bytes");
    assert_eq!(status.in_pipeline, Hook::ALL);
}

#[tokio::test]
async fn a_guard_without_a_good_revision_keeps_its_place_and_refuses() {
    let scene = Scene::new(strict).await;
    let active = scene.active("guest");
    for caller in 0..3 {
        assert_eq!(pre(&scene, caller, "panic").await.unwrap_err().code(), "policy_trapped");
    }
    let error = pre(&scene, 9, "hello").await.unwrap_err();
    assert_eq!((error.code(), error.blame()), ("policy_out_of_service", Blame::Policy));
    assert_eq!(out(&scene, Hook::Pre), Some(true));
    assert_eq!(scene.policies.openings()[&("guest".to_owned(), Hook::Pre)], 1);
    assert_eq!(scene.reason("hello").await, "5 bytes", "its router goes on");
    assert_eq!(out(&scene, Hook::Route), None);
    let status = scene.policies.show("guest").unwrap();
    assert_eq!((status.active, status.in_pipeline.as_slice()), (active.clone(), &Hook::ALL[..]));
    let instances = status.counters[&Hook::Pre].instances;
    pre(&scene, 9, "hello").await.unwrap_err();
    let now = scene.policies.show("guest").unwrap().counters[&Hook::Pre].instances;
    assert_eq!(now, instances, "no instance is made");

    scene.policies.activate("guest", &active.unwrap(), NewImports::Refused).unwrap();
    assert_eq!(out(&scene, Hook::Pre), None, "an operator's word tries it again");
    pre(&scene, 9, "hello").await.unwrap();
}

#[tokio::test]
async fn one_caller_opens_nothing_however_much_fails() {
    let scene = Scene::new(strict).await;
    for _ in 0..30 {
        pre(&scene, 1, "panic").await.unwrap_err();
    }
    pre(&scene, 2, "hello").await.unwrap();
    assert_eq!((out(&scene, Hook::Pre), scene.policies.history().len()), (None, 1));
}

#[tokio::test]
async fn what_few_callers_report_is_decided_by_the_hosts_own_probe() {
    let Scene { policies, folder } = Scene::new(|_| {}).await;
    drop(policies);
    let mut settings = settings(folder.path());
    strict(&mut settings);
    configured(&mut settings, "guest", "behave", "panic"); // now it fails whatever it is shown
    let policies = Policies::open(settings, Arc::new(Still)).unwrap();
    let scene = Scene { policies, folder };
    for _ in 0..3 {
        pre(&scene, 1, "hello").await.unwrap_err();
    }
    until(|| out(&scene, Hook::Pre) == Some(true)).await;
}

#[tokio::test]
async fn a_hook_that_works_again_is_tried_and_comes_back() {
    let scene = Scene::new(|settings| {
        strict(settings);
        settings.breaker.cooldown_ms = 100;
    })
    .await;
    for caller in 0..3 {
        pre(&scene, caller, "panic").await.unwrap_err();
    }
    until(|| out(&scene, Hook::Pre) == Some(false)).await;
    pre(&scene, 9, "hello").await.unwrap();
    assert_eq!(out(&scene, Hook::Pre), None);
}

#[tokio::test]
async fn a_policy_that_tears_replies_is_taken_out_although_pieces_went_well() {
    let scene = Scene::new(strict).await;
    for caller in 0..3 {
        let call = Call { caller, ..says("hello") };
        let mut reply = scene.policies.snapshot().seats().unwrap().post(&call, "expert_coding");
        for _ in 0..5 {
            reply.push("fine".into(), Duration::ZERO).await.unwrap();
        }
        reply.push("panic".into(), Duration::ZERO).await.unwrap_err();
    }
    assert_eq!(out(&scene, Hook::Post), Some(true));
    let error = pre(&scene, 9, "hello").await.unwrap_err();
    assert_eq!(error.code(), "policy_out_of_service", "before an expert works for nothing");
}

#[tokio::test]
async fn a_failing_router_gives_way_to_the_one_before() {
    let scene = Scene::empty(|settings| {
        strict(settings);
        settings.failure_defaults[Hook::Route] = OnFailure::Native;
    });
    scene.put("first", &variant(1)).await;
    scene.put("second", guest()).await;
    scene.route_by_many("panic", 3).await;
    until(|| scene.policies.pipeline().policies.route.is_some_and(|router| router.name == "first"))
        .await;
    assert_eq!(scene.route("hello").await.unwrap().unwrap().policy.name, "first");
    let places = scene.policies.show("second").unwrap().in_pipeline;
    assert_eq!(places, [Hook::Pre, Hook::Post], "its other hooks stay");
}

#[tokio::test]
async fn a_router_that_is_to_refuse_keeps_its_place() {
    let scene = Scene::empty(strict);
    scene.put("first", &variant(1)).await;
    scene.put("second", guest()).await;
    scene.route_by_many("panic", 3).await;
    assert_eq!(scene.route("hello").await.unwrap_err().code(), "policy_out_of_service");
    assert_eq!(scene.policies.pipeline().policies.route.unwrap().name, "second");
}

#[tokio::test]
async fn what_stands_in_for_a_policy_out_of_service_is_asked_or_refuses() {
    let scene = Scene::empty(|settings| {
        strict(settings);
        configured(settings, "spare", "behave", "well");
        settings.on_failure.insert("guest".into(), OnFailure::Policy("spare".into()));
    });
    scene.put("spare", &variant(1)).await;
    scene.put("guest", guest()).await;
    for caller in 0..3 {
        pre(&scene, caller, "panic").await.unwrap();
    }
    assert_eq!(out(&scene, Hook::Pre), Some(false));
    pre(&scene, 9, "hello").await.unwrap();
    scene.policies.deactivate("spare").unwrap();
    assert_eq!(pre(&scene, 9, "hello").await.unwrap_err().code(), "policy_out_of_service");
    assert_eq!(out(&scene, Hook::Pre), Some(true));
}

#[tokio::test]
async fn a_breaker_that_is_off_never_opens() {
    let scene = Scene::new(|settings| settings.breaker.failures = 0).await;
    for caller in 0..20 {
        pre(&scene, caller, "panic").await.unwrap_err();
    }
    pre(&scene, 1, "hello").await.unwrap();
}
