//! All experts of one process: which are in memory, which come and which go.
//!
//! One lock guards the bookkeeping (the *residency*) and is held for moments only. Whatever takes time
//! happens elsewhere: loading on a thread per load, answering on a thread per expert, reading
//! tokenizers and rendering prompts on the runtime's blocking threads.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use dashmap::DashMap;
use signalbox_confine::{Bounded, Limit};
use tokio::sync::{Semaphore, watch};

use crate::{
    EngineError, ExpertSettings, FleetLimits, FleetSettings, Inspection, LazyLoading, Request,
    Templates, TokenStream,
    expert::{Counters, Expert},
    inspect,
    inspect::Severity,
    memory::mib,
    prompt_format::PromptFormat,
    template::Renderers,
    transient::{Trouble, passes},
};

mod call;
mod loading;
mod residency;
mod status;

use residency::{Residency, Slot, SlotState};
pub use status::{ExpertState, ExpertStatus, MemoryStatus};

/// When to ask again for what was lacking before an expert began to load.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Conversations of one expert that are rendered and encoded at once.
const RENDERING_MAX: usize = 4;

/// The experts of this process. Cheap to clone; all clones are one fleet. When the last clone is
/// dropped, replies in flight are finished and the experts end.
#[derive(Clone)]
pub struct Fleet(Arc<Inner>);

struct Inner {
    /// In the operator's order; places in the residency have the same index.
    members: Vec<Member>,
    index: HashMap<String, usize>,
    residency: Mutex<Residency<Expert>>,
    /// For threads: something in the residency has changed.
    moved: Condvar,
    /// For tasks: the same.
    changed: watch::Sender<u64>,
    warmed: watch::Sender<bool>,
    /// Languages read so far. They stay when the weights go.
    prompt_formats: DashMap<usize, Arc<PromptFormat>>,
    lazy: LazyLoading,
    limits: FleetLimits,
    templates: Templates,
    renderers: Renderers,
}

/// What does not move: an expert's settings, what its files say, and its counters.
struct Member {
    settings: ExpertSettings,
    inspection: Mutex<Arc<Inspection>>,
    counters: Arc<Counters>,
    /// Conversations that are made into prompts at once. More wait their turn without a thread, so
    /// that an expert with a slow template holds up only itself.
    rendering: Arc<Semaphore>,
}

impl Fleet {
    /// Inspects every expert and begins to load the warm pool on background threads.
    ///
    /// Never fails: an expert whose files are no good is listed as [`ExpertState::Failed`]. Of
    /// experts with the same id the first counts.
    pub fn start(settings: FleetSettings) -> Self {
        let inner = Arc::new(Inner::new(settings));
        loading::warm_up(&inner);
        loading::watch_idle(&inner);
        Self(inner)
    }

    /// Resolves when every expert of the warm pool is loaded or has failed.
    pub async fn warmed(&self) {
        // An error would mean that the sender, which lives in `self`, is gone.
        let _ = self.0.warmed.subscribe().wait_for(|warmed| *warmed).await;
    }

    /// Every expert, in the operator's order.
    pub fn menu(&self) -> Vec<ExpertStatus> {
        (0..self.0.members.len()).map(|at| self.0.status(at)).collect()
    }

    /// One expert; `None` when there is none of this id.
    pub fn status(&self, id: &str) -> Option<ExpertStatus> {
        self.0.index.get(id).map(|&at| self.0.status(at))
    }

    /// Asks an expert, loading it first when it is cold. Needs a tokio runtime.
    ///
    /// # Errors
    /// Everything that is known before the first token: an unknown expert, values out of bounds, a
    /// template that refuses, a prompt that does not fit, a full queue, files that can't be loaded.
    pub async fn generate(&self, id: &str, request: Request) -> Result<TokenStream, EngineError> {
        let at = self.0.find(id)?;
        call::answer(&self.0, at, request).await
    }

