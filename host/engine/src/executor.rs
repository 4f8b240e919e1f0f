//! Whose step runs now. Experts have a thread each and share the processors, so their steps take turns, first come
//! first served: steps side by side would take each other's caches and memory away. Who feeds a prompt keeps its
//! steps short while others reply.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

/// What all experts of a process share.
#[derive(Debug, Default)]
pub(crate) struct Executor {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Places given out.
    places: u64,
    /// The place whose step runs, and behind it those that wait.
    line: VecDeque<u64>,
    /// Seconds that a step of the replies takes, of every place that has some.
    replying: HashMap<u64, f32>,
}

/// One expert's place. Nothing is left of it when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    executor: Arc<Executor>,
    place: u64,
}

/// The right to compute until it is dropped.
pub(crate) struct Turn<'a>(&'a Seat);

impl Executor {
    /// A place for an expert.
    pub(crate) fn seat(self: &Arc<Self>) -> Seat {
        let mut state = self.state();
        state.places += 1;
        Seat { executor: Arc::clone(self), place: state.places }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Waits until all have had their turn that came before.
    pub(crate) fn turn(&self) -> Turn<'_> {
        let mut state = self.executor.state();
        state.line.push_back(self.place);
        let waits = |state: &mut State| state.line.front() != Some(&self.place);
        drop(self.executor.moved.wait_while(state, waits).unwrap_or_else(PoisonError::into_inner));
        Turn(self)
    }

    /// Says how many seconds a step of this expert's replies takes; `None` while none is running.
    pub(crate) fn replies(&self, step: Option<f32>) {
        let replying = &mut self.executor.state().replying;
        match step {
            Some(step) => replying.insert(self.place, step),
            None => replying.remove(&self.place),
        };
    }

    /// Seconds of the shortest step of other experts' replies; `None` while none of them replies.
    pub(crate) fn others_reply(&self) -> Option<f32> {
        let state = self.executor.state();
        let others = state.replying.iter().filter(|(place, _)| **place != self.place);
        others.map(|(_, step)| *step).min_by(f32::total_cmp)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.replies(None);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let executor = &self.0.executor;
        executor.state().line.pop_front();
        executor.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering::SeqCst},
        thread,
    };

    use super::*;

    #[test]
    fn steps_take_turns_and_none_is_left_out() {
        let (executor, running) = (Arc::new(Executor::default()), AtomicUsize::new(0));
        let order = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for expert in 0..3 {
                let (seat, running, order) = (executor.seat(), &running, &order);
                scope.spawn(move || {
                    for _ in 0..200 {
                        let turn = seat.turn();
                        assert_eq!(running.fetch_add(1, SeqCst), 0);
                        order.lock().unwrap().push(expert);
                        thread::yield_now();
                        running.fetch_sub(1, SeqCst);
                        drop(turn);
                    }
                });
            }
        });
        let order = order.into_inner().unwrap();
        let turns = |expert| order.iter().filter(|who| **who == expert).count();
        assert_eq!([turns(0), turns(1), turns(2)], [200; 3]);
    }

    #[test]
    fn an_expert_knows_of_the_replies_of_others() {
        let executor = Arc::new(Executor::default());
        let [first, second, third] = [(); 3].map(|()| executor.seat());
        first.replies(Some(0.02));
        second.replies(Some(0.05));
        let seen = [&first, &second, &third].map(Seat::others_reply);
        assert_eq!(seen, [Some(0.05), Some(0.02), Some(0.02)]);
        first.replies(None);
        drop(second);
        assert_eq!(third.others_reply(), None);
    }
}
