//! Who is next: round robin among lanes; within a lane, those that come for the first time and
//! those that come again take turns, so that a short call is not behind every long one.

use std::collections::{HashMap, VecDeque};

/// The lane of what nobody waits for: it is served when nothing else is there.
pub(crate) const ASIDE: u64 = u64::MAX;

/// Things that wait, by lane.
pub(crate) struct RunQueue<T> {
    lanes: HashMap<u64, Lane<T>>,
    /// Lanes that have something, the next one first.
    order: VecDeque<u64>,
    len: usize,
}

struct Lane<T> {
    fresh: VecDeque<T>,
    again: VecDeque<T>,
    /// Whether one that came for the first time was served last.
    was_fresh: bool,
}

impl<T> Default for RunQueue<T> {
    fn default() -> Self {
        Self { lanes: HashMap::new(), order: VecDeque::new(), len: 0 }
    }
}

impl<T> RunQueue<T> {
    /// Puts `item` behind the others of its lane.
    pub(crate) fn push(&mut self, lane: u64, item: T, fresh: bool) {
        let order = &mut self.order;
        let lane = self.lanes.entry(lane).or_insert_with(|| {
            if lane != ASIDE {
                order.push_back(lane);
            }
            Lane { fresh: VecDeque::new(), again: VecDeque::new(), was_fresh: false }
        });
        if fresh {
            lane.fresh.push_back(item)
        } else {
            lane.again.push_back(item)
        }
        self.len += 1;
    }

    /// Takes the next one; its lane goes behind the other lanes.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let id = self.order.pop_front().unwrap_or(ASIDE);
        let lane = self.lanes.get_mut(&id)?;
        let item = lane.pop();
        if lane.fresh.is_empty() && lane.again.is_empty() {
            self.lanes.remove(&id);
        } else if id != ASIDE {
            self.order.push_back(id);
        }
        self.len -= 1;
        item
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl<T> Lane<T> {
    fn pop(&mut self) -> Option<T> {
        let first = match self.was_fresh {
            true => self.again.pop_front().map(|item| (item, false)),
            false => self.fresh.pop_front().map(|item| (item, true)),
        };
        let other = || match self.was_fresh {
            true => self.fresh.pop_front().map(|item| (item, true)),
            false => self.again.pop_front().map(|item| (item, false)),
        };
        let (item, fresh) = first.or_else(other)?;
        self.was_fresh = fresh;
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes all there is.
    fn drain<T>(queue: &mut RunQueue<T>) -> Vec<T> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn lanes_take_turns_however_many_wait_in_one() {
        let mut queue = RunQueue::default();
        (0..4).for_each(|n| queue.push(1, format!("a{n}"), true));
        (0..2).for_each(|n| queue.push(2, format!("b{n}"), true));
        queue.push(3, "c0".into(), true);
        assert_eq!(queue.len(), 7);
        assert_eq!(drain(&mut queue), ["a0", "b0", "c0", "a1", "b1", "a2", "a3"]);
        assert_eq!((queue.len(), queue.pop()), (0, None));
    }

    #[test]
    fn who_comes_for_the_first_time_waits_for_one_of_those_that_come_again() {
        let mut queue = RunQueue::default();
        (0..3).for_each(|n| queue.push(1, format!("old{n}"), false));
        (0..3).for_each(|n| queue.push(1, format!("new{n}"), true));
        assert_eq!(drain(&mut queue), ["new0", "old0", "new1", "old1", "new2", "old2"]);
    }

    #[test]
    fn what_nobody_waits_for_comes_last() {
        let mut queue = RunQueue::default();
        (0..2).for_each(|n| queue.push(ASIDE, format!("aside{n}"), true));
        queue.push(1, "a0".into(), true);
        assert_eq!(
            (queue.pop().unwrap(), queue.pop().unwrap()),
            ("a0".into(), "aside0".to_owned())
        );
        queue.push(2, "b0".into(), true);
        assert_eq!(drain(&mut queue), ["b0", "aside1"]);
        assert_eq!((queue.len(), queue.pop()), (0, None));
    }

    #[test]
    fn one_that_always_comes_back_gets_its_share_and_no_more() {
        let mut queue = RunQueue::default();
        (0..240).for_each(|_| queue.push(1, 'a', false));
        queue.push(2, 'b', false);
        let mut turns = Vec::new();
        for _ in 0..10 {
            let item = queue.pop().unwrap();
            queue.push(if item == 'a' { 1 } else { 2 }, item, false);
            turns.push(item);
        }
        assert_eq!(turns.iter().filter(|turn| **turn == 'b').count(), 5);
    }
}
