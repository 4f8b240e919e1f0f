//! How experts come and go, and how calls run: loading once, making way, cancelling, stopping,
//! closing.

use std::time::Duration;

use crate::support::{ask, chat, copy, endless, fleet, ramble, read, recorded, settings, until};
use signalbox_engine::{
    EngineError, Event, ExpertState, Finish, Fleet, Message, PackFiles, Prefetches, Sampling,
    Templates,
};

const A: &str = "phi4_fast";
const B: &str = "qwen_coder";
const C: &str = "aya_expanse_multilingual";

fn state(fleet: &Fleet, id: &str) -> ExpertState {
    fleet.status(id).unwrap().state
}

#[tokio::test]
async fn concurrent_first_requests_load_once() {
    let fleet = fleet(&[A]);
    assert_eq!(state(&fleet, A), ExpertState::Cold);
    let calls = (0..12).map(|_| {
        tokio::spawn({
            let fleet = fleet.clone();
            async move { ask(&fleet, A, chat("Hello")).await.unwrap() }
        })
    });
    let mut texts = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        texts.push(call.await.unwrap().text);
    }
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
    let status = fleet.status(A).unwrap();
    assert_eq!((status.load_count, status.requests_total), (1, 12));
    assert!(status.last_load.is_some() && status.weights_address.is_some());
}

#[tokio::test]
async fn weights_are_packed_by_the_first_load_and_mapped_by_the_next() {
    let folder = copy(A);
    let mut settings = settings(&[A]);
    settings.experts[0].path = folder.path().into();
    settings.pack_files = PackFiles::Kept { cache: None, bytes_min: 0 };
    let fleet = Fleet::start(settings);
    let first = ask(&fleet, A, chat("Hello")).await.unwrap();
    let file = folder.path().join("signalbox-weights.pack");
    until("the weights are kept", || file.exists()).await;
    let made = std::fs::metadata(&file).unwrap().modified().unwrap();
    until("the reply has ended", || fleet.status(A).unwrap().queue_depth == 0).await;
    fleet.unload(A).await.unwrap();
    assert_eq!(ask(&fleet, A, chat("Hello")).await.unwrap().text, first.text);
    let status = fleet.status(A).unwrap();
    assert_eq!((status.load_count, status.unload_count), (2, 1));
    assert_eq!(std::fs::metadata(&file).unwrap().modified().unwrap(), made, "made once");
}

#[tokio::test]
async fn the_warm_pool_is_the_highest_priorities() {
    let mut settings = settings(&[C, B, A]);
    settings.lazy_loading.warmup_pool_size = 2;
    let fleet = Fleet::start(settings);
    fleet.warmed().await;
    let states: Vec<_> = [C, B, A].iter().map(|id| state(&fleet, id)).collect();
    assert_eq!(states, [ExpertState::Cold, ExpertState::Resident, ExpertState::Resident]);
    assert_eq!(fleet.menu().iter().map(|e| e.id.as_str()).collect::<Vec<_>>(), [C, B, A]);
}

#[tokio::test]
async fn without_lazy_loading_all_come_and_stay() {
    let mut settings = settings(&[A, B, C]);
    settings.lazy_loading.enabled = false;
    settings.lazy_loading.max_loaded_experts = 1;
    settings.lazy_loading.auto_unload_after = Some(Duration::from_millis(1));
    let fleet = Fleet::start(settings);
    fleet.warmed().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(fleet.menu().iter().all(|expert| expert.state == ExpertState::Resident));
}

#[tokio::test]
async fn the_least_recently_used_makes_way() {
    let mut settings = settings(&[A, B, C]);
    settings.lazy_loading.max_loaded_experts = 2;
    let fleet = Fleet::start(settings);
    for id in [A, B, A, C] {
        ask(&fleet, id, chat("Hello")).await.unwrap();
    }
    assert_eq!(state(&fleet, B), ExpertState::Cold);
    assert_eq!(
        (state(&fleet, A), state(&fleet, C)),
        (ExpertState::Resident, ExpertState::Resident)
    );
    let gone = fleet.status(B).unwrap();
    assert_eq!((gone.load_count, gone.unload_count, gone.weights_address), (1, 1, None));
}

