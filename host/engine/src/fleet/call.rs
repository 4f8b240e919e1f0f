//! One call's way to its expert: a place in the queue, the prompt's tokens, the expert in memory.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{Fleet, handle::Handle, residency::SlotState};
use crate::{
    EngineError, Finding, KeepAlive, Priority, Progress, Prompt, Request, TokenStream,
    constraint::{Constraint, Grammar, Problem},
    expert::{Commands, Job, Weighing, panic_words},
    limits::GRAMMARS_WAITING_MAX,
    prompt_format::{Encoded, PromptFormat},
    sampler::Sampler,
    tokenizer::Stops,
};

/// How often a call that waits for a load looks how far it is.
const TELL: Duration = Duration::from_millis(500);

/// Counts a call while it lives, which keeps its expert from being unloaded.
pub(super) struct Ticket {
    expert: Handle,
    came: Instant,
    class: Priority,
    keep_alive: Option<KeepAlive>,
}

impl Ticket {
    /// Turns the call away when its expert can't be served, has too many that it would wait behind, or when the
    /// fleet closes. `None` where the expert was retired since it was found.
    fn draw(
        expert: &Handle,
        class: Priority,
        keep_alive: Option<KeepAlive>,
    ) -> Result<Option<Self>, EngineError> {
        let abreast = expert.member().settings.max_num_seqs as usize;
        let mut residency = expert.shared.residency();
        if residency.closing {
            return Err(EngineError::ShuttingDown);
        }
        let slot = &mut residency.slots[expert.at];
        if slot.retired {
            return Ok(None);
        }
        if let SlotState::Failed(faults) = &slot.state {
            return Err(expert.unloadable(faults.clone()));
        }
        let before = slot.calls_not_below(class);
        let waiting = before.saturating_sub(abreast);
        if before >= abreast && waiting >= expert.shared.tuning.load().limits.queue_max {
            let retry_after = expert.member().counters.between_ends(abreast);
            return Err(EngineError::QueueFull { expert: slot.id.clone(), waiting, retry_after });
        }
        let came = Instant::now();
        residency.asked(expert.at, class, came);
        drop(residency);
        Ok(Some(Self { expert: expert.clone(), came, class, keep_alive }))
    }

    /// When the call came.
    pub(super) fn came(&self) -> Instant {
        self.came
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.expert.call_ended(self.keep_alive, |slot| {
            slot.calls -= 1;
            slot.calls_by_class[self.class.index()] -= 1;
            slot.hand_over(self.came);
        });
    }
}

/// A request turned into what the expert needs.
struct Prepared {
    prompt: Encoded,
    prediction: Vec<u32>,
    scope: u64,
    priority: Priority,
    max_tokens: u32,
    min_tokens: u32,
    sampler: Sampler,
    stops: Stops,
    constraint: Option<Constraint>,
    weighing: Option<Weighing>,
    logprobs: Option<u32>,
    ends: BTreeSet<u32>,
    prompt_format: Arc<PromptFormat>,
    progress: Progress,
}

/// What has to happen before an expert can be used.
enum Approach {
    Ready(Commands),
    Load(oneshot::Receiver<Result<(), EngineError>>),
    /// It is leaving, or gives way; when it is gone it can be loaded.
    Later,
}

impl Fleet {
    /// Lets a call in to the expert that has this name.
    pub(super) fn enter(
        &self,
        id: &str,
        class: Priority,
        keep_alive: Option<KeepAlive>,
    ) -> Result<(Handle, Ticket), EngineError> {
        loop {
            let expert = self.find(id)?;
            // One that was retired meanwhile has left its name to another, or to nobody.
            if let Some(ticket) = Ticket::draw(&expert, class, keep_alive)? {
                return Ok((expert, ticket));
            }
        }
    }
}

