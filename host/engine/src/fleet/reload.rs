//! Other settings for a fleet that serves. Experts that are new are added; one that is gone, or is to be loaded
//! otherwise than it was, takes no new calls, finishes those it has, and leaves memory then. An expert whose settings
//! are the same is not touched.

use std::sync::{Arc, MutexGuard, PoisonError};

use super::{
    Fleet,
    handle::Handle,
    loading::load_aside,
    member::{Member, Place, Seen, Vacated},
    residency::{Residency, Slot, SlotState},
    roster::Roster,
    shared::Tuning,
};
use crate::{ExpertSettings, Faults, FleetSettings, expert::Expert};

/// An expert that can't be served with its new settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expert '{expert}': {faults}")]
pub struct Unfit {
    /// Which one.
    pub expert: String,
    /// Why not.
    pub faults: Faults,
}

/// What other settings come to: experts inspected, nothing in force yet. No other change is made while this lives.
pub struct FleetPlan<'f> {
    fleet: &'f Fleet,
    wanted: FleetSettings,
    steps: Vec<Step>,
    vacated: MutexGuard<'f, Vec<Vacated>>,
}

/// What happens to one expert.
enum Step {
    Keep(Arc<Member>),
    Describe(Arc<Member>, ExpertSettings),
    /// It is inspected; `Some` is the one whose name it takes.
    Bring(ExpertSettings, Box<Seen>, Option<Arc<Member>>),
}

/// An expert with its place.
struct Brought {
    member: Arc<Member>,
    is_new: bool,
    /// One of its name was in memory.
    was_loaded: bool,
}

/// What has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FleetChange {
    /// Experts that there were not.
    pub added: Vec<String>,
    /// Experts that are loaded anew, by other settings.
    pub replaced: Vec<String>,
    /// Experts that are described otherwise and stay as they are: domain, description, use cases, priority, whether
    /// they are pinned, and how long they stay in memory.
    pub described: Vec<String>,
    /// Experts that are gone.
    pub removed: Vec<String>,
    /// Experts that nothing has changed for.
    pub unchanged: Vec<String>,
    /// Sections that all experts share.
    pub shared: Vec<&'static str>,
}

impl Fleet {
    /// Looks at what other settings come to, and changes nothing. Where templates are rendered and packed weights are
    /// kept stays as it is. Blocks while new experts are inspected.
    ///
    /// # Errors
    /// Experts that are new or changed and can't be served.
    pub fn plan(&self, wanted: FleetSettings) -> Result<FleetPlan<'_>, Vec<Unfit>> {
        let vacated = self.0.vacated.lock().unwrap_or_else(PoisonError::into_inner);
        let roster = self.0.roster.load();
        let step = |settings: &ExpertSettings| {
            let before = roster.find(&settings.id).cloned();
            let same = before.as_ref().filter(|before| loads_alike(&before.settings, settings));
            match same {
                Some(same) if same.settings == *settings => Step::Keep(same.clone()),
                Some(same) => Step::Describe(same.clone(), settings.clone()),
                None => {
                    let seen = Seen::look(settings, &self.0.renderers, wanted.memory_bytes_max);
                    Step::Bring(settings.clone(), Box::new(seen), before)
                }
            }
        };
        let steps: Vec<Step> = wanted.experts.iter().map(step).collect();
        let unfit: Vec<Unfit> = steps.iter().filter_map(Step::unfit).collect();
        match unfit.is_empty() {
            true => Ok(FleetPlan { fleet: self, wanted, steps, vacated }),
            false => Err(unfit),
        }
    }
}