#[tokio::test]
async fn who_is_likely_next_is_loaded_ahead() {
    let mut settings = settings(&[A, B, C]);
    settings.lazy_loading.max_loaded_experts = 2;
    settings.lazy_loading.prefetch = true;
    let fleet = Fleet::start(settings);
    for id in [A, B, C].into_iter().cycle().take(12) {
        ask(&fleet, id, chat("Hello")).await.unwrap();
    }
    assert_eq!(state(&fleet, A), ExpertState::Cold);
    until("A is there", || state(&fleet, A) == ExpertState::Resident).await;
    assert_eq!((state(&fleet, B), state(&fleet, C)), (ExpertState::Cold, ExpertState::Resident));
    let loads = fleet.status(A).unwrap().load_count;
    ask(&fleet, A, chat("Hello")).await.unwrap();
    assert_eq!(fleet.status(A).unwrap().load_count, loads, "nothing was loaded for this call");
    assert_eq!(fleet.prefetches(), Prefetches { hits: 1, wastes: 0 });
    // After A comes B, as a rule: it is loaded ahead, and C is asked instead.
    until("B is there", || state(&fleet, B) == ExpertState::Resident).await;
    for id in [A, C] {
        ask(&fleet, id, chat("Hello")).await.unwrap();
    }
    assert_eq!(fleet.prefetches(), Prefetches { hits: 1, wastes: 1 });
}

#[tokio::test]
async fn memory_is_reserved_and_given_back() {
    let mut settings = settings(&[A, B]);
    let needs = |id: &str| {
        signalbox_engine::inspect(&crate::support::toy(id), &Templates::InProcess)
            .memory_bytes
            .unwrap()
    };
    settings.memory_bytes_max = needs(A).max(needs(B));
    let fleet = Fleet::start(settings);
    assert_eq!(fleet.memory().reserved_bytes, 0);
    for id in [A, B, A] {
        fleet.load(id).await.unwrap();
        assert_eq!(fleet.memory().reserved_bytes, needs(id));
    }
    fleet.unload(A).await.unwrap();
    assert_eq!(fleet.memory().reserved_bytes, 0);
}

#[tokio::test]
async fn an_answering_expert_is_waited_for_and_never_sent_away() {
    let (_folders, mut settings) = endless(&[A, B]);
    settings.lazy_loading.max_loaded_experts = 1;
    let fleet = Fleet::start(settings);
    let mut long = fleet.generate(A, ramble(300)).await.unwrap();
    assert!(matches!(long.next().await, Some(Event::Text(_))));
    assert_eq!(fleet.unload(A).await, Err(EngineError::Busy { expert: A.into() }));
    let other = tokio::spawn({
        let fleet = fleet.clone();
        async move { ask(&fleet, B, chat("Hello")).await }
    });
    let reply = read(long).await.unwrap();
    assert_eq!((reply.usage.completion_tokens, reply.reason), (300, Finish::Length));
    other.await.unwrap().unwrap();
    assert_eq!(fleet.status(A).unwrap().unload_count, 1);
}

/// Two experts of which one fits, under clients of each that ask again as soon as they are answered.
#[tokio::test(flavor = "multi_thread")]
async fn starvation_two_experts_that_do_not_fit_together_answer_in_turn() {
    const CLIENTS: usize = 4;
    const CALLS: usize = 5;
    let mut settings = settings(&[A, B]);
    settings.lazy_loading.max_loaded_experts = 1;
    let fleet = Fleet::start(settings);
    let (answered, mut order) = tokio::sync::mpsc::unbounded_channel();
    for id in [A, B].into_iter().cycle().take(2 * CLIENTS) {
        let (fleet, answered) = (fleet.clone(), answered.clone());
        tokio::spawn(async move {
            for _ in 0..CALLS {
                answered.send((id, ask(&fleet, id, chat("Hello")).await.is_ok())).unwrap();
            }
        });
    }
    drop(answered);
    let (mut seen, mut run, mut longest) = (Vec::new(), 0, 0);
    while let Some((id, whole)) = order.recv().await {
        assert!(whole, "a call of {id} was refused");
        run = if seen.last() == Some(&id) { run + 1 } else { 1 };
        seen.push(id);
        // What is left of one expert at the end is no turn of it.
        let both = [A, B]
            .iter()
            .all(|id| seen.iter().filter(|seen| seen == &id).count() < CLIENTS * CALLS);
        longest = if both { longest.max(run) } else { longest };
    }
    assert_eq!(seen.len(), 2 * CLIENTS * CALLS);
    assert!(longest <= 3 * CLIENTS, "one had {longest} turns in a row: {seen:?}");
}

