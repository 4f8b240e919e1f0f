//! One expert of a fleet: its settings, its files, its slot, and the errors that speak of it.

use std::{
    io,
    sync::{Arc, PoisonError, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use super::{
    member::{Member, Seen, state_of},
    residency::{Slot, SlotState},
    shared::Shared,
    status::{ExpertState, ExpertStatus, Loading},
};
use crate::{
    EngineError, Faults, Finding, Inspection, expert::Expert, inspect::RESOURCES_SHORT,
    opened::Opened, prompt_format::PromptFormat, transient::passes,
};

/// When to ask again for what was lacking before an expert began to load.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Stands for one expert wherever something is done with it. Cheap to clone.
#[derive(Clone)]
pub(super) struct Handle {
    pub(super) shared: Arc<Shared>,
    member: Arc<Member>,
    /// Index of its slot.
    pub(super) at: usize,
}

impl Handle {
    pub(super) fn new(shared: &Arc<Shared>, member: Arc<Member>) -> Self {
        Self { shared: shared.clone(), at: member.at(), member }
    }

    pub(super) fn member(&self) -> &Member {
        &self.member
    }

    /// Its member, for whoever outlives this.
    pub(super) fn shared_member(&self) -> Arc<Member> {
        self.member.clone()
    }

    pub(super) fn id(&self) -> &str {
        &self.member().settings.id
    }

    /// Looks at its slot, or changes it, under the lock of all.
    pub(super) fn with_slot<R>(&self, change: impl FnOnce(&mut Slot<Expert>) -> R) -> R {
        change(&mut self.shared.residency().slots[self.at])
    }

    pub(super) fn inspection(&self) -> Arc<Inspection> {
        self.member.inspection()
    }

    /// How it is spoken to, read once. Blocks.
    pub(super) fn prompt_format(&self) -> Result<Arc<PromptFormat>, EngineError> {
        let prompt_format = &self.member().prompt_format;
        // Held while it is read, so that it is read once; a panic leaves nothing half done.
        let mut known = prompt_format.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref() {
            return Ok(known.clone());
        }
        let read = PromptFormat::read(&*self.opened()?).map(Arc::new);
        let read = read.map_err(|error| self.refused(error))?;
        Ok(known.insert(read).clone())
    }

    /// Its checkpoint, opened anew only if its files have changed since, or its weights were loaded.
    pub(super) fn opened(&self) -> Result<Arc<Opened>, EngineError> {
        let Member { settings, opened, .. } = self.member();
        let mut known = opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = known.as_ref().filter(|opened| opened.checkpoint.is_current()) {
            return Ok(opened.clone());
        }
        let (bits, kv) = (settings.bits(), settings.kv_cache_dtype);
        let opened = Opened::open(&settings.path, bits, kv, &self.shared.renderers);
        let opened = opened.map(Arc::new).map_err(|error| self.refused(error))?;
        Ok(known.insert(opened).clone())
    }

    /// The checkpoint to load. What was known of its headers is of no use behind that.
    pub(super) fn take_opened(&self) -> Result<Arc<Opened>, EngineError> {
        let opened = self.opened()?;
        *self.member().opened.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(opened)
    }

    /// An error that says of which expert, and whether it passes.
    pub(super) fn refused(&self, faults: impl Into<Faults>) -> EngineError {
        let faults = faults.into();
        if faults.passes() {
            let expert = self.id().to_owned();
            return EngineError::Unavailable { expert, faults, retry_after: RETRY_AFTER };
        }
        self.unloadable(faults)
    }

    /// A thread that could not be started.
    pub(super) fn no_thread(&self, what_for: &str, error: &io::Error) -> EngineError {
        let code = if passes(error) { RESOURCES_SHORT } else { "thread-refused" };
        self.refused(Finding::error(code, format!("no thread to {what_for} it: {error}"), ""))
    }

    /// It is not in the settings any more.
    pub(super) fn retired(&self) -> EngineError {
        EngineError::UnknownExpert { expert: self.id().to_owned() }
    }

    pub(super) fn unloadable(&self, faults: impl Into<Faults>) -> EngineError {
        let settings = &self.member().settings;
        EngineError::Unloadable {
            expert: settings.id.clone(),
            path: settings.path.clone(),
            faults: faults.into(),
        }
    }

    /// Inspects an expert that failed once more, and gives it another chance when it is mended.
    pub(super) fn reset_failure(&self) {
        let failed = self.with_slot(|slot| {
            slot.backoff.clear();
            matches!(slot.state, SlotState::Failed(_))
        });
        if !failed {
            return;
        }
        let seen = self.inspect_again();
        self.with_slot(|slot| {
            if matches!(slot.state, SlotState::Failed(_)) {
                slot.state = state_of(&seen);
            }
        });
    }

    /// Inspects an expert anew, and forgets what was known of its files.
    fn inspect_again(&self) -> Arc<Inspection> {
        let Member { settings, inspection, opened, prompt_format, wording, .. } = self.member();
        let bytes_max = self.shared.residency().bytes_max;
        let newly = Seen::look(settings, &self.shared.renderers, bytes_max);
        let seen = Arc::new(newly.inspection);
        *opened.lock().unwrap_or_else(PoisonError::into_inner) = newly.opened;
        *prompt_format.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *wording.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.with_slot(|slot| slot.needs = seen.memory_bytes.unwrap_or(0));
        *inspection.lock().unwrap_or_else(PoisonError::into_inner) = seen.clone();
        seen
    }

    /// Sees to it that an expert has been inspected by now, which a lack at start may have prevented.
    pub(super) fn ensure_inspected(&self) -> Result<(), EngineError> {
        if !self.inspection().passes() {
            return Ok(());
        }
        let seen = self.inspect_again();
        seen.failure().map_or(Ok(()), |faults| Err(self.refused(faults)))
    }

    /// Reads the gauges; never waits for an expert.
    pub(super) fn status(&self) -> ExpertStatus {
        let Member { settings, counters, .. } = self.member();
        let seen = self.inspection();
        let residency = self.shared.residency();
        let slot = &residency.slots[self.at];
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
            loading: matches!(slot.state, SlotState::Loading(_)).then(|| Loading {
                percent: self.loaded_percent(),
                waits_for: residency.waits_for(self.at).unwrap_or_default(),
            }),
            last_load: slot.last_load,
            load_count: slot.loads,
            unload_count: slot.unloads,
            requests_total: counters.requests.load(Relaxed),
            prompt_tokens_total: counters.prompt_tokens.load(Relaxed),
            cached_tokens_total: counters.cached_tokens.load(Relaxed),
            completion_tokens_total: counters.completion_tokens.load(Relaxed),
            guessed_tokens_total: counters.guessed.load(Relaxed),
            accepted_tokens_total: counters.guessed_right.load(Relaxed),
            yields_total: counters.yielded.load(Relaxed),
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

fn capabilities(seen: &Inspection) -> Vec<String> {
    if seen.vector_width.is_some() {
        let what = if seen.ranks { "rerank" } else { "embeddings" };
        return vec![what.to_owned()];
    }
    let (chat, images) = (seen.chat.then_some("chat"), seen.images.then_some("images"));
    chat.into_iter().chain(["completion"]).chain(images).map(str::to_owned).collect()
}