impl FleetPlan<'_> {
    /// Puts it in force. Calls that were let in before are answered by whom they reached.
    pub fn apply(self) -> FleetChange {
        let change = self.change();
        let Self { fleet, wanted, steps, mut vacated } = self;
        let shared = &fleet.0;
        let tuning = Tuning::of(&wanted);
        // Before the lock is taken, for it may wait for somebody who reads a file.
        let steps: Vec<Step> = steps.into_iter().map(Step::described).collect();
        let before = shared.roster.load_full();
        let mut residency = shared.residency();
        residency.bytes_max = wanted.memory_bytes_max;
        residency.loaded_max = tuning.loaded_max();
        residency.keep_alive = tuning.keep_alive();
        let brought = steps.into_iter().map(|step| step.bring(&mut residency, &mut vacated));
        let brought: Vec<Brought> = brought.collect();
        let lazy = tuning.lazy.enabled;
        let coming = brought.iter().filter(|brought| brought.was_loaded || brought.is_new && !lazy);
        let coming = coming.map(|brought| Handle::new(shared, brought.member.clone())).collect();
        shared.tuning.store(Arc::new(tuning));
        let now: Arc<Roster> =
            Arc::new(brought.into_iter().map(|brought| brought.member).collect());
        shared.roster.store(now.clone());
        // Behind the roster, so that who finds an expert retired finds another of its name, or none.
        let idle = succeed(&before, &now, &mut residency, &mut vacated);
        drop(residency);
        idle.iter().for_each(Expert::dismiss);
        shared.notify();
        // One that failed may have been mended, or fit into more memory.
        now.iter().for_each(|member| Handle::new(shared, member.clone()).reset_failure());
        load_aside(coming);
        change
    }

    fn change(&self) -> FleetChange {
        let mut change = FleetChange::default();
        for step in &self.steps {
            let list = match step {
                Step::Keep(_) => &mut change.unchanged,
                Step::Describe(..) => &mut change.described,
                Step::Bring(_, _, Some(_)) => &mut change.replaced,
                Step::Bring(_, _, None) => &mut change.added,
            };
            list.push(step.settings().id.clone());
        }
        let (shared, wanted) = (&self.fleet.0, &self.wanted);
        let stays = |id: &String| wanted.experts.iter().any(|expert| expert.id == *id);
        let ids = shared.roster.load();
        let ids = ids.iter().map(|member| member.settings.id.clone());
        change.removed = ids.filter(|id| !stays(id)).collect();
        let (before, after) = (shared.tuning.load(), Tuning::of(wanted));
        let sections = [
            ("lazy_loading", before.lazy != after.lazy),
            ("limits.queue_max", before.limits != after.limits),
            ("memory", shared.residency().bytes_max != wanted.memory_bytes_max),
        ];
        let changed = sections.into_iter().filter_map(|(name, differs)| differs.then_some(name));
        change.shared = changed.collect();
        change
    }
}

impl Step {
    /// Its member, where that stays in its place.
    fn described(self) -> Self {
        match self {
            Self::Describe(member, settings) => Self::Keep(Arc::new(member.described(settings))),
            other => other,
        }
    }

    fn bring(self, residency: &mut Residency<Expert>, vacated: &mut Vec<Vacated>) -> Brought {
        match self {
            Self::Keep(member) | Self::Describe(member, _) => {
                Brought { member, is_new: false, was_loaded: false }
            }
            Self::Bring(settings, seen, instead) => {
                let was_loaded = instead.is_some_and(|old| is_loaded(residency, &old));
                let place = place(residency, vacated, seen.slot(&settings));
                let member = Arc::new(Member::new(settings, place, *seen));
                Brought { member, is_new: true, was_loaded }
            }
        }
    }

    fn settings(&self) -> &ExpertSettings {
        match self {
            Self::Keep(member) => &member.settings,
            Self::Describe(_, settings) | Self::Bring(settings, ..) => settings,
        }
    }

    fn unfit(&self) -> Option<Unfit> {
        let Self::Bring(settings, seen, _) = self else { return None };
        let faults = seen.inspection.failure()?;
        Some(Unfit { expert: settings.id.clone(), faults })
    }
}

/// Whether an expert that was loaded by one of these settings is what the other one asks for.
fn loads_alike(before: &ExpertSettings, after: &ExpertSettings) -> bool {
    let ExpertSettings { domain, description, use_cases, priority, pinned, keep_alive, .. } =
        after.clone();
    let described = ExpertSettings {
        domain,
        description,
        use_cases,
        priority,
        pinned,
        keep_alive,
        ..before.clone()
    };
    described == *after
}

fn is_loaded(residency: &Residency<Expert>, member: &Member) -> bool {
    let state = &residency.slots[member.at()].state;
    matches!(state, SlotState::Resident(_) | SlotState::Loading(_))
}

/// Retires who is not there any more, and has the others pinned or not. The handles of those that have no calls are to
/// be dismissed.
fn succeed(
    before: &Roster,
    now: &Roster,
    residency: &mut Residency<Expert>,
    vacated: &mut Vec<Vacated>,
) -> Vec<Expert> {
    let mut idle = Vec::new();
    for old in before.iter() {
        let slot = &mut residency.slots[old.at()];
        match now.iter().find(|new| new.at() == old.at()) {
            Some(new) => {
                // What operators said since stays, unless the file says something else than before.
                if new.settings.pinned != old.settings.pinned {
                    slot.pinned = new.settings.pinned;
                }
                slot.keep_alive = new.settings.keep_alive;
            }
            None => {
                idle.extend(slot.retire());
                vacated.push((old.at(), Arc::downgrade(old.place())));
            }
        }
    }
    idle
}

/// A place for a slot: one that nobody looks at any more, or a new one.
fn place(
    residency: &mut Residency<Expert>,
    vacated: &mut Vec<Vacated>,
    slot: Slot<Expert>,
) -> Arc<Place> {
    let free = vacated.iter().position(|(_, place)| place.strong_count() == 0);
    let at = free.map(|free| vacated.swap_remove(free).0);
    let at = at.unwrap_or(residency.slots.len());
    match residency.slots.get_mut(at) {
        Some(old) => *old = slot,
        None => residency.slots.push(slot),
    }
    Place::new(at)
}
