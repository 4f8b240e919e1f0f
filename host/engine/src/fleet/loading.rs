//! How experts come into memory. Each load has its own thread, which makes room first, by eviction where
//! it may.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError, Weak},
    thread,
    time::{Duration, Instant},
};

use super::{
    handle::Handle,
    member::Member,
    residency::{Residency, Room, SlotState},
    shared::Shared,
};
use signalbox_kernels::{Compute, Isa};

use crate::{
    EngineError, Finding, Stage,
    checkpoint::{Checkpoint, Loading, Ready},
    expert::{Bounds, Expert, Notice, panic_words},
    memory::kv_blocks,
    pack_progress::{Paced, PackProgress},
};

#[cfg(test)]
mod tests;

/// How often the log is told how far the first load of an expert is, which packs its weights.
const PROGRESS: Duration = Duration::from_secs(5);
/// How often a load that waits for memory looks whether somebody still waits for it.
const WAIT_LOOK: Duration = Duration::from_secs(1);

/// Loads the warm pool, the highest priority first, without sending anyone away for it.
pub(super) fn warm_up(shared: &Arc<Shared>) {
    let pool = warm_pool(shared);
    let warmer = shared.clone();
    let spawned = thread::Builder::new().name("warm up".into()).spawn(move || {
        load_all(&pool);
        wait_while_loading(&warmer, &pool);
        warmer.warmed.send_replace(true);
    });
    if let Err(error) = spawned {
        tracing::warn!(%error, "no thread to warm up; experts load on first use");
        shared.warmed.send_replace(true);
    }
}

/// Loads experts that are new or were replaced, on a thread of their own.
pub(super) fn load_aside(experts: Vec<Handle>) {
    if experts.is_empty() {
        return;
    }
    let spawned = thread::Builder::new().name("reload".into()).spawn(move || load_all(&experts));
    if let Err(error) = spawned {
        tracing::warn!(%error, "no thread to load what is new; it loads on first use");
    }
}

fn load_all(experts: &[Handle]) {
    experts.iter().filter(|expert| expert.claim_cold()).for_each(|expert| expert.load(false));
}

fn warm_pool(shared: &Arc<Shared>) -> Vec<Handle> {
    let (roster, residency) = (shared.roster.load(), shared.residency());
    let lazy = &shared.tuning.load().lazy;
    let cold =
        |member: &&Arc<Member>| matches!(residency.slots[member.at()].state, SlotState::Cold);
    let mut pool: Vec<&Arc<Member>> = roster.iter().filter(cold).collect();
    pool.sort_by_key(|member| std::cmp::Reverse(member.settings.priority));
    if lazy.enabled {
        pool.truncate(lazy.warmup_pool_size.min(residency.loaded_max));
    }
    pool.into_iter().map(|member| Handle::new(shared, member.clone())).collect()
}

/// Calls may have begun to load some of the pool themselves.
fn wait_while_loading(shared: &Shared, pool: &[Handle]) {
    let loading = |expert: &Handle, residency: &Residency<Expert>| {
        matches!(residency.slots[expert.at].state, SlotState::Loading(_))
    };
    let waited = shared.moved.wait_while(shared.residency(), |residency| {
        pool.iter().any(|expert| loading(expert, residency))
    });
    drop(waited.unwrap_or_else(PoisonError::into_inner));
}

impl Handle {
    /// Loads an expert whose state has just been set to loading, on a thread of its own.
    pub(super) fn begin_loading(&self) {
        self.load_on_a_thread(self.shared.tuning.load().lazy.enabled);
    }

    /// Loads it before anybody asks for it, on a thread of its own, sending nobody away.
    pub(super) fn load_ahead(&self) {
        if self.claim_cold() {
            self.with_slot(|slot| slot.ahead = true);
            self.load_on_a_thread(false);
        }
    }

    fn load_on_a_thread(&self, evict: bool) {
        let loader = self.clone();
        let name = format!("load {}", self.id());
        let spawned = thread::Builder::new().name(name).spawn(move || loader.load(evict));
        if let Err(error) = spawned {
            self.finish(Err(self.no_thread("load", &error)));
        }
    }

    /// What a call of an expert that is not in memory waits for.
    pub(super) fn loading_stage(&self) -> Stage {
        let expert = self.id().to_owned();
        if let Some(holders) = self.shared.residency().waits_for(self.at) {
            return Stage::Memory { expert, holders };
        }
        Stage::Loading { expert, percent: self.loaded_percent().unwrap_or(0) }
    }

