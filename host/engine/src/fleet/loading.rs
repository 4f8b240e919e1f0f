//! How experts come into memory and leave it. Each load has its own thread, which first makes room;
//! an expert that leaves keeps its reservation until its thread has ended and its memory is free.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError, Weak},
    thread,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{
    Inner,
    residency::{Room, SlotState},
};
use crate::{
    EngineError,
    checkpoint::Checkpoint,
    expert::{Bounds, Expert, Notice, panic_words},
    files::CheckpointError,
    memory::{kv_bytes_per_token, kv_tokens},
};

/// How long a load waits for busy experts to become idle before it gives up. Long enough for most
/// replies to end, short enough for a client to still be there.
const ROOM_WAIT: Duration = Duration::from_secs(30);
/// The longest and the shortest time between two looks for idle experts.
const IDLE_LOOK: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(5));

/// Loads an expert whose state has just been set to loading, on a thread of its own.
pub(super) fn begin(inner: &Arc<Inner>, at: usize) {
    let loader = inner.clone();
    let evict = inner.lazy.enabled;
    let name = format!("load {}", inner.members[at].settings.id);
    let spawned = thread::Builder::new().name(name).spawn(move || load(&loader, at, evict));
    if let Err(error) = spawned {
        finish(inner, at, Err(inner.no_thread(at, "load", &error)));
    }
}

/// Loads the warm pool, the highest priority first, without sending anyone away for it.
pub(super) fn warm_up(inner: &Arc<Inner>) {
    let pool = warm_pool(inner);
    let warmer = inner.clone();
    let spawned = thread::Builder::new().name("warm up".into()).spawn(move || {
        for &at in &pool {
            if claim_cold(&warmer, at) {
                load(&warmer, at, false);
            }
        }
        wait_while_loading(&warmer, &pool);
        warmer.warmed.send_replace(true);
    });
    if let Err(error) = spawned {
        tracing::warn!(%error, "no thread to warm up; experts load on first use");
        inner.warmed.send_replace(true);
    }
}

fn warm_pool(inner: &Inner) -> Vec<usize> {
    let residency = inner.residency();
    let cold = |at: &usize| matches!(residency.slots[*at].state, SlotState::Cold);
    let mut pool: Vec<usize> = (0..residency.slots.len()).filter(cold).collect();
    pool.sort_by_key(|&at| std::cmp::Reverse(inner.members[at].settings.priority));
    if inner.lazy.enabled {
        pool.truncate(inner.lazy.warmup_pool_size.min(residency.loaded_max));
    }
    pool
}

fn claim_cold(inner: &Inner, at: usize) -> bool {
    let mut residency = inner.residency();
    let free = matches!(residency.slots[at].state, SlotState::Cold) && !residency.closing;
    if free {
        residency.slots[at].state = SlotState::Loading(Vec::new());
    }
    free
}

/// Calls may have begun to load some of the pool themselves.
fn wait_while_loading(inner: &Inner, pool: &[usize]) {
    let loading = |at: &usize, residency: &super::Residency<Expert>| {
        matches!(residency.slots[*at].state, SlotState::Loading(_))
    };
    let waited = inner
        .moved
        .wait_while(inner.residency(), |residency| pool.iter().any(|at| loading(at, residency)));
    drop(waited.unwrap_or_else(PoisonError::into_inner));
}

/// One load from beginning to end, on this thread.
fn load(inner: &Arc<Inner>, at: usize, evict: bool) {
    let outcome = catch_unwind(AssertUnwindSafe(|| bring_in(inner, at, evict)));
    let outcome = outcome.unwrap_or_else(|panic| {
        let problem = format!("loading it panicked: {}", panic_words(&*panic));
        Err(inner.unloadable(at, problem))
    });
    finish(inner, at, outcome);
}

