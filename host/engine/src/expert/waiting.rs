//! Sequences that wait to run: a queue for each priority class, first come first served, and of the classes that have
//! some the one that has had the least of its share (stride scheduling, Waldspurger and Weihl 1995). What counts is
//! tokens, those of prompts and of replies. A higher class goes first, also in place of lower ones that have had theirs,
//! and none starves.

use std::{collections::VecDeque, iter};

use crate::Priority;

/// One queue for each class.
const CLASSES: usize = Priority::ALL.len();
/// A common multiple of all shares.
const STRIDE: u64 = 16;

/// Those that wait. A class that had nobody waiting has no claim to what it did not use.
pub(super) struct Waiting<T> {
    queues: [VecDeque<T>; CLASSES],
    served: Served,
}

/// How far each class is: it moves by a stride, the shorter the larger its share, with every token and whenever one of
/// it goes.
#[derive(Default, Clone, Copy)]
struct Served {
    passes: [u64; CLASSES],
    /// How far the last of those is that have something to do.
    now: u64,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self { queues: [const { VecDeque::new() }; CLASSES], served: Served::default() }
    }
}

impl<T> Waiting<T> {
    /// Behind all others of its class.
    pub(super) fn push(&mut self, class: Priority, one: T) {
        self.came(class);
        self.queues[class.index()].push_back(one);
    }

    /// Before all others of its class: it was taken and did not go.
    pub(super) fn put_back(&mut self, class: Priority, one: T) {
        self.came(class);
        self.queues[class.index()].push_front(one);
    }

    /// The same for one that ran and will go once more, which counts once.
    pub(super) fn wait_again(&mut self, class: Priority, one: T) {
        let at = class.index();
        self.served.passes[at] = self.served.passes[at].saturating_sub(stride(at));
        self.put_back(class, one);
    }

    fn came(&mut self, class: Priority) {
        let at = class.index();
        if self.queues[at].is_empty() {
            self.served.passes[at] = self.served.passes[at].max(self.served.now);
        }
    }

    /// Takes whose turn it is. It goes, or is put [back](Self::put_back).
    pub(super) fn take(&mut self) -> Option<T> {
        let class = self.served.next(self.lengths())?;
        self.queues[class].pop_front()
    }

    /// One of this class that was taken goes.
    pub(super) fn goes(&mut self, class: Priority) {
        self.served.serve(class.index());
    }

    /// Those that run had so many tokens in a step, by their classes.
    pub(super) fn had(&mut self, tokens: [u64; CLASSES]) {
        let lengths = self.lengths();
        let busy = std::array::from_fn(|class| lengths[class] > 0 || tokens[class] > 0);
        self.served.had(tokens, busy);
    }

    /// Whether one of the class `lower` that runs makes way for one of the class `higher`: it has had its share.
    pub(super) fn makes_way(&self, lower: Priority, higher: Priority) -> bool {
        let passes = self.served.passes;
        lower < higher && passes[lower.index()] >= passes[higher.index()]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queues.iter().all(VecDeque::is_empty)
    }

    /// Lets go of all but these.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.queues.iter_mut().for_each(|queue| queue.retain(&mut keep));
    }

    /// In the order in which they would go if nobody else came.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &T> {
        let (mut gone, mut served) = ([0; CLASSES], self.served);
        iter::from_fn(move || {
            let lengths = self.lengths();
            let class = served.next(std::array::from_fn(|class| lengths[class] - gone[class]))?;
            served.serve(class);
            gone[class] += 1;
            self.queues[class].get(gone[class] - 1)
        })
    }

    /// All of them, to be ended.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = T> {
        self.queues.iter_mut().flat_map(|queue| queue.drain(..))
    }

    fn lengths(&self) -> [usize; CLASSES] {
        self.queues.each_ref().map(VecDeque::len)
    }
}

impl Served {
    /// The class whose turn it is, the highest of those that are as far.
    fn next(&self, lengths: [usize; CLASSES]) -> Option<usize> {
        (0..CLASSES).filter(|class| lengths[*class] > 0).min_by_key(|class| self.passes[*class])
    }

    fn serve(&mut self, class: usize) {
        self.now = self.now.max(self.passes[class]);
        self.passes[class] += stride(class);
    }

    fn had(&mut self, tokens: [u64; CLASSES], busy: [bool; CLASSES]) {
        for (class, tokens) in tokens.into_iter().enumerate() {
            self.passes[class] += tokens * stride(class);
        }
        let last = (0..CLASSES).filter(|class| busy[*class]).map(|class| self.passes[class]).min();
        self.now = self.now.max(last.unwrap_or(0));
    }
}

