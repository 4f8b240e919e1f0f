//! Post policies on replies that stream.

use std::time::Duration;

use signalbox_policy::{Ending, Hook, OnFailure, PolicyError, PostChain, Reason};

use crate::scene::{Scene, variant};

fn reply(scene: &Scene) -> PostChain {
    scene.reply()
}

fn ending() -> Ending {
    Ending::of(Reason::Length, 12, 4, 7)
}

async fn push(reply: &mut PostChain, text: &str) -> Result<String, PolicyError> {
    reply.push(text.into(), Duration::ZERO).await.map(|release| release.text)
}

#[tokio::test]
async fn text_is_passed_held_and_replaced() {
    let scene = Scene::new(|_| {}).await;
    let mut reply = reply(&scene);
    assert_eq!(push(&mut reply, "one ").await.unwrap(), "");
    assert_eq!(push(&mut reply, "two").await.unwrap(), "one two");
    assert_eq!(push(&mut reply, "up").await.unwrap(), "UP");
    assert_eq!(push(&mut reply, "end ").await.unwrap(), "");
    assert_eq!(reply.finish(ending()).await.unwrap().text, "end ");
}

#[tokio::test]
async fn a_policy_may_end_the_reply() {
    let scene = Scene::new(|_| {}).await;
    let mut reply = reply(&scene);
    let release = reply.push("please stop".into(), Duration::ZERO).await.unwrap();
    assert_eq!((release.text.as_str(), release.stop.unwrap().name.as_str()), ("ended", "guest"));
    assert_eq!(reply.push("more".into(), Duration::ZERO).await.unwrap().text, "");
}

#[tokio::test]
async fn a_policy_is_told_how_the_reply_ended_and_what_it_cost() {
    let scene = Scene::new(|_| {}).await;
    let mut reply = reply(&scene);
    assert_eq!(push(&mut reply, "cost").await.unwrap(), "");
    let said = reply.finish(ending()).await.unwrap().text;
    assert_eq!(said, "FinishReason::Length (Some(12), Some(7))");
}

#[tokio::test]
async fn every_policy_keeps_its_own_instance_and_window() {
    let scene = Scene::new(|_| {}).await;
    scene.put("second", &variant(1)).await;
    let mut reply = reply(&scene);
    assert_eq!(push(&mut reply, "a ").await.unwrap(), "");
    assert_eq!(push(&mut reply, "b").await.unwrap(), "a b");
    assert_eq!(reply.finish(ending()).await.unwrap().text, "");
    for name in ["guest", "second"] {
        let counters = &scene.policies.show(name).unwrap().counters[&signalbox_policy::Hook::Post];
        assert_eq!(counters.instances, 1, "{name}");
    }
}

#[tokio::test]
async fn a_guard_that_fails_lets_nothing_more_through() {
    let scene = Scene::new(|_| {}).await;
    let mut reply = reply(&scene);
    push(&mut reply, "held ").await.unwrap();
    let error = push(&mut reply, "spin").await.unwrap_err();
    assert_eq!(error.code(), "policy_deadline");
    assert_eq!(push(&mut reply, "more").await.unwrap_err(), error);
    assert_eq!(reply.finish(ending()).await.unwrap_err(), error);
}

#[tokio::test]
async fn a_policy_that_is_skipped_lets_held_text_and_the_rest_pass() {
    let scene =
        Scene::new(|settings| settings.failure_defaults[Hook::Post] = OnFailure::Skip).await;
    let mut reply = reply(&scene);
    push(&mut reply, "held ").await.unwrap();
    assert_eq!(push(&mut reply, "panic").await.unwrap(), "held panic");
    assert_eq!(push(&mut reply, "up").await.unwrap(), "up");
}

#[tokio::test]
async fn holding_too_much_is_a_failure() {
    let scene = Scene::new(|settings| settings.limits.held_bytes = 4).await;
    let error = push(&mut reply(&scene), "12345 ").await.unwrap_err();
    assert_eq!(error.code(), "policy_held_too_much");
}