/// Reserves memory first, then reads. Returns the running expert and how long reading took.
fn bring_in(inner: &Arc<Inner>, at: usize, evict: bool) -> Result<(Expert, Duration), EngineError> {
    inner.ensure_inspected(at)?;
    make_room(inner, at, evict)?;
    let began = Instant::now();
    let member = &inner.members[at];
    let troubled = |error: CheckpointError| inner.troubled(at, error.into());
    inner.prompt_format(at)?;
    let checkpoint = Checkpoint::open(&member.settings.path).map_err(troubled)?;
    let checkpoint = checkpoint.quantised(member.settings.bits());
    refuse_replaced(inner, at, &checkpoint)?;
    let model = checkpoint.load().map_err(troubled)?;
    let context = inner.inspection(at).context_length.unwrap_or(0);
    let sequences = member.settings.max_num_seqs;
    let bounds = Bounds { sequences: sequences as usize, kv_tokens: kv_tokens(context, sequences) };
    let home = Arc::downgrade(inner);
    let notify = move |notice| handle(&home, at, notice);
    let expert = Expert::spawn(&member.settings.id, model, bounds, member.counters.clone(), notify)
        .map_err(|error| inner.no_thread(at, "run", &error))?;
    Ok((expert, began.elapsed()))
}

/// Memory was reserved, and prompts are read, by what the files said when they were inspected.
fn refuse_replaced(inner: &Inner, at: usize, checkpoint: &Checkpoint) -> Result<(), EngineError> {
    let (seen, spec) = (inner.inspection(at), checkpoint.spec());
    let now = (Some(checkpoint.weight_bytes()), Some(kv_bytes_per_token(spec)));
    if now == (seen.weight_bytes, seen.kv_bytes_per_token) {
        return Ok(());
    }
    let problem = "its files are others than those that were inspected; load it once more through \
                   the admin plane";
    Err(inner.unloadable(at, problem.to_owned()))
}

/// Sends idle experts away until there is room. While those in the way are merely busy, waits for
/// one of them, up to [`ROOM_WAIT`].
fn make_room(inner: &Inner, at: usize, evict: bool) -> Result<(), EngineError> {
    let deadline = Instant::now() + ROOM_WAIT;
    let mut residency = inner.residency();
    loop {
        if residency.closing {
            return Err(EngineError::ShuttingDown);
        }
        match residency.room(at, evict) {
            Room::Reserved => return Ok(()),
            Room::Full(why) => return Err(why),
            Room::Evict(victim) => {
                let leaving = residency.slots[victim].leave();
                drop(residency);
                if let Some(expert) = leaving {
                    expert.stop();
                }
                residency = inner.residency();
            }
            Room::Wait => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(residency.refusal(at));
                }
                let woken = inner.moved.wait_timeout(residency, left);
                residency = woken.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }
}

/// Enters the outcome of a load and notifies those who wait for it.
fn finish(inner: &Inner, at: usize, outcome: Result<(Expert, Duration), EngineError>) {
    let mut residency = inner.residency();
    let closing = residency.closing;
    let slot = &mut residency.slots[at];
    let (state, result, surplus) = match outcome {
        Ok((expert, took)) => {
            slot.loads += 1;
            slot.backoff.clear();
            slot.last_load = Some(took);
            slot.last_used = Instant::now();
            if closing {
                (SlotState::Leaving, Err(EngineError::ShuttingDown), Some(expert))
            } else {
                (SlotState::Resident(expert), Ok(()), None)
            }
        }
        Err(mut error) => {
            slot.reserved = 0;
            if let EngineError::Unavailable { problem, retry_after, .. } = &mut error {
                *retry_after = slot.backoff.lacked(problem);
            }
            (after_failure(&error), Err(error), None)
        }
    };
    let before = std::mem::replace(&mut slot.state, state);
    drop(residency);
    if let Some(expert) = surplus {
        expert.stop();
    }
    if let Err(error) = &result {
        tracing::warn!(expert = inner.members[at].settings.id, %error, "load failed");
    }
    if let SlotState::Loading(waiters) = before {
        for waiter in waiters {
            // A waiter that is gone has given up.
            let _ = waiter.send(result.clone());
        }
    }
    inner.notify();
}