fn stride(class: usize) -> u64 {
    STRIDE / Priority::ALL[class].share()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order in which calls go, of classes named by their letters.
    fn check(came: &str, expect: &str) {
        let mut waiting = waiting(came);
        let order: String = waiting.in_order().collect();
        let gone: String = iter::from_fn(|| go(&mut waiting)).collect();
        assert_eq!((gone.as_str(), order.as_str()), (expect, expect), "{came}");
    }

    fn waiting(came: &str) -> Waiting<char> {
        let mut waiting = Waiting::default();
        came.chars().for_each(|letter| waiting.push(class(letter), letter));
        waiting
    }

    fn go(waiting: &mut Waiting<char>) -> Option<char> {
        let gone = waiting.take()?;
        waiting.goes(class(gone));
        Some(gone)
    }

    fn class(letter: char) -> Priority {
        match letter {
            'h' => Priority::High,
            'n' => Priority::Normal,
            _ => Priority::Low,
        }
    }

    #[test]
    fn a_higher_class_goes_first_and_none_starves() {
        check("nnn", "nnn");
        check("lnh", "hnl");
        check("lllhhh", "hlhhll");
        let mut many = waiting(&["h", "n", "l"].map(|letter| letter.repeat(200)).concat());
        let went: Vec<char> = (0..210).filter_map(|_| go(&mut many)).collect();
        let count = |letter| went.iter().filter(|c| **c == letter).count();
        assert_eq!(['h', 'n', 'l'].map(count), [160, 40, 10]);
    }

    /// Calls of `high` and of low priority, endlessly, with a place for one: tokens that each class had.
    fn tokens_of_each(high: char, steps: u64) -> [u64; 2] {
        const CALL: u64 = 40;
        let (mut waiting, mut had) = (waiting(&format!("{high}l")), [0, 0]);
        let mut running = (go(&mut waiting).unwrap(), CALL);
        for _ in 0..steps {
            let (letter, left) = running;
            if left == 0 {
                waiting.push(class(letter), letter);
                running = (go(&mut waiting).unwrap(), CALL);
            } else if letter == 'l' && waiting.makes_way(Priority::Low, class(high)) {
                waiting.wait_again(Priority::Low, 'l');
                running = (go(&mut waiting).unwrap(), CALL);
            }
            running.1 -= 1;
            had[usize::from(running.0 == 'l')] += 1;
            let mut tokens = [0; CLASSES];
            tokens[class(running.0).index()] = 1;
            waiting.had(tokens);
        }
        had
    }

    #[test]
    fn tokens_are_shared_as_the_classes_say_when_all_want_them() {
        let check = |high, expect: f64| {
            let [higher, low] = tokens_of_each(high, 100_000);
            let ratio = higher as f64 / low as f64;
            assert!((0.75..1.35).contains(&(ratio / expect)), "{high}: {ratio} for {expect}");
        };
        check('h', 16.0);
        check('n', 4.0);
    }

    #[test]
    fn a_lower_class_makes_way_at_once_unless_it_waited_for_what_is_its() {
        let mut alone = waiting("llll");
        while go(&mut alone).is_some() {}
        alone.had([0, 0, 4000]);
        alone.push(Priority::High, 'h');
        assert!(alone.makes_way(Priority::Low, Priority::High));
        assert!(!alone.makes_way(Priority::High, Priority::Low));

        let mut behind = waiting("hl");
        assert_eq!(go(&mut behind), Some('h'));
        behind.had([160, 0, 0]);
        assert_eq!(go(&mut behind), Some('l'));
        behind.had([0, 0, 5]);
        assert!(!behind.makes_way(Priority::Low, Priority::High), "it has half of its ten");
        behind.had([0, 0, 5]);
        assert!(behind.makes_way(Priority::Low, Priority::High));
    }

    #[test]
    fn a_class_that_had_nobody_waiting_saves_nothing_up() {
        let mut waiting = Waiting::default();
        for _ in 0..100 {
            waiting.push(Priority::Normal, 'n');
            go(&mut waiting);
        }
        "llllnnnn".chars().for_each(|letter| waiting.push(class(letter), letter));
        assert_eq!(waiting.in_order().collect::<String>(), "lnnnnlll");
    }

    #[test]
    fn who_was_taken_and_did_not_go_comes_first_of_its_class() {
        let mut waiting = waiting("lhl");
        let first = waiting.take().unwrap();
        waiting.put_back(class(first), first);
        assert_eq!(waiting.in_order().collect::<String>(), "hll");
        waiting.retain(|letter| *letter == 'l');
        assert_eq!(waiting.drain().collect::<String>(), "ll");
        assert!(waiting.is_empty());
    }
}
