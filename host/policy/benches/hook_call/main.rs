//! What a policy call costs beside bare wasmtime: the same component, a fresh instance per call, the route hook, four
//! messages, five experts. A hook that was quick so far takes its first turn on its caller's thread, as bare
//! wasmtime does here; going to the guests' threads and back would be up to 40 µs each way more, where an idle core is
//! a sleeping virtual one.

#![expect(clippy::expect_used, reason = "a bench ends at its first failure")]

mod bare;

use std::{
    fs,
    hint::black_box,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use criterion::Criterion;
use signalbox_build::Build;
use signalbox_policy::{
    Call, Compile, ExpertState, ExpertView, Message, NewImports, Policies, PolicySettings,
    Provenance, Snapshot, TokenError, World,
};
use tokio::runtime::Runtime;

/// The most that our call may cost, beside bare wasmtime.
const RATIO_MAX: f64 = 1.5;
const ROUNDS: usize = 15;
const CALLS: u32 = 400;
/// Calls that are timed one by one.
const SINGLE_CALLS: usize = 5000;

struct Menu;

#[async_trait]
impl World for Menu {
    fn menu(&self) -> Vec<ExpertView> {
        menu()
    }

    async fn count_tokens(&self, text: String, _: Option<String>) -> Result<u32, TokenError> {
        Ok(text.len() as u32 / 4)
    }
}

fn menu() -> Vec<ExpertView> {
    let domains = ["general", "technical", "coding", "multimodal_expert", "multilingual_expert"];
    let view = |domain: &str| ExpertView {
        id: format!("expert_{domain}"),
        domain: domain.into(),
        description: format!("answers questions of the domain {domain}"),
        priority: 1,
        capabilities: Vec::new(),
        context_length: 4096,
        state: ExpertState::Resident,
        resident_bytes: 1 << 30,
        queue_depth: 0,
        estimated_wait_ms: Some(3),
        estimated_load_ms: None,
        tokens_per_second: Some(20.0),
    };
    domains.into_iter().map(view).collect()
}

fn call() -> Call {
    let talk = [
        ("system", "You are a helpful assistant."),
        ("user", "What is a semaphore?"),
        ("assistant", "A signal with a moving arm, worked by a lever in a signal box."),
        ("user", "Write a Python function that adds up a list of numbers, please."),
    ];
    let message = |(role, content): (&str, &str)| Message {
        role: role.to_string(),
        content: content.to_string(),
        origin: None,
    };
    Call {
        id: "bench".into(),
        messages: talk.into_iter().map(message).collect(),
        ..Call::default()
    }
}

/// The default router, as users run it.
fn component() -> Vec<u8> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("policies");
    let build = Build::workspace(workspace, &["route-by-domain"]).target_dir(target);
    let built = build.run(&mut |line| println!("{line}")).expect("the router compiles");
    fs::read(&built[0].path).expect("a component")
}

/// Our crate, with the component in force.
fn ours(tokio: &Runtime, component: &[u8]) -> Snapshot {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let policies =
        Policies::open(PolicySettings::new(folder.path(), Compile::InProcess), Arc::new(Menu));
    let policies = policies.expect("an empty registry");
    let upload = policies.upload("router", component.to_vec().into(), Provenance::Outside(None));
    let uploaded = tokio.block_on(upload).expect("a policy");
    policies.activate("router", &uploaded.revision, NewImports::Refused).expect("activation");
    policies.snapshot()
}

fn runtime() -> Runtime {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build();
    tokio.expect("a runtime")
}

/// One call's cost over `CALLS` calls.
fn time(mut call: impl FnMut()) -> Duration {
    let started = Instant::now();
    (0..CALLS).for_each(|_| call());
    started.elapsed() / CALLS
}

/// What a call costs in the middle and at the slow end: one in two, and one in a hundred costs more.
fn percentiles(mut call: impl FnMut()) -> (Duration, Duration) {
    let mut single = || {
        let started = Instant::now();
        call();
        started.elapsed()
    };
    let mut took: Vec<_> = (0..SINGLE_CALLS).map(|_| single()).collect();
    took.sort_unstable();
    (took[SINGLE_CALLS / 2], took[SINGLE_CALLS * 99 / 100])
}

/// Takes turns, so that both meet the same machine; the median of each.
fn compare(mut ours: impl FnMut(), mut bare: impl FnMut()) -> (Duration, Duration) {
    let mut rounds: Vec<_> = (0..ROUNDS).map(|_| (time(&mut ours), time(&mut bare))).collect();
    rounds.sort_by_key(|(ours, _)| *ours);
    let ours = rounds[ROUNDS / 2].0;
    rounds.sort_by_key(|(_, bare)| *bare);
    (ours, rounds[ROUNDS / 2].1)
}

fn main() {
    let tokio = runtime();
    let component = component();
    let (snapshot, call, menu) = (ours(&tokio, &component), call(), menu());
    let bare = bare::Bare::new(&component, &call, &menu);
    let ours = || {
        let decision = tokio.block_on(snapshot.route(&call, &menu));
        black_box(decision.expect("a decision").expect("a router"));
    };
    let bare = || black_box(tokio.block_on(bare.route()));
    let mut criterion = Criterion::default().configure_from_args();
    criterion.bench_function("route, through signalbox-policy", |b| b.iter(ours));
    criterion.bench_function("route, bare wasmtime", |b| b.iter(bare));
    criterion.final_summary();

    let (p50, p99) = percentiles(ours);
    println!("\nroute hook, one by one: p50 {p50:?}, p99 {p99:?}");
    let (ours, bare) = compare(ours, || drop(bare()));
    let ratio = ours.as_secs_f64() / bare.as_secs_f64();
    println!("route hook, fresh instance: ours {ours:?}, bare wasmtime {bare:?}, ratio {ratio:.2}");
    assert!(ratio <= RATIO_MAX, "a policy call costs {ratio:.2} times bare wasmtime");
}
