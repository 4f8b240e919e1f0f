//! Residency: which experts are in memory, which may be evicted, and whether another one fits. Pure
//! bookkeeping under one lock that nobody holds while loading, unloading or answering.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{backoff::Backoff, habits::Foresight, stay::Stay};
use crate::{EngineError, Faults, KeepAlive, Priority};

/// Notified when a load ends.
pub(super) type Waiter = oneshot::Sender<Result<(), EngineError>>;

/// Where one expert stands. `T` is the handle of a running expert.
pub(super) enum SlotState<T> {
    Cold,
    Loading(Vec<Waiter>),
    Resident(T),
    /// Its thread is ending; its memory is still taken.
    Leaving,
    Failed(Faults),
}

/// One expert's place.
pub(super) struct Slot<T> {
    pub(super) id: String,
    pub(super) state: SlotState<T>,
    /// Calls accepted and not yet ended, wherever they are.
    pub(super) calls: usize,
    /// The same by their priority classes.
    pub(super) calls_by_class: [usize; Priority::ALL.len()],
    /// When those of them came that the expert has not been handed yet.
    pub(super) outside: Vec<Instant>,
    pub(super) last_used: Instant,
    pub(super) pinned: bool,
    /// How long it may stay with nothing to do, where that is said of it alone.
    pub(super) keep_alive: Option<KeepAlive>,
    /// How long its calls have it stay.
    pub(super) stay: Stay,
    /// Not in the settings any more: it takes no new calls, and goes when those it has have ended.
    pub(super) retired: bool,
    /// Bytes it takes when loaded: weights and the KV reserve.
    pub(super) needs: u64,
    /// Bytes set aside for it now.
    pub(super) reserved: u64,
    pub(super) loads: u64,
    pub(super) unloads: u64,
    pub(super) last_load: Option<Duration>,
    /// A load lacked something that may be there later.
    pub(super) backoff: Backoff,
    /// It left because it was idle for long, or because the operator said so.
    pub(super) dismissed: bool,
    /// It was loaded ahead of the calls for it, of which none has come yet.
    pub(super) ahead: bool,
}

/// All experts' places and what they may take together.
pub(super) struct Residency<T> {
    pub(super) slots: Vec<Slot<T>>,
    pub(super) bytes_max: u64,
    pub(super) loaded_max: usize,
    /// How long experts may stay with nothing to do; `None` where none goes for that.
    pub(super) keep_alive: Option<KeepAlive>,
    /// No new calls, no new loads.
    pub(super) closing: bool,
    pub(super) queue: Queue,
    pub(super) foresight: Foresight,
}

/// Experts that wait for memory, the one whose call came first before the others. Only the first may
/// send others away, and those that it waits for take no call that came after it: so all are served in
/// turn, however many calls a busy expert gets.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Vec<Waiting>,
    /// Experts that go when they have answered what came before the first of those that wait.
    giving_way: Vec<usize>,
}

/// An expert that waits for memory.
struct Waiting {
    who: usize,
    since: Instant,
}

/// Whether there is room for one more.
#[derive(Debug, PartialEq)]
pub(super) enum Room {
    /// It is reserved.
    Reserved,
    /// Once this one has left, ask again.
    Evict(usize),
    /// Those that could go are busy or on their way out; ask again when something has changed.
    Wait,
    /// There will be none.
    Full(EngineError),
}

impl<T> Slot<T> {
    pub(super) fn new(id: &str, state: SlotState<T>, pinned: bool, needs: u64) -> Self {
        Self {
            id: id.to_owned(),
            state,
            calls: 0,
            calls_by_class: [0; Priority::ALL.len()],
            outside: Vec::new(),
            last_used: Instant::now(),
            pinned,
            keep_alive: None,
            stay: Stay::default(),
            retired: false,
            needs,
            reserved: 0,
            loads: 0,
            unloads: 0,
            last_load: None,
            backoff: Backoff::default(),
            dismissed: false,
            ahead: false,
        }
    }

    /// A call that came at `came` is the expert's now, if it was not before.
    pub(super) fn hand_over(&mut self, came: Instant) {
        if let Some(place) = self.outside.iter().position(|outside| *outside == came) {
            self.outside.swap_remove(place);
        }
    }

    /// Calls that one of this class does not go before.
    pub(super) fn calls_not_below(&self, class: Priority) -> usize {
        self.calls_by_class[..=class.index()].iter().sum()
    }

    /// Somebody waits for its load.
    pub(super) fn is_awaited(&self) -> bool {
        let SlotState::Loading(waiters) = &self.state else { return false };
        waiters.iter().any(|waiter| !waiter.is_closed())
    }

    /// In memory with nothing to do.
    pub(super) fn idle(&self) -> bool {
        matches!(self.state, SlotState::Resident(_)) && self.calls == 0
    }

    /// May be loaded before anybody asks for it.
    pub(super) fn may_come_ahead(&self) -> bool {
        let kept_out = self.retired || self.dismissed || self.backoff.pause().is_some();
        matches!(self.state, SlotState::Cold) && !kept_out
    }

