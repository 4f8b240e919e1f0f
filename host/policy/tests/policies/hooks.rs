//! What well-behaved hooks see and what the host makes of their answers.

use signalbox_policy::{Hook, Plan, PolicyError, PreVerdict, RefusalKind};

use crate::scene::{Scene, configured, says};

#[tokio::test]
async fn a_router_reads_the_call_and_the_menu() {
    let scene = Scene::new(|_| {}).await;
    let decision = scene.route("hello").await.unwrap().unwrap();
    assert_eq!(decision.plan, Plan::Expert("expert_coding".into()));
    assert_eq!((decision.reason.as_str(), decision.confidence), ("5 bytes", 0.5));
    assert_eq!(decision.policy.name, "guest");
    assert_eq!(decision.policy.to_string().len(), "guest@".len() + 12);
}

#[tokio::test]
async fn imports_answer() {
    let scene = Scene::new(|settings| configured(settings, "guest", "greeting", "hola")).await;
    assert_eq!(scene.reason("tokens").await, "Some(6)");
    assert_eq!(scene.reason("config").await, "Some(\"hola\")");
}

#[tokio::test]
async fn a_pre_policy_edits_answers_or_refuses() {
    let scene = Scene::new(|_| {}).await;
    let pre = async |text| scene.policies.snapshot().pre(says(text)).await;
    assert_eq!(pre("hello").await.unwrap(), PreVerdict::Proceed(says("hello")));
    let Ok(PreVerdict::Proceed(edited)) = pre("edit").await else { panic!("it proceeds") };
    assert_eq!(edited.messages[0].content, "edited");
    assert_eq!((edited.max_tokens, edited.hints.len()), (Some(5), 1));
    let Ok(PreVerdict::Answer { text, call, .. }) = pre("answer").await else {
        panic!("an answer")
    };
    assert_eq!((text.as_str(), call), ("42", says("answer")));
    let Err(PolicyError::Refused { kind, message, .. }) = pre("refuse").await else {
        panic!("a refusal")
    };
    assert_eq!((kind, message.as_str()), (RefusalKind::RateLimited { retry_ms: 50 }, "slow down"));
    let counters = &scene.policies.show("guest").unwrap().counters[&Hook::Pre];
    assert_eq!((counters.calls, counters.refusals, counters.instances), (4, 1, 4));
    assert!(counters.failures.is_empty() && counters.instance_max_us > 0);
}

#[tokio::test]
async fn without_a_router_the_host_chooses() {
    let scene = Scene::empty(|_| {});
    assert_eq!(scene.route("hello").await.unwrap(), None);
    let verdict = scene.policies.snapshot().pre(says("hello")).await.unwrap();
    assert_eq!(verdict, PreVerdict::Proceed(says("hello")));
    assert!(scene.reply().is_empty());
}