    /// Counts the tokens of a text with an expert's tokenizer; `None` asks the expert of highest
    /// priority. Blocks while the tokenizer is read the first time; needs no weights.
    ///
    /// # Errors
    /// An unknown expert, or a tokenizer that can't be read.
    pub fn count_tokens(&self, id: Option<&str>, text: &str) -> Result<u32, EngineError> {
        let at = match id {
            Some(id) => self.0.find(id)?,
            None => self.0.default_expert()?,
        };
        let count = self.0.prompt_format(at)?.tokenizer.count(text);
        count
            .map(|tokens| u32::try_from(tokens).unwrap_or(u32::MAX))
            .map_err(|message| EngineError::InvalidRequest { message })
    }

    /// Loads an expert, or waits for the load that is under way. One that failed is inspected
    /// again, so that it can be mended without a restart.
    ///
    /// # Errors
    /// An unknown expert, no memory, files that can't be loaded.
    pub async fn load(&self, id: &str) -> Result<(), EngineError> {
        let at = self.0.find(id)?;
        self.0.reset_failure(at);
        call::resident(&self.0, at).await.map(|_| ())
    }

    /// Unloads an expert and frees its memory, pinned or not; a cold one stays cold.
    ///
    /// # Errors
    /// [`EngineError::Busy`] while it loads or answers.
    pub async fn unload(&self, id: &str) -> Result<(), EngineError> {
        let at = self.0.find(id)?;
        loading::unload(&self.0, at).await
    }

    /// Protects an expert from being unloaded to make room or for idleness, or ends the protection.
    ///
    /// # Errors
    /// An unknown expert.
    pub fn pin(&self, id: &str, pinned: bool) -> Result<(), EngineError> {
        let at = self.0.find(id)?;
        self.0.residency().slots[at].pinned = pinned;
        self.0.notify();
        Ok(())
    }

    /// What bounds all experts. Templates that are rendered in this process are not bounded.
    pub fn limits(&self) -> Vec<(&'static Limit, u64)> {
        let templates = match self.0.templates {
            Templates::Child { limits, .. } => limits.table(),
            Templates::InProcess => Vec::new(),
        };
        [self.0.limits.table(), templates].concat()
    }

    /// The memory budget and what is reserved of it.
    pub fn memory(&self) -> MemoryStatus {
        let residency = self.0.residency();
        MemoryStatus { max_bytes: residency.bytes_max, reserved_bytes: residency.reserved() }
    }

    /// Takes no new calls, waits up to `within` for running replies, cancels the rest with
    /// [`EngineError::ShuttingDown`], and unloads all. A load under way is not waited for: what it
    /// loads is dropped when it is done.
    pub async fn shutdown(&self, within: Duration) {
        self.0.residency().closing = true;
        self.0.notify();
        let mut changed = self.0.changed.subscribe();
        let answered =
            async { while self.0.residency().calls() > 0 && changed.changed().await.is_ok() {} };
        // Running out of time is not an error here: what still runs is cancelled next.
        let _ = tokio::time::timeout(within, answered).await;
        loading::unload_all(&self.0).await;
    }
}

impl Inner {
    fn new(settings: FleetSettings) -> Self {
        let lazy = settings.lazy_loading;
        let inspections = settings
            .experts
            .iter()
            .map(|expert| look(expert, &settings.templates, settings.memory_bytes_max));
        let inspections: Vec<Inspection> = inspections.collect();
        let slots = settings.experts.iter().zip(&inspections).map(|(expert, seen)| {
            let state = state_of(seen);
            Slot::new(&expert.id, state, expert.pinned, seen.memory_bytes.unwrap_or(0))
        });
        let residency = Residency {
            slots: slots.collect(),
            bytes_max: settings.memory_bytes_max,
            loaded_max: if lazy.enabled { lazy.max_loaded_experts.max(1) } else { usize::MAX },
            closing: false,
        };
        let members =
            settings.experts.into_iter().zip(inspections).map(|(settings, seen)| Member {
                settings,
                inspection: Mutex::new(Arc::new(seen)),
                counters: Arc::default(),
                rendering: Arc::new(Semaphore::new(RENDERING_MAX)),
            });
        let members: Vec<Member> = members.collect();
        let ids = members.iter().enumerate().rev();
        Self {
            index: ids.map(|(at, member)| (member.settings.id.clone(), at)).collect(),
            members,
            residency: Mutex::new(residency),
            moved: Condvar::new(),
            changed: watch::channel(0).0,
            warmed: watch::channel(false).0,
            prompt_formats: DashMap::new(),
            lazy,
            limits: settings.limits,
            renderers: Renderers::open(&settings.templates),
            templates: settings.templates,
        }
    }