#[tokio::test]
async fn pinned_experts_stay_and_the_refusal_says_so() {
    let mut settings = settings(&[A, B]);
    settings.lazy_loading.max_loaded_experts = 1;
    settings.lazy_loading.auto_unload_after = Some(Duration::from_millis(1));
    let fleet = Fleet::start(settings);
    fleet.pin(A, true).unwrap();
    fleet.load(A).await.unwrap();
    let refused = ask(&fleet, B, chat("Hello")).await.unwrap_err();
    assert_eq!(
        refused,
        EngineError::NoRoom { expert: B.into(), loaded: 1, holders: vec![A.into()] }
    );
    assert_eq!(state(&fleet, B), ExpertState::Cold);
    fleet.pin(A, false).unwrap();
    until("the idle expert has gone", || state(&fleet, A) == ExpertState::Cold).await;
    ask(&fleet, B, chat("Hello")).await.unwrap();
}

#[tokio::test]
async fn dropping_a_reply_ends_it_within_a_step() {
    let (_folders, settings) = endless(&[A]);
    let fleet = Fleet::start(settings);
    let mut stream = fleet.generate(A, ramble(1500)).await.unwrap();
    assert!(matches!(stream.next().await, Some(Event::Text(_))));
    drop(stream);
    until("the expert is idle", || fleet.status(A).unwrap().queue_depth == 0).await;
    assert!(fleet.status(A).unwrap().completion_tokens_total < 1000);
    assert_eq!(fleet.status(A).unwrap().kv_bytes, 0);
}

#[tokio::test]
async fn stop_strings_end_a_reply_before_themselves() {
    let fleet = fleet(&[A]);
    let whole = ask(&fleet, A, chat("Hello")).await.unwrap().text;
    let middle: Vec<char> = whole.chars().skip(4).take(5).collect();
    let stop: String = middle.into_iter().collect();
    let mut request = chat("Hello");
    request.stop = vec!["never".into(), stop.clone()];
    let reply = ask(&fleet, A, request).await.unwrap();
    assert_eq!(reply.text, whole.split(&stop).next().unwrap());
    assert_eq!(reply.reason, Finish::StopString(1));
}

#[tokio::test]
async fn seeds_repeat_and_max_tokens_is_exact() {
    let (_folders, settings) = endless(&[B]);
    let fleet = Fleet::start(settings);
    let first = ask(&fleet, B, ramble(40)).await.unwrap();
    let again = ask(&fleet, B, ramble(40)).await.unwrap();
    assert_eq!(first.text, again.text);
    assert_eq!((first.usage.completion_tokens, first.reason), (40, Finish::Length));
    let mut other = ramble(40);
    other.sampling.seed = Some(2);
    assert_ne!(ask(&fleet, B, other).await.unwrap().text, first.text);
}

#[tokio::test]
async fn replies_are_measured() {
    let (_folders, settings) = endless(&[A]);
    let fleet = Fleet::start(settings);
    let before = fleet.status(A).unwrap();
    assert_eq!((before.tokens_per_second, before.estimated_wait, before.idle), (None, None, None));
    let reply = ask(&fleet, A, ramble(20)).await.unwrap();
    assert!(reply.timings.loading.is_some_and(|loading| loading <= reply.timings.queued));
    let after = fleet.status(A).unwrap();
    assert!(after.tokens_per_second.unwrap() > 0.0);
    assert_eq!(after.completion_tokens_total, 20);
    assert_eq!(after.prompt_tokens_total, u64::from(reply.usage.prompt_tokens));
    assert!(ask(&fleet, A, ramble(1)).await.unwrap().timings.loading.is_none());
}

