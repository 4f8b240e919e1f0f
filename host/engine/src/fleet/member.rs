//! What belongs to one expert, beside its slot: its settings, and what was read of its files.

use std::sync::{
    Arc, Mutex, PoisonError, Weak,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use tokio::sync::Semaphore;

use super::residency::{Slot, SlotState};
use crate::{
    ExpertSettings, Inspection,
    expert::{Counters, Expert},
    inspect::{Severity, inspect_opened},
    memory::mib,
    opened::Opened,
    prompt_format::PromptFormat,
    template::Renderers,
    wording::Wording,
};

/// Conversations of one expert that are rendered and encoded at once.
const RENDERING_MAX: usize = 4;

/// One expert. An expert that is only described in other words becomes another member in the same place.
pub(super) struct Member {
    pub(super) settings: ExpertSettings,
    place: Arc<Place>,
    /// What its files say.
    pub(super) inspection: Mutex<Arc<Inspection>>,
    /// From inspection, or the first call after its files changed, until the weights are loaded.
    pub(super) opened: Mutex<Option<Arc<Opened>>>,
    /// While its weights are read.
    pub(super) being_read: Mutex<Weak<Opened>>,
    /// Read by the first call; stays when the weights go.
    pub(super) prompt_format: Mutex<Option<Arc<PromptFormat>>>,
    /// The same of one that makes vectors.
    pub(super) wording: Mutex<Option<Arc<Wording>>>,
    pub(super) counters: Arc<Counters>,
    /// Conversations that are made into prompts at once. More wait their turn without a thread, so
    /// that an expert with a slow template holds up only itself.
    pub(super) rendering: Arc<Semaphore>,
}

/// The index of a slot. Whoever looks at the slot holds this, so that it is given to nobody else meanwhile; and a number that
/// no other expert of this process had or will have.
#[derive(Debug)]
pub(super) struct Place(usize, u64);

/// The index of a slot that a retired expert left, and who may still look at it.
pub(super) type Vacated = (usize, Weak<Place>);

impl Place {
    pub(super) fn new(at: usize) -> Arc<Self> {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self(at, SERIAL.fetch_add(1, Relaxed)))
    }

    pub(super) fn serial(&self) -> u64 {
        self.1
    }

    pub(super) fn at(&self) -> usize {
        self.0
    }
}

/// What inspecting an expert's files came to.
pub(super) struct Seen {
    pub(super) inspection: Inspection,
    pub(super) opened: Option<Arc<Opened>>,
}

impl Seen {
    /// Inspects an expert's files and holds them against the fleet's own memory limit. Blocks.
    pub(super) fn look(settings: &ExpertSettings, renderers: &Renderers, bytes_max: u64) -> Self {
        let (mut seen, opened) = inspect_opened(settings, renderers);
        if let Some(needed) = seen.memory_bytes.filter(|&needed| needed > bytes_max) {
            let message = format!(
                "it needs {}, the limit for all experts is {}",
                mib(needed),
                mib(bytes_max)
            );
            let mend = seen.memory_mend(settings, bytes_max);
            let mend = format!("raise the memory limit, or {mend}");
            seen.add(Severity::Error, "memory-over-limit", message, mend);
        }
        if let Some(why) = seen.failure() {
            tracing::warn!(expert = settings.id, %why, "expert can't be served");
            return Self { inspection: seen, opened: None };
        }
        Self { inspection: seen, opened: opened.map(Arc::new) }
    }

    /// The slot that an expert begins with.
    pub(super) fn slot(&self, settings: &ExpertSettings) -> Slot<Expert> {
        let needs = self.inspection.memory_bytes.unwrap_or(0);
        let state = state_of(&self.inspection);
        let keep_alive = settings.keep_alive;
        Slot { keep_alive, ..Slot::new(&settings.id, state, settings.pinned, needs) }
    }
}

/// Where an expert begins: failed when its files are no good, but not for what passes.
pub(super) fn state_of(seen: &Inspection) -> SlotState<Expert> {
    if seen.passes() {
        SlotState::Cold
    } else {
        seen.failure().map_or(SlotState::Cold, SlotState::Failed)
    }
}

impl Member {
    pub(super) fn new(settings: ExpertSettings, place: Arc<Place>, seen: Seen) -> Self {
        Self {
            settings,
            place,
            inspection: Mutex::new(Arc::new(seen.inspection)),
            opened: Mutex::new(seen.opened),
            being_read: Mutex::default(),
            prompt_format: Mutex::default(),
            wording: Mutex::default(),
            counters: Arc::default(),
            rendering: Arc::new(Semaphore::new(RENDERING_MAX)),
        }
    }

    /// The same expert, with settings that differ in nothing that was read or loaded by them.
    pub(super) fn described(&self, settings: ExpertSettings) -> Self {
        fn copy<T: Clone>(of: &Mutex<T>) -> Mutex<T> {
            Mutex::new(of.lock().unwrap_or_else(PoisonError::into_inner).clone())
        }
        Self {
            settings,
            place: self.place.clone(),
            inspection: copy(&self.inspection),
            opened: copy(&self.opened),
            being_read: copy(&self.being_read),
            prompt_format: copy(&self.prompt_format),
            wording: copy(&self.wording),
            counters: self.counters.clone(),
            rendering: self.rendering.clone(),
        }
    }

    pub(super) fn place(&self) -> &Arc<Place> {
        &self.place
    }

    /// The index of its slot.
    pub(super) fn at(&self) -> usize {
        self.place.at()
    }

    pub(super) fn inspection(&self) -> Arc<Inspection> {
        self.inspection.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
