//! Who makes way for whom, and who waits.

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
    Residency {
        slots,
        bytes_max,
        loaded_max,
        keep_alive: None,
        closing: false,
        queue: Queue::default(),
        foresight: Foresight::default(),
    }
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
    let memory = EngineError::OutOfMemory {
        expert: "0".into(),
        needed: 10,
        available: 5,
        holders: vec!["1".into()],
    };
    assert_eq!(room(".pi", 15, 9), Room::Full(memory));
    let places = EngineError::NoRoom {
        expert: "0".into(),
        loaded: 2,
        holders: vec!["1".into(), "2".into()],
    };
    assert_eq!(room(".pp", 90, 2), Room::Full(places));
}

/// A call of an expert that came so many milliseconds after the start, and was not handed over.
fn came(residency: &mut Residency<()>, who: usize, start: Instant, millis: u64) -> Instant {
    let came = start + Duration::from_millis(millis);
    residency.slots[who].calls += 1;
    residency.slots[who].outside.push(came);
    came
}

#[test]
fn starvation_whoever_waits_is_served_before_later_calls_of_the_busy_one() {
    let (mut residency, start) = (residency(".b", 10, 9), Instant::now());
    let before = came(&mut residency, 1, start, 1);
    came(&mut residency, 0, start, 2);
    let after = came(&mut residency, 1, start, 3);
    residency.enqueue(0);
    assert_eq!(residency.room(0, true), Room::Wait);
    assert_eq!(residency.waits_for(0), Some(vec!["1".into()]));
    assert!(!residency.gives_way(1, before), "it came first");
    assert!(residency.gives_way(1, after));
    residency.slots[1].calls -= 1; // what it was handed is answered
    assert_eq!(residency.room(0, true), Room::Wait, "an earlier call is not handed over yet");
    residency.slots[1].outside.remove(0);
    assert_eq!(residency.room(0, true), Room::Wait, "it is answered now");
    residency.slots[1].calls -= 1;
    assert_eq!(residency.room(0, true), Room::Evict(1), "later calls don't keep it");
    residency.slots[1].gone();
    assert_eq!(residency.room(0, true), Room::Reserved);
    residency.dequeue(0);
    assert!(!residency.gives_way(1, after));
}

#[test]
fn starvation_only_the_first_in_line_sends_others_away() {
    let (mut residency, start) = (residency("..bi.", 30, 9), Instant::now());
    residency.slots[0].needs = 25;
    came(&mut residency, 1, start, 2);
    came(&mut residency, 0, start, 1);
    residency.enqueue(1);
    residency.enqueue(0);
    assert_eq!(residency.room(0, true), Room::Evict(3));
    residency.slots[3].gone();
    assert_eq!(residency.room(0, true), Room::Wait);
    assert_eq!(residency.room(1, true), Room::Wait, "it would take what the first waits for");
    residency.slots[1].needs = 5;
    assert_eq!(residency.room(1, true), Room::Reserved, "the first still fits beside it");
}

#[test]
fn starvation_who_is_let_in_beside_the_first_is_served_before_it_goes() {
    let (mut residency, start) = (residency(".b.", 30, 9), Instant::now());
    residency.slots[0].needs = 20;
    (residency.slots[1].needs, residency.slots[1].reserved) = (20, 20);
    came(&mut residency, 0, start, 1);
    residency.enqueue(0);
    assert!(residency.gives_way(1, start + Duration::from_millis(2)), "from the first moment");
    assert_eq!(residency.room(0, true), Room::Wait);
    let later = came(&mut residency, 2, start, 3);
    residency.enqueue(2);
    assert_eq!(residency.room(2, true), Room::Reserved, "it fits beside the first");
    residency.slots[2].state = SlotState::Resident(());
    residency.dequeue(2);
    assert_eq!(residency.room(0, true), Room::Wait, "for the busy one, and not for the new one");
    assert_eq!(residency.waits_for(0), Some(vec!["1".into()]));
    assert!(!residency.gives_way(2, later));
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
    let stale = |word: &str, seconds: u64, own: Option<KeepAlive>| {
        let mut residency = residency(word, 99, 9);
        residency.keep_alive = Some(KeepAlive::For(Duration::from_secs(seconds)));
        residency.slots[1].keep_alive = own;
        let soon = Instant::now() + Duration::from_secs(60);
        residency.leave_stale(soon).len()
    };
    assert_eq!(stale(".ibpl", 1, None), 1);
    assert_eq!(stale(".i", 90, None), 0);
    assert_eq!(stale(".i", 1, Some(KeepAlive::Always)), 0);
    assert_eq!(stale(".i", 90, Some(KeepAlive::For(Duration::from_secs(1)))), 1);
    let mut always = residency(".i", 99, 9);
    assert!(always.leave_stale(Instant::now() + Duration::from_secs(60)).is_empty());
}