#[tokio::test]
async fn mistakes_are_reported_before_anything_is_loaded() {
    let fleet = fleet(&[A, "mistral_balanced"]);
    let refused = async |id: &str, request| fleet.generate(id, request).await.err().unwrap();
    assert_eq!(
        refused("nobody", chat("x")).await,
        EngineError::UnknownExpert { expert: "nobody".into() }
    );
    let mut hot = chat("x");
    hot.sampling.temperature = Some(9.0);
    assert!(matches!(refused(A, hot).await, EngineError::InvalidRequest { .. }));
    let mut none = chat("x");
    none.max_tokens = Some(0);
    assert!(matches!(refused(A, none).await, EngineError::InvalidRequest { .. }));
    let long = chat(&"word ".repeat(9000));
    assert!(matches!(refused(A, long).await, EngineError::PromptTooLong { context: 2048, .. }));
    let mut odd = chat("x");
    odd.prompt = vec![Message::text("wizard", "x")].into();
    assert!(matches!(refused(A, odd).await, EngineError::InvalidRequest { .. }));
    let mut early = chat("x");
    let turns = ["assistant", "user"].map(|role| Message::text(role, "x"));
    early.prompt = turns.to_vec().into();
    match refused("mistral_balanced", early).await {
        EngineError::Template { message, .. } => assert!(message.contains("must alternate")),
        other => panic!("{other:?}"),
    }
    assert!(fleet.menu().iter().all(|expert| expert.load_count == 0));
}

#[tokio::test]
async fn a_full_queue_turns_calls_away() {
    let (_folders, mut settings) = endless(&[A]);
    settings.limits.queue_max = 1;
    settings.experts[0].max_num_seqs = 1;
    let fleet = Fleet::start(settings);
    let running = fleet.generate(A, ramble(1000)).await.unwrap();
    let waiting = fleet.generate(A, ramble(1)).await.unwrap();
    let refused = fleet.generate(A, ramble(1)).await.err();
    assert_eq!(
        refused,
        Some(EngineError::QueueFull { expert: A.into(), waiting: 1, retry_after: None })
    );
    drop(running);
    read(waiting).await.unwrap();
}

#[tokio::test]
async fn tokens_are_counted_without_weights() {
    let fleet = fleet(&[B, A]);
    let entry = &recorded(A)[0];
    let counted = fleet.count_tokens(Some(A), entry["rendered"].as_str().unwrap()).unwrap();
    assert_eq!(counted as usize, entry["prompt_ids"].as_array().unwrap().len());
    let prompt = entry["prompt"].as_str().unwrap();
    assert_eq!(fleet.count_tokens(None, prompt), fleet.count_tokens(Some(A), prompt));
    assert!(fleet.count_tokens(Some("nobody"), "x").is_err());
    assert_eq!(fleet.status(A).unwrap().load_count, 0);
}

#[tokio::test]
async fn closing_waits_then_cancels() {
    let (_folders, settings) = endless(&[A, B]);
    let fleet = Fleet::start(settings);
    let short = fleet.generate(A, ramble(20)).await.unwrap();
    let long = fleet.generate(B, ramble(4000)).await.unwrap();
    fleet.shutdown(Duration::from_millis(300)).await;
    assert_eq!(read(short).await.unwrap().usage.completion_tokens, 20);
    match read(long).await {
        Err(error) => assert_eq!(error, EngineError::ShuttingDown),
        Ok(reply) => assert!(reply.usage.completion_tokens > 0, "fast enough to finish"),
    }
    assert_eq!(fleet.memory().reserved_bytes, 0);
    assert_eq!(fleet.generate(A, chat("x")).await.err(), Some(EngineError::ShuttingDown));
    assert_eq!(fleet.load(A).await, Err(EngineError::ShuttingDown));
}

#[tokio::test]
async fn replies_outlive_the_last_handle() {
    let (_folders, settings) = endless(&[A]);
    let fleet = Fleet::start(settings);
    let stream = fleet.generate(A, ramble(30)).await.unwrap();
    drop(fleet);
    assert_eq!(read(stream).await.unwrap().usage.completion_tokens, 30);
}

#[tokio::test]
async fn sampling_defaults_come_from_the_checkpoint() {
    let fleet = fleet(&[A]);
    let greedy = ask(&fleet, A, chat("Hello")).await.unwrap().text;
    let mut explicit = chat("Hello");
    explicit.sampling = Sampling { temperature: Some(0.0), ..Sampling::default() };
    assert_eq!(ask(&fleet, A, explicit).await.unwrap().text, greedy, "do_sample is false");
}

#[tokio::test]
async fn a_reply_may_be_longer_than_the_short_rotary_regime() {
    let (_folders, settings) = endless(&[A]);
    let fleet = Fleet::start(settings);
    let reply = ask(&fleet, A, ramble(700)).await.unwrap();
    assert_eq!(reply.usage.completion_tokens, 700);
    assert!(fleet.status(A).unwrap().context_length > 512);
}