impl Handle {
    /// Everything up to the first token. Mistakes in the request are found before anything is loaded.
    pub(super) async fn answer(
        &self,
        ticket: Ticket,
        request: Request,
    ) -> Result<TokenStream, EngineError> {
        let submitted = Instant::now();
        let came = ticket.came;
        self.inspect_aside().await?;
        if self.encodes() {
            return Err(self.no_replies());
        }
        let chat = matches!(request.prompt, Prompt::Chat(_));
        let prepared = self.aside(chat, move |expert| expert.prepare(&request)).await?;
        let prompt_tokens = u32::try_from(prepared.prompt.ids.len()).unwrap_or(u32::MAX);
        let (events, stream) = TokenStream::open(self.id(), prompt_tokens);
        let Encoded { ids, images } = prepared.prompt;
        let job = Job {
            prompt: ids,
            images,
            prediction: prepared.prediction,
            scope: prepared.scope,
            priority: prepared.priority,
            max_tokens: prepared.max_tokens,
            min_tokens: prepared.min_tokens,
            sampler: prepared.sampler,
            stops: prepared.stops,
            constraint: prepared.constraint,
            weighing: prepared.weighing,
            logprobs: prepared.logprobs,
            ends: prepared.ends,
            prompt_format: prepared.prompt_format,
            events,
            progress: prepared.progress,
            submitted,
            loading: None,
            _hold: Box::new(ticket),
        };
        self.submit(Box::new(job), came).await?;
        let counters = &self.member().counters;
        counters.requests.fetch_add(1, Relaxed);
        counters.prompt_tokens.fetch_add(u64::from(prompt_tokens), Relaxed);
        Ok(stream)
    }

    /// Inspects an expert that could not be inspected for a lack, which touches the disk.
    pub(super) async fn inspect_aside(&self) -> Result<(), EngineError> {
        if !self.inspection().passes() {
            return Ok(());
        }
        let aside = self.clone();
        let inspected = tokio::task::spawn_blocking(move || aside.ensure_inspected()).await;
        inspected.unwrap_or_else(|error| {
            Err(self.unloadable(Finding::error("inspection-panicked", error.to_string(), "")))
        })
    }

