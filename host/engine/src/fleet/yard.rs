//! Where experts stand: who is in memory, who may go, and whether another one fits. Pure
//! bookkeeping under one lock that nobody holds while loading, unloading or answering.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::{EngineError, lack::Backoff};

/// Told when a load ends.
pub(super) type Waiter = oneshot::Sender<Result<(), EngineError>>;

/// Where one expert stands. `T` is the handle of a running expert.
pub(super) enum Stage<T> {
    Cold,
    Loading(Vec<Waiter>),
    Resident(T),
    /// Its thread is ending; its memory is still taken.
    Leaving,
    Failed(String),
}

/// One expert's place.
pub(super) struct Berth<T> {
    pub(super) id: String,
    pub(super) stage: Stage<T>,
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
pub(super) struct Yard<T> {
    pub(super) berths: Vec<Berth<T>>,
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

impl<T> Berth<T> {
    pub(super) fn new(id: &str, stage: Stage<T>, pinned: bool, needs: u64) -> Self {
        Self {
            id: id.to_owned(),
            stage,
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
        matches!(self.stage, Stage::Resident(_)) && self.calls == 0
    }

    /// May be sent away without the operator asking.
    fn may_go(&self) -> bool {
        self.idle() && !self.pinned
    }

    /// Will have gone, or may go once it is idle.
    fn could_go(&self) -> bool {
        matches!(self.stage, Stage::Leaving) || !self.pinned
    }

    /// Takes the handle of an expert that is to leave; its memory stays reserved until it is gone.
    pub(super) fn leave(&mut self) -> Option<T> {
        match std::mem::replace(&mut self.stage, Stage::Leaving) {
            Stage::Resident(expert) => Some(expert),
            other => {
                self.stage = other;
                None
            }
        }
    }

    /// Its memory is free.
    pub(super) fn gone(&mut self) {
        self.stage = Stage::Cold;
        self.reserved = 0;
        self.unloads += 1;
    }
}

impl<T> Yard<T> {
    /// Reserves memory for an expert, or says what is in the way. With `evict`, idle experts make
    /// way, the least recently used first.
    pub(super) fn room(&mut self, who: usize, evict: bool) -> Room {
        if self.fits(who, |_| true) {
            self.berths[who].reserved = self.berths[who].needs;
            return Room::Reserved;
        }
        if !evict || !self.fits(who, |berth| !berth.could_go()) {
            return Room::Full(self.refusal(who));
        }
        let leaves = |berth: &Berth<T>| matches!(berth.stage, Stage::Leaving);
        if self.fits(who, |berth| !leaves(berth)) {
            return Room::Wait;
        }
        let idle = self.berths.iter().enumerate().filter(|(_, berth)| berth.may_go());
        let oldest = idle.min_by_key(|(_, berth)| berth.last_used);
        oldest.map_or(Room::Wait, |(index, _)| Room::Evict(index))
    }

    /// Whether an expert would fit if only those stayed that `stays` names.
    fn fits(&self, who: usize, stays: impl Fn(&Berth<T>) -> bool) -> bool {
        let staying = || self.taken(who).filter(|berth| stays(berth));
        let bytes: u64 = staying().map(|berth| berth.reserved).sum();
        bytes.saturating_add(self.berths[who].needs) <= self.bytes_max
            && staying().count() < self.loaded_max
    }

    /// The places of others that take memory.
    fn taken(&self, who: usize) -> impl Iterator<Item = &Berth<T>> {
        let others = self.berths.iter().enumerate().filter(move |(index, _)| *index != who);
        others.map(|(_, berth)| berth).filter(|berth| berth.reserved > 0)
    }

    /// Why an expert can't come in: bytes, or the number of experts.
    pub(super) fn refusal(&self, who: usize) -> EngineError {
        let expert = self.berths[who].id.clone();
        let needed = self.berths[who].needs;
        let fixed: u64 =
            self.taken(who).filter(|berth| !berth.could_go()).map(|berth| berth.reserved).sum();
        let taken: u64 = self.taken(who).map(|berth| berth.reserved).sum();
        if taken.saturating_add(needed) > self.bytes_max {
            let available = self.bytes_max.saturating_sub(fixed);
            return EngineError::OutOfMemory { expert, needed, available };
        }
        EngineError::NoRoom { expert, loaded: self.taken(who).count() }
    }

    /// Bytes set aside for all experts together.
    pub(super) fn reserved(&self) -> u64 {
        self.berths.iter().map(|berth| berth.reserved).sum()
    }

    /// Experts that have been idle for `limit`, may go, and were not asked to stay.
    pub(super) fn stale(&self, limit: Duration) -> Vec<usize> {
        let old = |berth: &Berth<T>| berth.may_go() && berth.last_used.elapsed() >= limit;
        (0..self.berths.len()).filter(|&index| old(&self.berths[index])).collect()
    }

    /// Calls that have not ended.
    pub(super) fn calls(&self) -> usize {
        self.berths.iter().map(|berth| berth.calls).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One letter per expert: `.` cold, `i` idle, `b` busy, `p` pinned and idle, `l` leaving. Each
    /// takes 10 bytes; the earlier in the word, the longer unused. Expert 0 wants in.
    fn yard(word: &str, bytes_max: u64, loaded_max: usize) -> Yard<()> {
        let start = Instant::now();
        let berth = |(index, letter): (usize, char)| {
            let stage = match letter {
                '.' => Stage::Cold,
                'l' => Stage::Leaving,
                _ => Stage::Resident(()),
            };
            let mut berth = Berth::new(&index.to_string(), stage, letter == 'p', 10);
            berth.reserved = if letter == '.' { 0 } else { 10 };
            berth.calls = usize::from(letter == 'b');
            berth.last_used = start + Duration::from_secs(index as u64);
            berth
        };
        let berths = word.chars().enumerate().map(berth).collect();
        Yard { berths, bytes_max, loaded_max, closing: false }
    }

    fn room(word: &str, bytes_max: u64, loaded_max: usize) -> Room {
        yard(word, bytes_max, loaded_max).room(0, true)
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
        assert!(matches!(yard(".i", 10, 9).room(0, false), Room::Full(_)));
        let mut yard = yard(".i", 20, 9);
        assert_eq!(yard.room(0, false), Room::Reserved);
        assert_eq!(yard.reserved(), 20);
    }

    #[test]
    fn only_idle_unpinned_ones_go_stale() {
        assert_eq!(yard(".ibpl", 99, 9).stale(Duration::ZERO), [1]);
        assert!(yard(".i", 99, 9).stale(Duration::from_secs(9)).is_empty());
    }
}