/// Broken files stay broken until somebody mends them; a lack of room passes.
fn after_failure(error: &EngineError) -> SlotState<Expert> {
    match error {
        EngineError::Unloadable { problem, .. } => SlotState::Failed(problem.clone()),
        _ => SlotState::Cold,
    }
}

/// What an expert's thread says of its end.
fn handle(home: &Weak<Inner>, at: usize, notice: Notice) {
    let Some(inner) = home.upgrade() else { return };
    let mut residency = inner.residency();
    match notice {
        Notice::Crashed(problem) => {
            tracing::error!(expert = inner.members[at].settings.id, problem, "expert crashed");
            drop(residency.slots[at].leave());
        }
        Notice::Gone => residency.slots[at].gone(),
    }
    drop(residency);
    inner.notify();
}

/// Unloads one expert that nobody uses.
pub(super) async fn unload(inner: &Arc<Inner>, at: usize) -> Result<(), EngineError> {
    loop {
        let mut changed = inner.changed.subscribe();
        let leaving = {
            let mut residency = inner.residency();
            let slot = &mut residency.slots[at];
            let busy = || EngineError::Busy { expert: slot.id.clone() };
            match &slot.state {
                SlotState::Loading(_) => return Err(busy()),
                SlotState::Resident(_) if slot.calls > 0 => return Err(busy()),
                SlotState::Cold | SlotState::Failed(_) => return Ok(()),
                SlotState::Resident(_) | SlotState::Leaving => slot.leave(),
            }
        };
        match leaving {
            Some(expert) => stop_all(vec![expert]).await,
            None => {
                // Fails only without a sender, and that lives in `inner`.
                let _ = changed.changed().await;
            }
        }
    }
}

/// Ends every expert, busy or not, and waits until their memory is free.
pub(super) async fn unload_all(inner: &Inner) {
    let leaving = inner.residency().slots.iter_mut().filter_map(|slot| slot.leave()).collect();
    stop_all(leaving).await;
}

/// Waits for experts to end, on a thread that may block.
async fn stop_all(experts: Vec<Expert>) {
    let (done, ended) = oneshot::channel::<()>();
    let spawned = thread::Builder::new().name("unload".into()).spawn(move || {
        experts.into_iter().for_each(Expert::stop);
        drop(done);
    });
    if let Err(error) = spawned {
        // The handles are dropped with the closure, so the experts end by themselves.
        tracing::warn!(%error, "no thread to wait for experts that end");
    }
    // Resolves with an error when `done` is dropped, which is the signal.
    let _ = ended.await;
}

/// Unloads experts that nobody has used for long, for as long as the fleet lives.
pub(super) fn watch_idle(inner: &Arc<Inner>) {
    let Some(limit) = inner.lazy.auto_unload_after.filter(|_| inner.lazy.enabled) else { return };
    let pause = (limit / 8).clamp(IDLE_LOOK.0, IDLE_LOOK.1);
    let home = Arc::downgrade(inner);
    let watch = move || {
        while let Some(inner) = home.upgrade() {
            send_away(&inner, limit);
            drop(inner);
            thread::sleep(pause);
        }
    };
    if let Err(error) = thread::Builder::new().name("watch idle".into()).spawn(watch) {
        tracing::warn!(%error, "no thread to unload idle experts");
    }
}

