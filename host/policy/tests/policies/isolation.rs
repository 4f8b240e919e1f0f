//! Guests do not disturb each other: turns, rooms and time.

use std::time::{Duration, Instant};

use signalbox_policy::{
    Blame, Hook, OnFailure, PerHook, Policies, PolicyError, PostChain, Provenance,
};

use crate::scene::{Scene, guest, menu, says, variant};

/// What the busiest machine here still keeps.
const PATIENCE: Duration = Duration::from_secs(60);

fn code(outcome: Result<impl Sized, PolicyError>) -> Option<String> {
    outcome.err().map(|error| error.code().to_string())
}

/// Calls of a router that loop, all at once.
fn looping(policies: &Policies, count: usize) -> tokio::task::JoinSet<Option<String>> {
    let snapshot = policies.snapshot();
    let call = move || {
        let snapshot = snapshot.clone();
        async move { code(snapshot.route(&says("spin"), &menu()).await) }
    };
    (0..count).map(|_| call()).collect()
}

#[tokio::test(flavor = "current_thread")]
async fn guests_that_loop_hold_up_neither_their_host_nor_another_policy() {
    let scene = Scene::empty(|settings| settings.limits.host_wait_ms = 60_000);
    scene.put("other", &variant(1)).await;
    let other = scene.policies.snapshot();
    scene.put("guest", guest()).await;
    let mut loops = looping(&scene.policies, 30);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let began = Instant::now();
    for _ in 0..10 {
        other.route(&says("hello"), &menu()).await.unwrap();
    }
    let took = began.elapsed();
    assert!(loops.try_join_next().is_none_or(|ended| ended.is_ok()));
    // Ten calls that each waited for thirty loops of 300 ms would take a minute and a half.
    assert!(took < Duration::from_secs(10), "{took:?}");
    while let Some(ended) = loops.join_next().await {
        assert_eq!(ended.unwrap().as_deref(), Some("policy_deadline"));
    }
}

#[tokio::test]
async fn only_the_guests_own_time_counts() {
    let scene = Scene::new(|settings| settings.limits.host_wait_ms = 60_000).await;
    let snapshot = scene.policies.snapshot();
    let mut loops = looping(&scene.policies, 20);
    let began = Instant::now();
    while loops.len() > 1 {
        snapshot.route(&says("hello"), &menu()).await.unwrap();
        loops.try_join_next();
        assert!(began.elapsed() < PATIENCE);
    }
    let counters = &scene.policies.show("guest").unwrap().counters[&Hook::Route];
    assert!(counters.guest_us > 0 && counters.host_us > counters.guest_us, "{counters:?}");
}

#[tokio::test]
async fn a_host_that_does_not_get_round_to_a_guest_says_so() {
    let scene = Scene::new(|settings| {
        settings.limits.host_wait_ms = 200;
        settings.limits.route_deadline_ms = 10_000;
    })
    .await;
    let error = scene.route("spin").await.unwrap_err();
    assert_eq!((error.code(), error.blame()), ("policy_overloaded", Blame::Host));
    assert_eq!(scene.reason("hello").await, "5 bytes");
}

#[tokio::test]
async fn replies_whose_readers_are_slow_stop_no_call() {
    let scene = Scene::new(|settings| {
        settings.limits.instances = 1;
        settings.limits.sessions = 4;
    })
    .await;
    scene.put("second", &variant(1)).await;
    let mut replies: Vec<PostChain> = (0..2).map(|_| scene.reply()).collect();
    for reply in &mut replies {
        reply.push("text".into(), Duration::ZERO).await.unwrap();
    }
    assert_eq!(scene.reason("hello").await, "5 bytes");
    let snapshot = scene.policies.snapshot();
    let Err(error) = snapshot.seats() else { panic!("there is no seat left") };
    assert_eq!((error.code(), error.blame()), ("policy_no_room", Blame::Host));
    drop(replies);
    crate::scene::until(|| snapshot.seats().is_ok()).await;
}

#[tokio::test]
async fn memory_of_all_together_is_bounded_on_the_hosts_account() {
    let scene = Scene::new(|settings| {
        settings.limits.memory_bytes = 128 << 20;
        settings.limits.memory_total_bytes = 64 << 20;
    })
    .await;
    let mut reply = scene.reply();
    reply.push("text".into(), Duration::ZERO).await.unwrap();
    let error = scene.route("eat").await.unwrap_err();
    assert_eq!((error.code(), error.blame()), ("policy_no_room", Blame::Host));
    assert_eq!(scene.reason("hello").await, "5 bytes");
}

#[tokio::test]
async fn a_guard_that_the_host_has_no_room_for_is_not_skipped() {
    let scene = Scene::new(|settings| {
        settings.limits.memory_bytes = 128 << 20;
        settings.limits.memory_total_bytes = 64 << 20;
        settings.failure_defaults = PerHook::from_fn(|_| OnFailure::Skip);
    })
    .await;
    let mut reply = scene.reply();
    reply.push("text".into(), Duration::ZERO).await.unwrap();
    let error = scene.policies.snapshot().pre(says("eat")).await.unwrap_err();
    assert_eq!((error.code(), error.blame()), ("policy_no_room", Blame::Host));
    assert_eq!(scene.route("eat").await.unwrap(), None, "a router guards nothing");
}

#[tokio::test]
async fn an_expert_that_is_silent_is_not_the_policys_failure() {
    let scene = Scene::new(|settings| settings.limits.held_ms = 1500).await;
    let mut reply = scene.reply();
    reply.push("one ".into(), Duration::ZERO).await.unwrap();
    let silence = Duration::from_secs(30);
    let release = reply.push("two ".into(), silence).await.unwrap();
    assert_eq!(release.text, "");
    let error = reply.push("three ".into(), silence).await.unwrap_err();
    assert_eq!(error.code(), "policy_held_too_much");
}

#[tokio::test]
async fn a_policy_is_not_named_like_an_expert() {
    let scene = Scene::empty(|_| {});
    let uploaded = scene
        .policies
        .upload("expert_coding", guest().to_vec().into(), Provenance::Outside(None))
        .await;
    assert_eq!(code(uploaded).as_deref(), Some("upload_name_taken"));
}
