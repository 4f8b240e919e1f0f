//! What the handles of one fleet share: every expert's settings and files, and who is in memory.

use std::{
    collections::HashMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::sync::{Semaphore, watch};

use super::residency::{Queue, Residency, Slot, SlotState};
use crate::{
    EngineError, ExpertSettings, FleetLimits, FleetSettings, Inspection, LazyLoading, PackFiles,
    Templates,
    executor::Executor,
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

/// What all clones of a fleet share.
pub(super) struct Shared {
    /// In the operator's order; places in the residency have the same index.
    pub(super) members: Vec<Member>,
    pub(super) index: HashMap<String, usize>,
    pub(super) residency: Mutex<Residency<Expert>>,
    /// For threads: something in the residency has changed.
    pub(super) moved: Condvar,
    /// For tasks: the same.
    pub(super) changed: watch::Sender<u64>,
    pub(super) warmed: watch::Sender<bool>,
    pub(super) lazy: LazyLoading,
    pub(super) limits: FleetLimits,
    pub(super) templates: Templates,
    pub(super) pack_files: PackFiles,
    pub(super) renderers: Renderers,
    pub(super) executor: Arc<Executor>,
}

/// What belongs to one expert, beside its slot.
pub(super) struct Member {
    pub(super) settings: ExpertSettings,
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

impl Shared {
    pub(super) fn new(settings: FleetSettings) -> Self {
        let lazy = settings.lazy_loading;
        let renderers = Renderers::open(&settings.templates);
        let seen = settings
            .experts
            .iter()
            .map(|expert| look(expert, &renderers, settings.memory_bytes_max));
        let seen: Vec<(Inspection, Option<Arc<Opened>>)> = seen.collect();
        let slots = settings.experts.iter().zip(&seen).map(|(expert, (seen, _))| {
            let state = state_of(seen);
            Slot::new(&expert.id, state, expert.pinned, seen.memory_bytes.unwrap_or(0))
        });
        let residency = Residency {
            slots: slots.collect(),
            bytes_max: settings.memory_bytes_max,
            loaded_max: if lazy.enabled { lazy.max_loaded_experts.max(1) } else { usize::MAX },
            closing: false,
            queue: Queue::default(),
        };
        let members =
            settings.experts.into_iter().zip(seen).map(|(settings, (seen, opened))| Member {
                settings,
                inspection: Mutex::new(Arc::new(seen)),
                opened: Mutex::new(opened),
                being_read: Mutex::default(),
                prompt_format: Mutex::default(),
                wording: Mutex::default(),
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
            lazy,
            limits: settings.limits,
            renderers,
            templates: settings.templates,
            pack_files: settings.pack_files,
            executor: Arc::default(),
        }
    }

    /// The bookkeeping. A panic while it is held leaves nothing half done, so poison is no reason
    /// to lose every other expert.
    pub(super) fn residency(&self) -> MutexGuard<'_, Residency<Expert>> {
        self.residency.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes whoever waits for the residency to change.
    pub(super) fn notify(&self) {
        self.moved.notify_all();
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(super) fn find(&self, id: &str) -> Result<usize, EngineError> {
        let unknown = || EngineError::UnknownExpert { expert: id.to_owned() };
        self.index.get(id).copied().ok_or_else(unknown)
    }

    /// The servable expert of highest priority that replies, the first among equals.
    pub(super) fn default_expert(&self) -> Result<usize, EngineError> {
        let places = self.able_places(|seen| seen.vector_width.is_none()).into_iter().rev();
        places
            .max_by_key(|&at| self.members[at].settings.priority)
            .ok_or_else(|| EngineError::UnknownExpert { expert: "auto".into() })
    }

    /// Experts that can be served and are of some kind, in the operator's order.
    pub(super) fn able(&self, kind: impl Fn(&Inspection) -> bool) -> Vec<String> {
        let places = self.able_places(kind).into_iter();
        places.map(|at| self.members[at].settings.id.clone()).collect()
    }

    fn able_places(&self, kind: impl Fn(&Inspection) -> bool) -> Vec<usize> {
        let of_kind: Vec<usize> =
            (0..self.members.len()).filter(|at| kind(&self.inspection(*at))).collect();
        let residency = self.residency();
        let sound = |at: &usize| !matches!(residency.slots[*at].state, SlotState::Failed(_));
        of_kind.into_iter().filter(sound).collect()
    }

    pub(super) fn inspection(&self, at: usize) -> Arc<Inspection> {
        let guard = self.members[at].inspection.lock();
        guard.unwrap_or_else(PoisonError::into_inner).clone()
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

/// Inspects an expert's files and holds them against the fleet's own memory limit.
pub(super) fn look(
    settings: &ExpertSettings,
    renderers: &Renderers,
    bytes_max: u64,
) -> (Inspection, Option<Arc<Opened>>) {
    let (mut seen, opened) = inspect_opened(settings, renderers);
    if let Some(needed) = seen.memory_bytes.filter(|&needed| needed > bytes_max) {
        let message =
            format!("it needs {}, the limit for all experts is {}", mib(needed), mib(bytes_max));
        let mend = seen.memory_mend(settings, bytes_max);
        let mend = format!("raise the memory limit, or {mend}");
        seen.add(Severity::Error, "memory-over-limit", message, mend);
    }
    if let Some(why) = seen.failure() {
        tracing::warn!(expert = settings.id, %why, "expert can't be served");
        return (seen, None);
    }
    (seen, opened.map(Arc::new))
}
