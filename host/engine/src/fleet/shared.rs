//! What the handles of one fleet share: every expert's settings and files, and who is in memory.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::{
    habits::Foresight,
    member::{Member, Place, Seen, Vacated},
    residency::{Queue, Residency, SlotState},
    roster::Roster,
};
use crate::{
    EngineError, FleetLimits, FleetSettings, Inspection, KeepAlive, LazyLoading, PackFiles,
    Templates, executor::Executor, expert::Expert, template::Renderers,
};

/// What all clones of a fleet share.
pub(super) struct Shared {
    /// Whom calls can ask.
    pub(super) roster: ArcSwap<Roster>,
    pub(super) residency: Mutex<Residency<Expert>>,
    /// For threads: something in the residency has changed.
    pub(super) moved: Condvar,
    /// For tasks: the same.
    pub(super) changed: watch::Sender<u64>,
    pub(super) warmed: watch::Sender<bool>,
    pub(super) tuning: ArcSwap<Tuning>,
    /// Places that retired experts leave; held while settings change.
    pub(super) vacated: Mutex<Vec<Vacated>>,
    pub(super) templates: Templates,
    pub(super) pack_files: PackFiles,
    pub(super) renderers: Renderers,
    pub(super) executor: Arc<Executor>,
}

/// What is decided anew whenever it is asked, and may change at any time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tuning {
    pub(super) lazy: LazyLoading,
    pub(super) limits: FleetLimits,
}

impl Tuning {
    pub(super) fn of(settings: &FleetSettings) -> Self {
        Self { lazy: settings.lazy_loading.clone(), limits: settings.limits }
    }

    /// How long experts stay that have nothing to do; `None` where they are all to stay.
    pub(super) fn keep_alive(&self) -> Option<KeepAlive> {
        let all = self.lazy.auto_unload_after.map_or(KeepAlive::Always, KeepAlive::For);
        self.lazy.enabled.then_some(all)
    }

    /// Experts in memory at once.
    pub(super) fn loaded_max(&self) -> usize {
        if self.lazy.enabled { self.lazy.max_loaded_experts.max(1) } else { usize::MAX }
    }
}

impl Shared {
    pub(super) fn new(settings: FleetSettings) -> Self {
        let tuning = Tuning::of(&settings);
        let renderers = Renderers::open(&settings.templates);
        let mut residency = Residency {
            slots: Vec::new(),
            bytes_max: settings.memory_bytes_max,
            loaded_max: tuning.loaded_max(),
            keep_alive: tuning.keep_alive(),
            closing: false,
            queue: Queue::default(),
            foresight: Foresight::default(),
        };
        let members = settings.experts.into_iter().map(|expert| {
            let seen = Seen::look(&expert, &renderers, settings.memory_bytes_max);
            let place = Place::new(residency.slots.len());
            residency.slots.push(seen.slot(&expert));
            Arc::new(Member::new(expert, place, seen))
        });
        Self {
            roster: ArcSwap::from_pointee(members.collect()),
            residency: Mutex::new(residency),
            moved: Condvar::new(),
            changed: watch::channel(0).0,
            warmed: watch::channel(false).0,
            tuning: ArcSwap::from_pointee(tuning),
            vacated: Mutex::default(),
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

    pub(super) fn find(&self, id: &str) -> Result<Arc<Member>, EngineError> {
        let unknown = || EngineError::UnknownExpert { expert: id.to_owned() };
        self.roster.load().find(id).cloned().ok_or_else(unknown)
    }

    /// The servable expert of highest priority that replies, the first among equals.
    pub(super) fn default_expert(&self) -> Result<Arc<Member>, EngineError> {
        let members = self.able_members(|seen| seen.vector_width.is_none()).into_iter().rev();
        members
            .max_by_key(|member| member.settings.priority)
            .ok_or_else(|| EngineError::UnknownExpert { expert: "auto".into() })
    }

    /// Experts that can be served and are of some kind, in the operator's order.
    pub(super) fn able(&self, kind: impl Fn(&Inspection) -> bool) -> Vec<String> {
        let members = self.able_members(kind).into_iter();
        members.map(|member| member.settings.id.clone()).collect()
    }

    fn able_members(&self, kind: impl Fn(&Inspection) -> bool) -> Vec<Arc<Member>> {
        let roster = self.roster.load();
        let of_kind: Vec<&Arc<Member>> =
            roster.iter().filter(|member| kind(&member.inspection())).collect();
        let residency = self.residency();
        let sound = |member: &&Arc<Member>| {
            !matches!(residency.slots[member.at()].state, SlotState::Failed(_))
        };
        of_kind.into_iter().filter(sound).cloned().collect()
    }
}
