//! One call's way to its expert: a place in the queue, the prompt's tokens, the expert in memory.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{Inner, loading, residency::SlotState};
use crate::{
    EngineError, Prompt, Request, TokenStream,
    expert::{Commands, Job, panic_words},
    prompt_format::{Encoded, PromptFormat},
    sampler::Sampler,
    tokenizer::Stops,
};

/// Counts a call while it lives, which keeps its expert from being unloaded.
struct Ticket {
    inner: Arc<Inner>,
    at: usize,
}

impl Ticket {
    /// Turns the call away when its expert has too many, or when the fleet closes.
    fn draw(inner: &Arc<Inner>, at: usize) -> Result<Self, EngineError> {
        let abreast = inner.members[at].settings.max_num_seqs as usize;
        let mut residency = inner.residency();
        if residency.closing {
            return Err(EngineError::ShuttingDown);
        }
        let slot = &mut residency.slots[at];
        let waiting = slot.calls.saturating_sub(abreast);
        if slot.calls >= abreast && waiting >= inner.limits.queue_max {
            return Err(EngineError::QueueFull { expert: slot.id.clone(), waiting });
        }
        slot.calls += 1;
        drop(residency);
        Ok(Self { inner: inner.clone(), at })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut residency = self.inner.residency();
        let slot = &mut residency.slots[self.at];
        slot.calls -= 1;
        slot.last_used = Instant::now();
        drop(residency);
        self.inner.notify();
    }
}

/// A request turned into what the expert needs.
struct Prepared {
    prompt: Encoded,
    max_tokens: u32,
    sampler: Sampler,
    stops: Stops,
    prompt_format: Arc<PromptFormat>,
}

/// Everything up to the first token. Mistakes in the request are found before anything is loaded.
pub(super) async fn answer(
    inner: &Arc<Inner>,
    at: usize,
    request: Request,
) -> Result<TokenStream, EngineError> {
    let submitted = Instant::now();
    if let SlotState::Failed(problem) = &inner.residency().slots[at].state {
        return Err(inner.unloadable(at, problem.clone()));
    }
    let ticket = Ticket::draw(inner, at)?;
    inspect_aside(inner, at).await?;
    let prepared = prepare_aside(inner, at, request).await?;
    let prompt_tokens = u32::try_from(prepared.prompt.ids.len()).unwrap_or(u32::MAX);
    let (events, stream) = TokenStream::open(&inner.members[at].settings.id, prompt_tokens);
    let Prepared { prompt: Encoded { ids, images }, max_tokens, sampler, stops, prompt_format } =
        prepared;
    let job = Job {
        prompt: ids,
        images,
        max_tokens,
        sampler,
        stops,
        prompt_format,
        events,
        submitted,
        loading: None,
        _hold: Box::new(ticket),
    };
    submit(inner, at, Box::new(job)).await?;
    let counters = &inner.members[at].counters;
    counters.requests.fetch_add(1, Relaxed);
    counters.prompt_tokens.fetch_add(u64::from(prompt_tokens), Relaxed);
    Ok(stream)
}

/// Inspects an expert that could not be inspected for a lack, which touches the disk.
async fn inspect_aside(inner: &Arc<Inner>, at: usize) -> Result<(), EngineError> {
    if !inner.inspection(at).passes() {
        return Ok(());
    }
    let aside = inner.clone();
    let inspected = tokio::task::spawn_blocking(move || aside.ensure_inspected(at)).await;
    inspected.unwrap_or_else(|error| Err(inner.unloadable(at, error.to_string())))
}

/// Templates and tokenizers take milliseconds on long prompts, which would hold up other tasks.
async fn prepare_aside(
    inner: &Arc<Inner>,
    at: usize,
    request: Request,
) -> Result<Prepared, EngineError> {
    let aside = inner.clone();
    let turn = match &request.prompt {
        // An error would mean that the semaphore was closed, which it never is.
        Prompt::Chat(_) => inner.members[at].rendering.clone().acquire_owned().await.ok(),
        Prompt::Text(_) => None,
    };
    let prepare = move || {
        let _turn = turn; // given back when the work is done, whoever still waits for it
        prepare(&aside, at, &request)
    };
    let prepared = tokio::task::spawn_blocking(prepare).await;
    prepared.unwrap_or_else(|error| {
        let expert = inner.members[at].settings.id.clone();
        let problem = match error.try_into_panic() {
            Ok(panic) => panic_words(&*panic),
            Err(error) => error.to_string(),
        };
        Err(EngineError::TemplateFailed { expert, problem })
    })
}