    /// Templates and tokenizers take milliseconds on long prompts, which would hold up other tasks. A template's
    /// child renders one chat at a time.
    pub(super) async fn aside<T: Send + 'static>(
        &self,
        chat: bool,
        work: impl FnOnce(&Handle) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let aside = self.clone();
        let turn = match chat {
            // An error would mean that the semaphore was closed, which it never is.
            true => self.member().rendering.clone().acquire_owned().await.ok(),
            false => None,
        };
        let work = move || {
            let _turn = turn; // given back when the work is done, whoever still waits for it
            work(&aside)
        };
        let worked = tokio::task::spawn_blocking(work).await;
        worked.unwrap_or_else(|error| {
            let expert = self.id().to_owned();
            let problem = match error.try_into_panic() {
                Ok(panic) => panic_words(&*panic),
                Err(error) => error.to_string(),
            };
            Err(EngineError::TemplateFailed { expert, problem })
        })
    }

    /// Longest prompt plus reply; 0 while unknown.
    pub(super) fn context(&self) -> u32 {
        self.inspection().context_length.unwrap_or(0)
    }

    fn prepare(&self, request: &Request) -> Result<Prepared, EngineError> {
        let stops = Stops::new(&request.stop)?;
        if request.max_tokens == Some(0) {
            let message = "max_tokens is 0; it must be at least 1".into();
            return Err(EngineError::InvalidRequest { message });
        }
        let prompt_format = self.prompt_format()?;
        let rules = prompt_format.generation.rules(&request.sampling)?;
        let context = self.context();
        let expert = self.id();
        let prompt =
            prompt_format.encode(expert, &request.prompt, context).map_err(
                |error| match error {
                    EngineError::Blind { expert, .. } => {
                        EngineError::Blind { expert, seeing: self.shared.able(|seen| seen.images) }
                    }
                    other => other,
                },
            )?;
        // A guess that can't be read is none.
        let read = |text: &str| prompt_format.tokenizer.encode_text(text).ok();
        let mut prediction = request.prediction.as_deref().and_then(read).unwrap_or_default();
        prediction.truncate(context as usize);
        let rest = context - u32::try_from(prompt.ids.len()).unwrap_or(context);
        let weighing = prompt_format.weighing(&request.labels, rest)?;
        let most = weighing.as_ref().map(Weighing::longest).or(request.max_tokens);
        let max_tokens = most.map_or(rest, |most| most.min(rest));
        let sampler = Sampler::new(rules, &prompt.ids).biased(request.sampling.bias.clone());
        let constraint = self.constraint(&prompt_format, request)?;
        let ends = prompt_format.generation.ends_of(&request.ends);
        let min_tokens = request.ends.min_tokens;
        let progress = request.progress.clone();
        Ok(Prepared {
            prompt,
            prediction,
            scope: request.scope,
            priority: request.priority,
            max_tokens,
            min_tokens,
            sampler,
            stops,
            constraint,
            weighing,
            logprobs: request.logprobs,
            ends,
            prompt_format,
            progress,
        })
    }

    /// What the reply has to follow. Compiling it takes long, and is done here: far from the steps.
    fn constraint(
        &self,
        prompt_format: &PromptFormat,
        request: &Request,
    ) -> Result<Option<Constraint>, EngineError> {
        let none = Arc::default();
        let tools = match &request.prompt {
            Prompt::Chat(conversation) => &conversation.tools,
            Prompt::Text(_) | Prompt::Tokens(_) | Prompt::Infill { .. } => &none,
        };
        let wrong = |words: String| EngineError::InvalidRequest {
            message: format!("the form that the reply is to have can't be followed: {words}"),
        };
        let compiler = &prompt_format.compiler;
        let constraint = match Grammar::of(&request.format, tools).map_err(wrong)? {
            Some(grammar) => compiler.constraint(&grammar).map(Some),
            None => compiler.calls(tools),
        };
        constraint.map_err(|problem| match problem {
            Problem::Wrong(words) => wrong(words),
            Problem::Busy => EngineError::QueueFull {
                expert: self.id().to_owned(),
                waiting: GRAMMARS_WAITING_MAX,
                retry_after: None,
            },
        })
    }

    /// Hands the job to its expert. An expert that crashes in this very moment is loaded again.
    async fn submit(&self, mut job: Box<Job>, came: Instant) -> Result<(), EngineError> {
        loop {
            let (commands, waited) = self.resident(Some((came, &job.progress))).await?;
            job.loading = match (job.loading, waited) {
                (Some(before), Some(now)) => Some(before + now),
                (before, now) => before.or(now),
            };
            let Commands::Replies(inbox) = commands else { return Err(self.no_replies()) };
            match inbox.submit(job) {
                Ok(()) => return Ok(()),
                Err(back) => job = back,
            }
        }
    }

    /// The expert in memory, and how long its load was waited for. However many calls come at once, it
    /// is loaded once. A call that came at `came` counts as handed over when this returns.
    pub(super) async fn resident(
        &self,
        call: Option<(Instant, &Progress)>,
    ) -> Result<(Commands, Option<Duration>), EngineError> {
        let began = Instant::now();
        let mut waited = None;
        loop {
            let mut changed = self.shared.changed.subscribe();
            match self.approach(call.map(|(came, _)| came))? {
                Approach::Ready(commands) => return Ok((commands, waited)),
                Approach::Load(loaded) => {
                    let loaded = self.telling(call.map(|(_, progress)| progress), loaded).await;
                    loaded.unwrap_or(Err(EngineError::ShuttingDown))?;
                    waited = Some(began.elapsed());
                }
                Approach::Later => {
                    // Fails only without a sender, and that lives in `shared`.
                    let _ = changed.changed().await;
                }
            }
        }
    }

    /// Waits for a load, and says meanwhile how far it is.
    async fn telling<T>(&self, progress: Option<&Progress>, loaded: impl Future<Output = T>) -> T {
        let mut loaded = std::pin::pin!(loaded);
        loop {
            if let Some(progress) = progress {
                progress.is_at(self.loading_stage());
            }
            match tokio::time::timeout(TELL, &mut loaded).await {
                Ok(loaded) => return loaded,
                Err(_) => continue,
            }
        }
    }

    fn approach(&self, came: Option<Instant>) -> Result<Approach, EngineError> {
        let (waiter, loaded) = oneshot::channel();
        let mut residency = self.shared.residency();
        let closing = residency.closing;
        let gives_way = came.is_some_and(|came| residency.gives_way(self.at, came)) && !closing;
        let slot = &mut residency.slots[self.at];
        match &mut slot.state {
            SlotState::Resident(_) if gives_way => return Ok(Approach::Later),
            SlotState::Resident(expert) => {
                let commands = expert.commands();
                came.into_iter().for_each(|came| slot.hand_over(came));
                return Ok(Approach::Ready(commands));
            }
            SlotState::Failed(faults) => return Err(self.unloadable(faults.clone())),
            _ if slot.retired && came.is_none() => return Err(self.retired()),
            _ if closing => return Err(EngineError::ShuttingDown),
            SlotState::Leaving => return Ok(Approach::Later),
            SlotState::Loading(waiters) => waiters.push(waiter),
            state @ SlotState::Cold => {
                if let Some((retry_after, faults)) = slot.backoff.pause() {
                    let (expert, faults) = (slot.id.clone(), faults.clone());
                    return Err(EngineError::Unavailable { expert, faults, retry_after });
                }
                *state = SlotState::Loading(vec![waiter]);
                drop(residency);
                self.begin_loading();
            }
        }
        Ok(Approach::Load(loaded))
    }
}