fn send_away(inner: &Inner, limit: Duration) {
    let leaving: Vec<Expert> = {
        let mut residency = inner.residency();
        let stale = residency.stale(limit);
        stale.into_iter().filter_map(|at| residency.slots[at].leave()).collect()
    };
    leaving.into_iter().for_each(Expert::stop);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        DType, Event, ExpertSettings, ExpertState, Fleet, FleetLimits, FleetSettings, LazyLoading,
        Prompt, Request, Sampling, Templates, TokenStream,
        expert::Job,
        fleet::call,
        inspect::{Inspection, Severity},
        sampler::{Rules, Sampler},
        tokenizer::{Stops, tests::toy},
    };

    fn fleet() -> Fleet {
        let expert = ExpertSettings {
            id: "a".into(),
            path: toy("phi4_fast"),
            domain: String::new(),
            description: String::new(),
            use_cases: Vec::new(),
            priority: 0,
            quantization: None,
            dtype: DType::Auto,
            max_model_len: None,
            max_num_seqs: 4,
            pinned: false,
        };
        let lazy_loading = LazyLoading {
            enabled: true,
            warmup_pool_size: 0,
            max_loaded_experts: 1,
            auto_unload_after: None,
        };
        let memory_bytes_max = 1 << 30;
        Fleet::start(FleetSettings {
            experts: vec![expert],
            lazy_loading,
            memory_bytes_max,
            limits: FleetLimits { queue_max: 4 },
            templates: Templates::InProcess,
        })
    }

    fn words() -> Request {
        let sampling = Sampling { temperature: Some(0.0), ..Sampling::default() };
        let prompt = Prompt::Text("Hello".into());
        Request { prompt, sampling, max_tokens: Some(400), stop: Vec::new() }
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
        let prompt_format = fleet.0.prompt_format(0).unwrap();
        let rules = Rules { temperature: 0.0, top_p: 1.0, top_k: 0, seed: None };
        let job = Job {
            prompt: vec![1],
            images: Vec::new(),
            max_tokens: 1,
            sampler: Sampler::new(rules),
            stops: Stops::new(&[]).unwrap(),
            prompt_format,
            events: TokenStream::open("a", 1).0,
            submitted: Instant::now(),
            loading: None,
            _hold: Box::new(Bomb),
        };
        let (commands, _) = call::resident(&fleet.0, 0).await.unwrap();
        assert!(commands.submit(Box::new(job)).is_ok());
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
        let (expert, problem) = ("a".to_owned(), "no descriptors".to_owned());
        let lacking = EngineError::Unavailable { expert, problem, retry_after: Duration::ZERO };
        assert!(claim_cold(&fleet.0, 0));
        finish(&fleet.0, 0, Err(lacking));
        assert_eq!(fleet.status("a").unwrap().state, ExpertState::Cold);
        let message = fleet.generate("a", words()).await.err();
        let Some(EngineError::Unavailable { problem, retry_after, .. }) = message else {
            panic!("{message:?}");
        };
        assert_eq!(problem, "no descriptors");
        assert!(!retry_after.is_zero());
        tokio::time::sleep(retry_after).await;
        let stream = fleet.generate("a", words()).await.unwrap();
        assert!(matches!(last(stream).await, Some(Event::Finished { .. })));
    }

    #[tokio::test]
    async fn an_operator_need_not_wait_for_the_backoff() {
        let fleet = fleet();
        let (expert, problem) = ("a".to_owned(), "no threads".to_owned());
        let lacking = EngineError::Unavailable { expert, problem, retry_after: Duration::ZERO };
        assert!(claim_cold(&fleet.0, 0));
        finish(&fleet.0, 0, Err(lacking));
        fleet.load("a").await.unwrap();
    }

    #[tokio::test]
    async fn what_a_lack_hid_at_start_is_looked_at_by_the_first_call() {
        let fleet = fleet();
        let mut unseen = Inspection::default();
        unseen.add(Severity::Error, "resources-short", "no descriptors", "wait");
        *fleet.0.members[0].inspection.lock().unwrap() = Arc::new(unseen);
        fleet.0.residency().slots[0].needs = 0;
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
        assert_eq!(
            (status.state, status.queue_depth, status.unload_count),
            (ExpertState::Cold, 0, 1)
        );
        let again = fleet.generate("a", words()).await.unwrap();
        assert!(matches!(last(again).await, Some(Event::Finished { .. })));
        assert_eq!(fleet.status("a").unwrap().load_count, 2);
    }
}
