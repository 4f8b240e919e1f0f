//! Guests that misbehave: the call ends by its failure mode, in time, and the next call is fine.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use signalbox_policy::{Blame, Hook, OnFailure};

use crate::scene::{Scene, configured, guest, passed, says, variant};

/// Far beyond every deadline here, far below anybody's patience.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn every_misbehaviour_ends_in_time_and_the_next_call_is_fine() {
    let scene = Scene::new(|_| {}).await;
    let check = async |text: &str, code: &str, message: &str| {
        let started = Instant::now();
        let error = scene.route(text).await.unwrap_err();
        assert!(started.elapsed() < SOON, "{text} took {:?}", started.elapsed());
        assert_eq!(error.code(), code, "{text}: {error}");
        assert!(error.to_string().contains(message), "{text}: {error}");
        assert_eq!(error.blame(), Blame::Policy);
        assert_eq!(scene.reason("hello").await, "5 bytes");
    };
    check("spin", "policy_deadline", "within 300 ms").await;
    check("sleep", "policy_deadline", "within 300 ms").await;
    check("eat", "policy_memory", "may have 134217728").await;
    check("panic", "policy_trapped", "boom").await;
    check("exit", "policy_trapped", "exit(1)").await;
    check("recurse", "policy_trapped", "a recursion does that is too deep").await;
    check("handles", "policy_invalid_answer", "10000 handles").await;
    check("huge", "policy_output_too_large", "262144 bytes").await;
    check("nobody", "policy_invalid_answer", "it chose 'nobody'").await;
    check("nan", "policy_invalid_answer", "confidence is NaN").await;
}

#[tokio::test]
async fn a_trap_names_the_function() {
    let scene = Scene::new(|_| {}).await;
    let message = scene.route("panic").await.unwrap_err().to_string();
    assert!(message.contains("panics"), "{message}");
    assert!(!message.contains("core::panicking"), "{message}");
}

#[tokio::test]
async fn edits_that_make_no_sense_change_nothing() {
    let scene = Scene::new(|settings| settings.failure_defaults[Hook::Pre] = OnFailure::Skip).await;
    for text in ["bad-index", "big-edit", "other", "panic"] {
        let verdict = scene.policies.snapshot().pre(says(text)).await.unwrap();
        assert_eq!(passed(verdict), says(text));
    }
}

#[tokio::test]
async fn a_flood_of_log_lines_is_only_slow() {
    let scene = Scene::new(|_| {}).await;
    assert_eq!(scene.reason("flood").await, "5 bytes");
}

#[tokio::test]
async fn an_import_that_never_answers_is_the_hosts_failure() {
    let scene = Scene::new(|_| {}).await;
    let error = scene.route("forever").await.unwrap_err();
    assert_eq!((error.code(), error.blame()), ("policy_overloaded", Blame::Host));
}

#[tokio::test(flavor = "current_thread")]
async fn a_guest_that_loops_does_not_block_the_thread_it_runs_on() {
    let scene = Scene::new(|_| {}).await;
    let turns = Arc::new(AtomicU32::new(0));
    let counted = turns.clone();
    let others = tokio::spawn(async move {
        loop {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    scene.route("spin").await.unwrap_err();
    others.abort();
    assert!(turns.load(Ordering::Relaxed) >= 5, "{turns:?} turns while the guest looped");
}

#[tokio::test]
async fn a_router_that_is_skipped_leaves_the_choice_to_the_host() {
    for mode in [OnFailure::Native, OnFailure::Skip] {
        let scene = Scene::new(|settings| settings.failure_defaults[Hook::Route] = mode).await;
        assert_eq!(scene.route("panic").await.unwrap(), None);
    }
}

#[tokio::test]
async fn another_policy_steps_in() {
    let scene = Scene::empty(|settings| {
        configured(settings, "spare", "behave", "well");
        settings.on_failure.insert("guest".into(), OnFailure::Policy("spare".into()));
    });
    scene.put("spare", &variant(1)).await;
    scene.put("guest", guest()).await;
    let decision = scene.route("panic").await.unwrap().unwrap();
    assert_eq!(decision.policy.name, "spare");
    scene.policies.deactivate("spare").unwrap();
    let error = scene.route("panic").await.unwrap_err();
    assert_eq!(error.code(), "policy_trapped");
}