    /// How much of its weights was read, while they are.
    pub(super) fn loaded_percent(&self) -> Option<u8> {
        let reading = self.member().being_read.lock().unwrap_or_else(PoisonError::into_inner);
        reading.upgrade().map(|opened| opened.checkpoint.percent_read())
    }

    fn claim_cold(&self) -> bool {
        let mut residency = self.shared.residency();
        let free = matches!(residency.slots[self.at].state, SlotState::Cold) && !residency.closing;
        if free {
            residency.slots[self.at].state = SlotState::Loading(Vec::new());
        }
        free
    }

    /// One load from beginning to end, on this thread.
    fn load(&self, evict: bool) {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.bring_in(evict)));
        let outcome = outcome.unwrap_or_else(|panic| {
            let problem = format!("loading it panicked: {}", panic_words(&*panic));
            Err(self.unloadable(Finding::error("load-panicked", problem, "")))
        });
        self.finish(outcome);
    }

    /// Reserves memory first, then reads. Returns the running expert and how long reading took.
    fn bring_in(&self, evict: bool) -> Result<(Expert, Duration), EngineError> {
        self.ensure_inspected()?;
        self.make_room(evict)?;
        let began = Instant::now();
        let expert = if self.encodes() { self.read_encoder() } else { self.read_decoder() }?;
        Ok((expert, began.elapsed()))
    }

    fn read_decoder(&self) -> Result<Expert, EngineError> {
        let member = self.member();
        self.prompt_format()?;
        let opened = self.take_opened()?;
        self.refuse_replaced(&opened.checkpoint)?;
        *member.being_read.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&opened);
        tracing::info!(expert = self.id(), "loading");
        let compute = &Compute::serving();
        let kept = &self.shared.pack_files;
        let pace = Paced::new(PROGRESS);
        let report = |progress: PackProgress| {
            if pace.is_due() {
                tracing::info!(expert = self.id(), percent = progress.percent(), "packing weights");
            }
        };
        let how = Loading { compute, kept, anew: false, report: &report };
        let Ready { model, unsettled } =
            opened.checkpoint.load_with(how).map_err(|error| self.refused(error))?;
        if let Some(unsettled) = unsettled {
            unsettled.settle_later();
        }
        let context = self.inspection().context_length.unwrap_or(0);
        let format = opened.checkpoint.kv_format(compute.isa());
        let kv_blocks = kv_blocks(model.spec(), format, member.settings.kv_plan(context));
        let bounds = Bounds {
            sequences: member.settings.max_num_seqs as usize,
            kv_blocks: kv_blocks as usize,
            guesses: member.settings.prompt_lookup,
        };
        let (counters, seat) = (member.counters.clone(), self.shared.executor.seat());
        Expert::spawn(self.id(), model, bounds, counters, seat, self.ended())
            .map_err(|error| self.no_thread("run", &error))
    }

    fn read_encoder(&self) -> Result<Expert, EngineError> {
        self.wording()?;
        let checkpoint = self.encoder_checkpoint()?;
        if self.inspection().weight_bytes != Some(checkpoint.weight_bytes()) {
            return Err(self.replaced());
        }
        tracing::info!(expert = self.id(), "loading");
        let encoder = checkpoint.load(&Compute::serving()).map_err(|error| self.refused(error))?;
        let (counters, seat) = (self.member().counters.clone(), self.shared.executor.seat());
        Expert::spawn_encoder(self.id(), encoder, counters, seat, self.ended())
            .map_err(|error| self.no_thread("run", &error))
    }

    /// What enters the end of the expert's thread.
    fn ended(&self) -> impl Fn(Notice) + Send + 'static {
        let (home, member) = (Arc::downgrade(&self.shared), self.shared_member());
        move |notice| ended(&home, &member, notice)
    }

    /// Memory was reserved, and prompts are read, by what the files said when they were inspected.
    fn refuse_replaced(&self, checkpoint: &Checkpoint) -> Result<(), EngineError> {
        let (seen, kv) = (self.inspection(), checkpoint.kv_bytes_per_token(Isa::best()));
        let now = (Some(checkpoint.weight_bytes()), Some(kv));
        if now == (seen.weight_bytes, seen.kv_bytes_per_token) {
            return Ok(());
        }
        Err(self.replaced())
    }

    pub(super) fn replaced(&self) -> EngineError {
        let message = "its files are others than those that were inspected";
        let mend = "load it once more through the admin plane";
        self.unloadable(Finding::error("checkpoint-replaced", message, mend))
    }

    /// Sends idle experts away until there is room. While those in the way are merely busy, waits in
    /// line for as long as somebody waits for this load. Without `evict` it waits for retired ones only.
    fn make_room(&self, evict: bool) -> Result<(), EngineError> {
        if !evict {
            return self.wait_for_room(evict);
        }
        self.shared.residency().enqueue(self.at);
        let made = self.wait_for_room(evict);
        self.shared.residency().dequeue(self.at);
        self.shared.notify();
        made
    }

    fn wait_for_room(&self, evict: bool) -> Result<(), EngineError> {
        let mut residency = self.shared.residency();
        let mut said = false;
        loop {
            if residency.closing {
                return Err(EngineError::ShuttingDown);
            }
            match residency.room(self.at, evict) {
                Room::Reserved => return Ok(()),
                Room::Full(why) => return Err(why),
                Room::Evict(victim) => {
                    let leaving = residency.slots[victim].leave();
                    drop(residency);
                    if let Some(expert) = leaving {
                        expert.stop();
                    }
                    residency = self.shared.residency();
                }
                Room::Wait if evict && !residency.slots[self.at].is_awaited() => {
                    return Err(residency.refusal(self.at, false));
                }
                Room::Wait => {
                    if !std::mem::replace(&mut said, true) {
                        let busy = residency.waits_for(self.at).unwrap_or_default().join(", ");
                        tracing::info!(expert = self.id(), busy, "a load waits for memory");
                    }
                    let woken = self.shared.moved.wait_timeout(residency, WAIT_LOOK);
                    residency = woken.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }

    /// Enters the outcome of a load and notifies those who wait for it.
    fn finish(&self, outcome: Result<(Expert, Duration), EngineError>) {
        let mut residency = self.shared.residency();
        let closing = residency.closing;
        let slot = &mut residency.slots[self.at];
        let (state, result, surplus) = match outcome {
            Ok((expert, took)) => {
                slot.loads += 1;
                slot.backoff.clear();
                slot.last_load = Some(took);
                slot.last_used = Instant::now();
                slot.dismissed = false;
                if closing {
                    (SlotState::Leaving, Err(EngineError::ShuttingDown), Some(expert))
                } else if slot.retired && slot.calls == 0 {
                    (SlotState::Leaving, Err(self.retired()), Some(expert))
                } else {
                    (SlotState::Resident(expert), Ok(()), None)
                }
            }
            Err(mut error) => {
                (slot.reserved, slot.ahead) = (0, false);
                if let EngineError::Unavailable { faults, retry_after, .. } = &mut error {
                    *retry_after = slot.backoff.lacked(faults);
                }
                (after_failure(&error), Err(error), None)
            }
        };
        let before = std::mem::replace(&mut slot.state, state);
        drop(residency);
        if let Some(expert) = surplus {
            expert.stop();
        }
        if result.is_ok() {
            let took = self.with_slot(|slot| slot.last_load);
            tracing::info!(expert = self.id(), ?took, "loaded");
        }
        if let Err(error) = &result {
            tracing::warn!(expert = self.id(), %error, "load failed");
        }
        if let SlotState::Loading(waiters) = before {
            for waiter in waiters {
                // A waiter that is gone has given up.
                let _ = waiter.send(result.clone());
            }
        }
        self.shared.notify();
    }
}

/// Broken files stay broken until somebody mends them; a lack of room passes.
fn after_failure(error: &EngineError) -> SlotState<Expert> {
    match error {
        EngineError::Unloadable { faults, .. } => SlotState::Failed(faults.clone()),
        _ => SlotState::Cold,
    }
}

/// What an expert's thread says of its end.
fn ended(home: &Weak<Shared>, member: &Member, notice: Notice) {
    let Some(shared) = home.upgrade() else { return };
    let mut residency = shared.residency();
    let slot = &mut residency.slots[member.at()];
    match notice {
        Notice::Crashed(problem) => {
            tracing::error!(expert = slot.id, problem, "expert crashed");
            drop(slot.leave());
        }
        Notice::Gone => residency.gone(member.at()),
    }
    drop(residency);
    shared.notify();
}