fn prepare(inner: &Inner, at: usize, request: &Request) -> Result<Prepared, EngineError> {
    let stops = Stops::new(&request.stop)?;
    if request.max_tokens == Some(0) {
        let message = "max_tokens is 0; it must be at least 1".into();
        return Err(EngineError::InvalidRequest { message });
    }
    let prompt_format = inner.prompt_format(at)?;
    let sampler = Sampler::new(prompt_format.generation.rules(&request.sampling)?);
    let context = inner.inspection(at).context_length.unwrap_or(0);
    let expert = &inner.members[at].settings.id;
    let prompt =
        prompt_format.encode(expert, &request.prompt, context).map_err(|error| match error {
            EngineError::Blind { expert, .. } => {
                EngineError::Blind { expert, seeing: inner.seeing() }
            }
            other => other,
        })?;
    let rest = context - u32::try_from(prompt.ids.len()).unwrap_or(context);
    let max_tokens = request.max_tokens.map_or(rest, |most| most.min(rest));
    Ok(Prepared { prompt, max_tokens, sampler, stops, prompt_format })
}

/// Hands the job to its expert. An expert that crashes in this very moment is loaded again.
async fn submit(inner: &Arc<Inner>, at: usize, mut job: Box<Job>) -> Result<(), EngineError> {
    loop {
        let (commands, waited) = resident(inner, at).await?;
        job.loading = match (job.loading, waited) {
            (Some(before), Some(now)) => Some(before + now),
            (before, now) => before.or(now),
        };
        match commands.submit(job) {
            Ok(()) => return Ok(()),
            Err(back) => job = back,
        }
    }
}

/// What has to happen before an expert can be used.
enum Approach {
    Ready(Commands),
    Load(oneshot::Receiver<Result<(), EngineError>>),
    /// It is leaving; when it is gone it can be loaded.
    Later,
}

/// The expert in memory, and how long its load was waited for. However many calls come at once, it
/// is loaded once.
pub(super) async fn resident(
    inner: &Arc<Inner>,
    at: usize,
) -> Result<(Commands, Option<Duration>), EngineError> {
    let began = Instant::now();
    let mut waited = None;
    loop {
        let mut changed = inner.changed.subscribe();
        match approach(inner, at)? {
            Approach::Ready(commands) => return Ok((commands, waited)),
            Approach::Load(loaded) => {
                loaded.await.unwrap_or(Err(EngineError::ShuttingDown))?;
                waited = Some(began.elapsed());
            }
            Approach::Later => {
                // Fails only without a sender, and that lives in `inner`.
                let _ = changed.changed().await;
            }
        }
    }
}

fn approach(inner: &Arc<Inner>, at: usize) -> Result<Approach, EngineError> {
    let (waiter, loaded) = oneshot::channel();
    let mut residency = inner.residency();
    let closing = residency.closing;
    let slot = &mut residency.slots[at];
    match &mut slot.state {
        SlotState::Resident(expert) => return Ok(Approach::Ready(expert.commands())),
        SlotState::Failed(problem) => return Err(inner.unloadable(at, problem.clone())),
        _ if closing => return Err(EngineError::ShuttingDown),
        SlotState::Leaving => return Ok(Approach::Later),
        SlotState::Loading(waiters) => waiters.push(waiter),
        state @ SlotState::Cold => {
            if let Some((retry_after, problem)) = slot.backoff.pause() {
                let (expert, problem) = (slot.id.clone(), problem.to_owned());
                return Err(EngineError::Unavailable { expert, problem, retry_after });
            }
            *state = SlotState::Loading(vec![waiter]);
            drop(residency);
            loading::begin(inner, at);
        }
    }
    Ok(Approach::Load(loaded))
}