    /// May be sent away without the operator asking.
    pub(super) fn may_go(&self) -> bool {
        self.idle() && !self.pinned
    }

    /// Nothing keeps it from being sent away for an expert whose call came at `since`: it has answered
    /// all it was handed, and what it was not handed came later.
    fn has_done(&self, since: Instant) -> bool {
        let resident = matches!(self.state, SlotState::Resident(_)) && !self.pinned;
        let later = self.outside.iter().all(|came| *came > since);
        resident && later && self.calls == self.outside.len()
    }

    /// Will have gone, or may go once it is idle.
    fn could_go(&self) -> bool {
        matches!(self.state, SlotState::Leaving) || !self.pinned
    }

    /// On its way out, whatever others do.
    fn is_parting(&self) -> bool {
        matches!(self.state, SlotState::Leaving) || self.retired
    }

    /// It takes no new calls; the handle of one that has none, to be dismissed.
    pub(super) fn retire(&mut self) -> Option<T> {
        (self.retired, self.pinned) = (true, false);
        self.part()
    }

    /// The handle of a retired expert that has ended its last call, to be dismissed.
    pub(super) fn part(&mut self) -> Option<T> {
        (self.retired && self.idle()).then(|| self.leave()).flatten()
    }

    /// Takes the handle of an expert that is to leave; its memory stays reserved until it is gone.
    pub(super) fn leave(&mut self) -> Option<T> {
        match std::mem::replace(&mut self.state, SlotState::Leaving) {
            SlotState::Resident(expert) => Some(expert),
            other => {
                self.state = other;
                None
            }
        }
    }

    /// Its memory is free.
    fn gone(&mut self) {
        self.state = SlotState::Cold;
        self.reserved = 0;
        self.unloads += 1;
        self.stay = Stay::default();
    }
}

impl<T> Residency<T> {
    /// A call comes to an expert at this moment.
    pub(super) fn asked(&mut self, who: usize, class: Priority, came: Instant) {
        let slot = &mut self.slots[who];
        slot.calls += 1;
        slot.calls_by_class[class.index()] += 1;
        slot.outside.push(came);
        self.foresight.asked(&slot.id, std::mem::take(&mut slot.ahead));
    }

    /// The memory of an expert is free.
    pub(super) fn gone(&mut self, who: usize) {
        let slot = &mut self.slots[who];
        self.foresight.wastes += u64::from(std::mem::take(&mut slot.ahead));
        slot.gone();
    }

    /// Has an expert wait for memory since its first call came.
    pub(super) fn enqueue(&mut self, who: usize) {
        let since = self.slots[who].outside.iter().min().copied().unwrap_or_else(Instant::now);
        let waiting = &mut self.queue.waiting;
        let place = waiting.partition_point(|other| other.since <= since);
        waiting.insert(place, Waiting { who, since });
        if place == 0 {
            self.serve_next();
        }
    }

    /// It waits no more.
    pub(super) fn dequeue(&mut self, who: usize) {
        let was_first = self.queue.waiting.first().is_some_and(|first| first.who == who);
        self.queue.waiting.retain(|waiting| waiting.who != who);
        if was_first {
            self.serve_next();
        }
    }

    /// Another is the first in line: those that it waits for give way from this moment on.
    fn serve_next(&mut self) {
        self.queue.giving_way.clear();
        if let Some(first) = self.queue.waiting.first() {
            self.choose_who_gives_way(first.who);
        }
    }

    /// Whether a call that came at `came` waits, although its expert is in memory, because the expert
    /// gives way to one that was called before.
    pub(super) fn gives_way(&self, who: usize, came: Instant) -> bool {
        let first = self.queue.waiting.first();
        first.is_some_and(|first| came > first.since) && self.queue.giving_way.contains(&who)
    }

    /// Whose end an expert waits for; `None` when it waits for no memory.
    pub(super) fn waits_for(&self, who: usize) -> Option<Vec<String>> {
        self.queue.waiting.iter().find(|waiting| waiting.who == who)?;
        Some(self.names(|at| self.queue.giving_way.contains(&at)))
    }

    /// Reserves memory for an expert, or says what is in the way. With `evict`, idle experts make
    /// way, the least recently used first.
    pub(super) fn room(&mut self, who: usize, evict: bool) -> Room {
        let first = self.queue.waiting.first().map(|first| (first.who, first.since));
        let (head, since) = first.unwrap_or_else(|| (who, Instant::now()));
        if self.fits(who, |_, _| true) && (head == who || self.leaves_room(who, head)) {
            self.slots[who].reserved = self.slots[who].needs;
            self.queue.giving_way.retain(|at| *at != who);
            return Room::Reserved;
        }
        let stays = |slot: &Slot<T>| if evict { !slot.could_go() } else { !slot.is_parting() };
        if !self.fits(who, |_, slot| stays(slot)) {
            return Room::Full(self.refusal(who, evict));
        }
        if !evict || head != who || self.fits(who, |_, slot| !slot.is_parting()) {
            return Room::Wait;
        }
        self.choose_who_gives_way(who);
        // Those that are done go before those that were named, if they alone are room enough.
        let enough = self.fits(who, |_, slot| !slot.has_done(since));
        let done = self.slots.iter().enumerate().filter(|(at, slot)| {
            slot.has_done(since) && (enough || self.queue.giving_way.contains(at))
        });
        let oldest = done.min_by_key(|(_, slot)| (!slot.may_go(), slot.last_used));
        oldest.map_or(Room::Wait, |(index, _)| Room::Evict(index))
    }

