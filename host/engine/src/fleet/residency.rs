//! Residency: which experts are in memory, which may be evicted, and whether another one fits. Pure
//! bookkeeping under one lock that nobody holds while loading, unloading or answering.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::backoff::Backoff;
use crate::{EngineError, Faults};

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
    pub(super) last_used: Instant,
    pub(super) pinned: bool,
    /// Bytes it takes when loaded: weights and the KV reserve.
    pub(super) needs: u64,
    /// Bytes set aside for it now.
    pub(super) reserved: u64,
    pub(super) loads: u64,
    pub(super) unloads: u64,
    pub(super) last_load: Option<Duration>,
    /// A load lacked something that may be there later.
    pub(super) backoff: Backoff,
}

/// All experts' places and what they may take together.
pub(super) struct Residency<T> {
    pub(super) slots: Vec<Slot<T>>,
    pub(super) bytes_max: u64,
    pub(super) loaded_max: usize,
    /// No new calls, no new loads.
    pub(super) closing: bool,
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
            last_used: Instant::now(),
            pinned,
            needs,
            reserved: 0,
            loads: 0,
            unloads: 0,
            last_load: None,
            backoff: Backoff::default(),
        }
    }

    /// In memory with nothing to do.
    pub(super) fn idle(&self) -> bool {
        matches!(self.state, SlotState::Resident(_)) && self.calls == 0
    }

    /// May be sent away without the operator asking.
    fn may_go(&self) -> bool {
        self.idle() && !self.pinned
    }

    /// Will have gone, or may go once it is idle.
    fn could_go(&self) -> bool {
        matches!(self.state, SlotState::Leaving) || !self.pinned
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
    pub(super) fn gone(&mut self) {
        self.state = SlotState::Cold;
        self.reserved = 0;
        self.unloads += 1;
    }
}

impl<T> Residency<T> {
    /// Reserves memory for an expert, or says what is in the way. With `evict`, idle experts make
    /// way, the least recently used first.
    pub(super) fn room(&mut self, who: usize, evict: bool) -> Room {
        if self.fits(who, |_| true) {
            self.slots[who].reserved = self.slots[who].needs;
            return Room::Reserved;
        }
        if !evict || !self.fits(who, |slot| !slot.could_go()) {
            return Room::Full(self.refusal(who));
        }
        let leaves = |slot: &Slot<T>| matches!(slot.state, SlotState::Leaving);
        if self.fits(who, |slot| !leaves(slot)) {
            return Room::Wait;
        }
        let idle = self.slots.iter().enumerate().filter(|(_, slot)| slot.may_go());
        let oldest = idle.min_by_key(|(_, slot)| slot.last_used);
        oldest.map_or(Room::Wait, |(index, _)| Room::Evict(index))
    }

    /// Whether an expert would fit if only those stayed that `stays` names.
    fn fits(&self, who: usize, stays: impl Fn(&Slot<T>) -> bool) -> bool {
        let staying = || self.taken(who).filter(|slot| stays(slot));
        let bytes: u64 = staying().map(|slot| slot.reserved).sum();
        bytes.saturating_add(self.slots[who].needs) <= self.bytes_max
            && staying().count() < self.loaded_max
    }

    /// The places of others that take memory.
    fn taken(&self, who: usize) -> impl Iterator<Item = &Slot<T>> {
        let others = self.slots.iter().enumerate().filter(move |(index, _)| *index != who);
        others.map(|(_, slot)| slot).filter(|slot| slot.reserved > 0)
    }

    /// Why an expert can't come in: bytes, or the number of experts.
    pub(super) fn refusal(&self, who: usize) -> EngineError {
        let expert = self.slots[who].id.clone();
        let needed = self.slots[who].needs;
        let fixed: u64 =
            self.taken(who).filter(|slot| !slot.could_go()).map(|slot| slot.reserved).sum();
        let taken: u64 = self.taken(who).map(|slot| slot.reserved).sum();
        if taken.saturating_add(needed) > self.bytes_max {
            let available = self.bytes_max.saturating_sub(fixed);
            return EngineError::OutOfMemory { expert, needed, available };
        }
        EngineError::NoRoom { expert, loaded: self.taken(who).count() }
    }

    /// Bytes set aside for all experts together.
    pub(super) fn reserved(&self) -> u64 {
        self.slots.iter().map(|slot| slot.reserved).sum()
    }

    /// Experts that have been idle for `limit`, may go, and were not asked to stay.
    pub(super) fn stale(&self, limit: Duration) -> Vec<usize> {
        let old = |slot: &Slot<T>| slot.may_go() && slot.last_used.elapsed() >= limit;
        (0..self.slots.len()).filter(|&index| old(&self.slots[index])).collect()
    }

    /// Calls that have not ended.
    pub(super) fn calls(&self) -> usize {
        self.slots.iter().map(|slot| slot.calls).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One letter per expert: `.` cold, `i` idle, `b` busy, `p` pinned and idle, `l` leaving. Each
    /// takes 10 bytes; the earlier in the word, the longer unused. Expert 0 wants in.
    fn residency(word: &str, bytes_max: u64, loaded_max: usize) -> Residency<()> {
        let start = Instant::now();
        let slot = |(index, letter): (usize, char)| {
            let state = match letter {
                '.' => SlotState::Cold,
                'l' => SlotState::Leaving,
                _ => SlotState::Resident(()),
            };
            let mut slot = Slot::new(&index.to_string(), state, letter == 'p', 10);
            slot.reserved = if letter == '.' { 0 } else { 10 };
            slot.calls = usize::from(letter == 'b');
            slot.last_used = start + Duration::from_secs(index as u64);
            slot
        };
        let slots = word.chars().enumerate().map(slot).collect();
        Residency { slots, bytes_max, loaded_max, closing: false }
    }

    fn room(word: &str, bytes_max: u64, loaded_max: usize) -> Room {
        residency(word, bytes_max, loaded_max).room(0, true)
    }

    #[test]
    fn the_least_recently_used_idle_one_makes_way() {
        assert_eq!(room(".ii", 30, 3), Room::Reserved);
        assert_eq!(room(".ii", 30, 2), Room::Evict(1));
        assert_eq!(room(".ii", 29, 3), Room::Evict(1));
        assert_eq!(room(".bpi", 30, 9), Room::Evict(3));
    }

    #[test]
    fn busy_ones_are_waited_for_and_pinned_ones_are_not() {
        assert_eq!(room(".bb", 20, 9), Room::Wait);
        assert_eq!(room(".bl", 20, 2), Room::Wait);
        assert_eq!(room(".il", 30, 2), Room::Wait, "the leaving one is room enough");
        let memory = EngineError::OutOfMemory { expert: "0".into(), needed: 10, available: 5 };
        assert_eq!(room(".pi", 15, 9), Room::Full(memory));
        let places = EngineError::NoRoom { expert: "0".into(), loaded: 2 };
        assert_eq!(room(".pp", 90, 2), Room::Full(places));
    }

    #[test]
    fn without_eviction_nobody_makes_way() {
        assert!(matches!(residency(".i", 10, 9).room(0, false), Room::Full(_)));
        let mut residency = residency(".i", 20, 9);
        assert_eq!(residency.room(0, false), Room::Reserved);
        assert_eq!(residency.reserved(), 20);
    }

    #[test]
    fn only_idle_unpinned_ones_go_stale() {
        assert_eq!(residency(".ibpl", 99, 9).stale(Duration::ZERO), [1]);
        assert!(residency(".i", 99, 9).stale(Duration::from_secs(9)).is_empty());
    }
}
