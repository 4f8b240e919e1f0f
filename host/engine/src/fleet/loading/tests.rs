//! What a load that lacks something, or an expert that crashes, leaves behind.

use std::collections::BTreeSet;

use super::*;
use crate::{
    Event, ExpertSettings, ExpertState, Faults, Fleet, FleetLimits, FleetSettings, LazyLoading,
    PackFiles, Priority, Progress, Prompt, Request, Sampling, Templates, TokenStream,
    expert::{Commands, Job},
    inspect::{Inspection, Severity},
    sampler::{Rules, Sampler},
    tokenizer::{Stops, tests::toy},
};

fn fleet() -> Fleet {
    let expert = ExpertSettings { max_num_seqs: 4, ..ExpertSettings::new("a", toy("phi4_fast")) };
    let lazy_loading = LazyLoading {
        enabled: true,
        warmup_pool_size: 0,
        max_loaded_experts: 1,
        auto_unload_after: None,
        prefetch: false,
    };
    let memory_bytes_max = 1 << 30;
    Fleet::start(FleetSettings {
        experts: vec![expert],
        lazy_loading,
        memory_bytes_max,
        limits: FleetLimits { queue_max: 4 },
        templates: Templates::InProcess,
        pack_files: PackFiles::Off,
    })
}

fn first(fleet: &Fleet) -> Handle {
    fleet.find("a").unwrap()
}

fn words() -> Request {
    let sampling = Sampling { temperature: Some(0.0), ..Sampling::default() };
    let prompt = Prompt::Text("Hello".into());
    Request { sampling, max_tokens: Some(400), ..Request::new(prompt) }
}

fn lack(message: &str) -> Faults {
    Finding::error("resources-short", message, "").into()
}

/// Takes the expert's thread down from within when its job is done.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("boom");
    }
}

/// A job that panics in the expert's thread, because nobody listens to it and it is cleared
/// away.
async fn crash(fleet: &Fleet) {
    let prompt_format = first(fleet).prompt_format().unwrap();
    let rules = Rules { temperature: 0.0, ..Rules::default() };
    let job = Job {
        prompt: vec![1],
        images: Vec::new(),
        prediction: Vec::new(),
        max_tokens: 1,
        sampler: Sampler::new(rules, &[]),
        stops: Stops::new(&[]).unwrap(),
        constraint: None,
        weighing: None,
        logprobs: None,
        ends: BTreeSet::new(),
        min_tokens: 0,
        scope: 0,
        priority: Priority::default(),
        progress: Progress::default(),
        prompt_format,
        events: TokenStream::open("a", 1).0,
        submitted: Instant::now(),
        loading: None,
        _hold: Box::new(Bomb),
    };
    let (commands, _) = first(fleet).resident(None).await.unwrap();
    let Commands::Replies(inbox) = commands else { panic!("it makes vectors") };
    assert!(inbox.submit(Box::new(job)).is_ok());
}

async fn last(mut stream: TokenStream) -> Option<Event> {
    let mut last = None;
    while let Some(event) = stream.next().await {
        last = Some(event);
    }
    last
}

#[tokio::test]
async fn a_lack_passes_without_an_operator() {
    let fleet = fleet();
    let (expert, faults) = ("a".to_owned(), lack("no descriptors"));
    let lacking = EngineError::Unavailable { expert, faults, retry_after: Duration::ZERO };
    assert!(first(&fleet).claim_cold());
    first(&fleet).finish(Err(lacking));
    assert_eq!(fleet.status("a").unwrap().state, ExpertState::Cold);
    let message = fleet.generate("a", words()).await.err();
    let Some(EngineError::Unavailable { faults, retry_after, .. }) = message else {
        panic!("{message:?}");
    };
    assert_eq!(faults, lack("no descriptors"));
    assert!(!retry_after.is_zero());
    tokio::time::sleep(retry_after).await;
    let stream = fleet.generate("a", words()).await.unwrap();
    assert!(matches!(last(stream).await, Some(Event::Finished { .. })));
}

#[tokio::test]
async fn an_operator_need_not_wait_for_the_backoff() {
    let fleet = fleet();
    let (expert, faults) = ("a".to_owned(), lack("no threads"));
    let lacking = EngineError::Unavailable { expert, faults, retry_after: Duration::ZERO };
    assert!(first(&fleet).claim_cold());
    first(&fleet).finish(Err(lacking));
    fleet.load("a").await.unwrap();
}

#[tokio::test]
async fn what_a_lack_hid_at_start_is_looked_at_by_the_first_call() {
    let fleet = fleet();
    let mut unseen = Inspection::default();
    unseen.add(Severity::Error, "resources-short", "no descriptors", "wait");
    *fleet.find("a").unwrap().member().inspection.lock().unwrap() = Arc::new(unseen);
    first(&fleet).with_slot(|slot| slot.needs = 0);
    let stream = fleet.generate("a", words()).await.unwrap();
    assert!(matches!(last(stream).await, Some(Event::Finished { .. })));
    assert!(fleet.memory().reserved_bytes > 0);
}

#[tokio::test]
async fn a_crash_is_reported_and_the_next_call_loads_anew() {
    let fleet = fleet();
    let stream = fleet.generate("a", words()).await.unwrap();
    crash(&fleet).await;
    match last(stream).await {
        Some(Event::Failed(EngineError::Crashed { problem, .. })) => {
            assert_eq!(problem, "boom")
        }
        other => panic!("{other:?}"),
    }
    let mut changed = fleet.0.changed.subscribe();
    while fleet.memory().reserved_bytes > 0 {
        changed.changed().await.unwrap();
    }
    let status = fleet.status("a").unwrap();
    assert_eq!((status.state, status.queue_depth, status.unload_count), (ExpertState::Cold, 0, 1));
    let again = fleet.generate("a", words()).await.unwrap();
    assert!(matches!(last(again).await, Some(Event::Finished { .. })));
    assert_eq!(fleet.status("a").unwrap().load_count, 2);
}