    /// The bookkeeping. A panic while it is held leaves nothing half done, so poison is no reason
    /// to lose every other expert.
    fn residency(&self) -> MutexGuard<'_, Residency<Expert>> {
        self.residency.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes whoever waits for the residency to change.
    fn notify(&self) {
        self.moved.notify_all();
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn find(&self, id: &str) -> Result<usize, EngineError> {
        let unknown = || EngineError::UnknownExpert { expert: id.to_owned() };
        self.index.get(id).copied().ok_or_else(unknown)
    }

    /// The servable expert of highest priority, the first among equals.
    fn default_expert(&self) -> Result<usize, EngineError> {
        let residency = self.residency();
        let sound = |at: &usize| !matches!(residency.slots[*at].state, SlotState::Failed(_));
        let places = (0..self.members.len()).filter(sound).rev();
        places
            .max_by_key(|&at| self.members[at].settings.priority)
            .ok_or_else(|| EngineError::UnknownExpert { expert: "auto".into() })
    }

    /// Experts that can be served and can see, in the operator's order.
    fn seeing(&self) -> Vec<String> {
        let sees: Vec<bool> =
            (0..self.members.len()).map(|at| self.inspection(at).images).collect();
        let residency = self.residency();
        let sound = |at: &usize| !matches!(residency.slots[*at].state, SlotState::Failed(_));
        let places = (0..self.members.len()).filter(|at| sees[*at]).filter(sound);
        places.map(|at| self.members[at].settings.id.clone()).collect()
    }

    fn inspection(&self, at: usize) -> Arc<Inspection> {
        let guard = self.members[at].inspection.lock();
        guard.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An expert's language, read once. Blocks.
    fn prompt_format(&self, at: usize) -> Result<Arc<PromptFormat>, EngineError> {
        let path = &self.members[at].settings.path;
        let read = || PromptFormat::open(path, &self.renderers).map(Arc::new);
        let prompt_format = self.prompt_formats.entry(at).or_try_insert_with(read);
        prompt_format.map(|entry| entry.clone()).map_err(|trouble| self.troubled(at, trouble))
    }

    /// An error that says of which expert, and whether it passes.
    fn troubled(&self, at: usize, trouble: Trouble) -> EngineError {
        match trouble {
            Trouble::Lasting(problem) => self.unloadable(at, problem),
            Trouble::Passing(problem) => EngineError::Unavailable {
                expert: self.members[at].settings.id.clone(),
                problem,
                retry_after: RETRY_AFTER,
            },
        }
    }

    /// A thread that could not be started.
    fn no_thread(&self, at: usize, what_for: &str, error: &io::Error) -> EngineError {
        let problem = format!("no thread to {what_for} it: {error}");
        let passing = passes(error);
        let trouble = if passing { Trouble::Passing } else { Trouble::Lasting };
        self.troubled(at, trouble(problem))
    }

    fn unloadable(&self, at: usize, problem: String) -> EngineError {
        let settings = &self.members[at].settings;
        EngineError::Unloadable {
            expert: settings.id.clone(),
            path: settings.path.clone(),
            problem,
        }
    }

    /// Inspects an expert that failed once more, and gives it another chance when it is mended.
    fn reset_failure(&self, at: usize) {
        let mut residency = self.residency();
        let slot = &mut residency.slots[at];
        slot.backoff.clear();
        if !matches!(slot.state, SlotState::Failed(_)) {
            return;
        }
        drop(residency);
        let seen = self.look_again(at);
        let mut residency = self.residency();
        let slot = &mut residency.slots[at];
        if matches!(slot.state, SlotState::Failed(_)) {
            slot.state = state_of(&seen);
        }
    }

    /// Inspects an expert anew, and forgets what was known of its files.
    fn look_again(&self, at: usize) -> Arc<Inspection> {
        let bytes_max = self.residency().bytes_max;
        let seen = Arc::new(look(&self.members[at].settings, &self.templates, bytes_max));
        self.prompt_formats.remove(&at);
        self.residency().slots[at].needs = seen.memory_bytes.unwrap_or(0);
        let guard = self.members[at].inspection.lock();
        *guard.unwrap_or_else(PoisonError::into_inner) = seen.clone();
        seen
    }

    /// Sees to it that an expert has been inspected by now, which a lack at start may have prevented.
    fn ensure_inspected(&self, at: usize) -> Result<(), EngineError> {
        if !self.inspection(at).passes() {
            return Ok(());
        }
        let seen = self.look_again(at);
        let Some(problem) = seen.failure() else { return Ok(()) };
        let trouble = if seen.passes() { Trouble::Passing } else { Trouble::Lasting };
        Err(self.troubled(at, trouble(problem)))
    }

    /// Reads the gauges; never waits for an expert.
    fn status(&self, at: usize) -> ExpertStatus {
        let Member { settings, counters, .. } = &self.members[at];
        let seen = self.inspection(at);
        let residency = self.residency();
        let slot = &residency.slots[at];
        ExpertStatus {
            id: settings.id.clone(),
            domain: settings.domain.clone(),
            description: settings.description.clone(),
            use_cases: settings.use_cases.clone(),
            priority: settings.priority,
            capabilities: capabilities(&seen),
            architecture: seen.architecture.clone(),
            quantization: seen.quantization.clone(),
            context_length: seen.context_length.unwrap_or(0),
            state: ExpertState::of(&slot.state),
            weight_bytes: seen.weight_bytes.unwrap_or(0),
            kv_bytes: counters.kv_bytes.load(Relaxed),
            queue_depth: slot.calls,
            running: counters.running.load(Relaxed),
            estimated_wait: counters.wait(slot.calls, settings.max_num_seqs as usize),
            last_load: slot.last_load,
            load_count: slot.loads,
            unload_count: slot.unloads,
            requests_total: counters.requests.load(Relaxed),
            prompt_tokens_total: counters.prompt_tokens.load(Relaxed),
            completion_tokens_total: counters.completion_tokens.load(Relaxed),
            tokens_per_second: counters.tokens_per_second(),
            idle: slot.idle().then(|| Instant::now() - slot.last_used),
            pinned: slot.pinned,
            weights_address: match &slot.state {
                SlotState::Resident(expert) => Some(expert.address),
                _ => None,
            },
            findings: seen.findings.clone(),
        }
    }
}

/// Where an expert begins: failed when its files are no good, but not for what passes.
fn state_of(seen: &Inspection) -> SlotState<Expert> {
    if seen.passes() {
        SlotState::Cold
    } else {
        seen.failure().map_or(SlotState::Cold, SlotState::Failed)
    }
}

/// Inspects an expert's files and holds them against the fleet's own memory limit.
fn look(settings: &ExpertSettings, templates: &Templates, bytes_max: u64) -> Inspection {
    let mut seen = inspect(settings, templates);
    if let Some(needed) = seen.memory_bytes.filter(|&needed| needed > bytes_max) {
        let message =
            format!("it needs {}, the limit for all experts is {}", mib(needed), mib(bytes_max));
        let mend = "raise the memory limit, or lower max_model_len";
        seen.add(Severity::Error, "memory-over-limit", message, mend);
    }
    if let Some(why) = seen.failure() {
        tracing::warn!(expert = settings.id, why, "expert can't be served");
    }
    seen
}

fn capabilities(seen: &Inspection) -> Vec<String> {
    let (chat, images) = (seen.chat.then_some("chat"), seen.images.then_some("images"));
    chat.into_iter().chain(["completion"]).chain(images).map(str::to_owned).collect()
}
