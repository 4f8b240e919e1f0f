//! The policies we ship, on the largest calls there can be, under the default limits.

use std::{
    fs,
    path::Path,
    sync::OnceLock,
    time::{Duration, Instant},
};

use signalbox_build::{Build, Component};
use signalbox_policy::{Call, Limits, Message, PreVerdict};

use crate::scene::{Scene, configured, menu, says};

/// The server's default of `body_bytes_max`.
const BODY_BYTES: usize = 16 << 20;
/// As many as a conversation may have.
const MESSAGES: usize = 8192;

/// An example of the repository, as a component.
fn example(name: &str) -> Vec<u8> {
    static BUILT: OnceLock<Vec<Component>> = OnceLock::new();
    let names = ["prompt-guard", "redact-pii", "route-by-domain", "round-robin", "token-budget"];
    let built = BUILT.get_or_init(|| {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("policies");
        let build = Build::workspace(workspace, &names).target_dir(target);
        build.run(&mut |line| println!("{line}")).unwrap_or_else(|error| panic!("{error}"))
    });
    let wanted = names.iter().position(|known| *known == name).unwrap();
    fs::read(&built[wanted].path).unwrap()
}

/// Default limits, which the scenes of other tests shorten.
async fn scene(name: &str) -> Scene {
    let scene = Scene::empty(|settings| {
        settings.limits = Limits::default();
        // So that a text of any length is counted to its end.
        configured(settings, "token-budget", "prompt-tokens-max", "100000000");
    });
    scene.put(name, &example(name)).await;
    scene
}

/// `unit` again and again, as often as it fits into `bytes`.
fn full(unit: &str, bytes: usize) -> String {
    unit.repeat(bytes / unit.len())
}

/// The largest calls: one message of one kind each, and as many messages as there may be.
fn largest() -> Vec<Call> {
    let kinds = ["1 ", "a@b.cd ", "+12345678 ", "word and word ", "\u{44f} ", "x"];
    let mut calls: Vec<Call> = kinds.map(|unit| says(&full(unit, BODY_BYTES))).to_vec();
    let content = full("a@b.cd ", BODY_BYTES / MESSAGES);
    let message = Message { role: "user".into(), content, origin: None };
    calls.push(Call { messages: vec![message; MESSAGES], ..says("") });
    calls
}

fn beginning(call: &Call) -> String {
    call.messages[0].content.chars().take(20).collect()
}

#[tokio::test]
async fn pre_policies_pass_the_largest_calls() {
    for name in ["prompt-guard", "redact-pii", "token-budget"] {
        let scene = scene(name).await;
        for call in largest() {
            let what = beginning(&call);
            let verdict = scene.policies.snapshot().pre(call).await;
            let verdict = verdict.unwrap_or_else(|error| panic!("{name}, {what}: {error}"));
            let PreVerdict::Proceed(call) = verdict else { panic!("{name} answers") };
            let personal = call.messages.iter().any(|message| message.content.contains('@'));
            assert!(name != "redact-pii" || !personal, "{what}");
        }
    }
}

#[tokio::test]
async fn routers_pass_the_largest_calls() {
    for name in ["route-by-domain", "round-robin"] {
        let scene = scene(name).await;
        for call in largest() {
            let what = beginning(&call);
            let decision = scene.policies.snapshot().route(&call, &menu()).await;
            let decision = decision.unwrap_or_else(|error| panic!("{name}, {what}: {error}"));
            assert!(decision.is_some(), "{name}, {what}");
        }
    }
}

/// A conversation of four messages, the last of them long.
fn conversation() -> Call {
    let message =
        |role: &str, content: String| Message { role: role.into(), content, origin: None };
    let messages = vec![
        message("user", "Write a Python function that adds two numbers".into()),
        message("assistant", "def add(a, b): return a + b".into()),
        message("user", "Now make it shorter".into()),
        message("user", format!("And this one? {}", full("for x in range(10): print(x)\n", 4096))),
    ];
    Call { messages, ..says("") }
}

#[tokio::test]
async fn the_default_router_decides_within_five_milliseconds() {
    let scene = scene("route-by-domain").await;
    let mut times = Vec::new();
    for _ in 0..101 {
        let started = Instant::now();
        let decision = scene.policies.snapshot().route(&conversation(), &menu()).await.unwrap();
        times.push(started.elapsed());
        assert!(decision.unwrap().reason.starts_with("coding: "));
    }
    times.sort();
    println!("{:?} in the middle of {}, the slowest {:?}", times[50], times.len(), times[100]);
    assert!(times[50] < Duration::from_millis(5), "{:?}", times[50]);
}