    /// Whether the first of those that wait would still fit, once others have given way.
    fn leaves_room(&mut self, who: usize, head: usize) -> bool {
        let needs = self.slots[who].needs;
        let before = std::mem::replace(&mut self.slots[who].reserved, needs);
        let way = &self.queue.giving_way;
        let room = self.fits(head, |at, _| at == who || !way.contains(&at));
        self.slots[who].reserved = before;
        room
    }

    /// Names as few experts as have to go, the least recently used first; those that were named go on
    /// giving way for as long as that is enough.
    fn choose_who_gives_way(&mut self, who: usize) {
        let mut able: Vec<usize> = (0..self.slots.len())
            .filter(|&at| at != who && self.slots[at].reserved > 0 && self.slots[at].could_go())
            .collect();
        able.sort_by_key(|&at| (self.slots[at].calls > 0, self.slots[at].last_used));
        let mut way = std::mem::take(&mut self.queue.giving_way);
        if !self.fits(who, |at, slot| !(way.contains(&at) && slot.could_go())) {
            way.clear();
            let mut able = able.into_iter();
            while !self.fits(who, |at, _| !way.contains(&at)) {
                let Some(next) = able.next() else { break };
                way.push(next);
            }
            for at in way.clone() {
                let others = |other| other != at && way.contains(&other);
                if self.fits(who, |other, _| !others(other)) {
                    way.retain(|other| *other != at);
                }
            }
        }
        self.queue.giving_way = way;
    }

    /// Whether an expert would fit if only those stayed that `stays` names.
    pub(super) fn fits(&self, who: usize, stays: impl Fn(usize, &Slot<T>) -> bool) -> bool {
        let staying = || self.taken(who).filter(|(at, slot)| stays(*at, slot));
        let bytes: u64 = staying().map(|(_, slot)| slot.reserved).sum();
        bytes.saturating_add(self.slots[who].needs) <= self.bytes_max
            && staying().count() < self.loaded_max
    }

    /// The places of others that take memory.
    fn taken(&self, who: usize) -> impl Iterator<Item = (usize, &Slot<T>)> {
        let others = self.slots.iter().enumerate().filter(move |(index, _)| *index != who);
        others.filter(|(_, slot)| slot.reserved > 0)
    }

    /// The ids of those that take memory, some of them.
    fn names(&self, some: impl Fn(usize) -> bool) -> Vec<String> {
        let taken = self.slots.iter().enumerate().filter(|(_, slot)| slot.reserved > 0);
        taken.filter(|(at, _)| some(*at)).map(|(_, slot)| slot.id.clone()).collect()
    }

    /// Why an expert can't come in: bytes, or the number of experts, and who has them.
    pub(super) fn refusal(&self, who: usize, evict: bool) -> EngineError {
        let expert = self.slots[who].id.clone();
        let needed = self.slots[who].needs;
        let stays = |slot: &Slot<T>| !evict || !slot.could_go();
        let held: u64 =
            self.taken(who).filter(|(_, slot)| stays(slot)).map(|(_, slot)| slot.reserved).sum();
        let holders = self.names(|at| at != who && stays(&self.slots[at]));
        if held.saturating_add(needed) > self.bytes_max {
            let available = self.bytes_max.saturating_sub(held);
            return EngineError::OutOfMemory { expert, needed, available, holders };
        }
        EngineError::NoRoom { expert, loaded: self.taken(who).count(), holders }
    }

    /// Bytes set aside for all experts together.
    pub(super) fn reserved(&self) -> u64 {
        self.slots.iter().map(|slot| slot.reserved).sum()
    }

    /// When the next of those goes that have nothing to do.
    pub(super) fn next_end(&self) -> Option<Instant> {
        (0..self.slots.len()).filter_map(|at| self.end_of(at)).min()
    }

    /// Takes the handles of those that have had nothing to do for as long as they may.
    pub(super) fn leave_stale(&mut self, now: Instant) -> Vec<T> {
        (0..self.slots.len()).filter_map(|at| self.leave_if_stale(at, now)).collect()
    }

    /// The same of one.
    pub(super) fn leave_if_stale(&mut self, at: usize, now: Instant) -> Option<T> {
        self.end_of(at).filter(|end| *end <= now)?;
        self.slots[at].dismissed = true;
        self.slots[at].leave()
    }

    fn end_of(&self, at: usize) -> Option<Instant> {
        let (slot, all) = (&self.slots[at], self.keep_alive?);
        if !slot.may_go() {
            return None;
        }
        slot.stay.ends(slot.last_used, slot.keep_alive.unwrap_or(all))
    }

    /// Calls that have not ended.
    pub(super) fn calls(&self) -> usize {
        self.slots.iter().map(|slot| slot.calls).sum()
    }
}
