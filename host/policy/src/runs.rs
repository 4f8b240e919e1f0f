//! What policies did with a call, for the decision log: which revision worked in which hook, for how long, and how that
//! ended. The call carries the list, so it says as much of a call that a policy ended.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{Hook, PolicyRef};

/// Entries of one call: more than a pipeline has.
const RUNS: usize = 64;

/// One revision in one hook of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Where.
    pub hook: Hook,
    /// Who.
    pub policy: PolicyRef,
    /// Calls into the component; a reply in `post` takes several.
    pub calls: u32,
    /// Wall clock of these, waiting and host imports included, in microseconds.
    pub total_us: u64,
    /// Of it, the guest's own time.
    pub guest_us: u64,
    /// What it asked of experts.
    pub asks: u32,
    /// Tokens that they spent on it.
    pub asked_tokens: u64,
    /// `refused`, or the [`Failure::code`](crate::Failure::code) it ended with; `None` when it did its work.
    pub ended: Option<&'static str>,
    /// When its first call began.
    pub began: Instant,
    /// When its last one ended.
    pub until: Instant,
}

/// The runs of one call, in the order they began. Clones are one list.
#[derive(Debug, Clone, Default)]
pub struct Runs(Arc<Mutex<Vec<Run>>>);

impl PartialEq for Runs {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || *self.list() == *other.list()
    }
}

impl Run {
    fn new(hook: Hook, policy: PolicyRef) -> Self {
        let now = Instant::now();
        Self {
            hook,
            policy,
            calls: 0,
            total_us: 0,
            guest_us: 0,
            asks: 0,
            asked_tokens: 0,
            ended: None,
            began: now,
            until: now,
        }
    }
}

impl Runs {
    /// Every run so far.
    pub fn all(&self) -> Vec<Run> {
        self.list().clone()
    }

    /// A policy was called and came back.
    pub(crate) fn took(&self, hook: Hook, policy: &PolicyRef, took: Duration, own: Duration) {
        self.change(hook, policy, |run| {
            run.until = Instant::now();
            if run.calls == 0 {
                run.began = run.until.checked_sub(took).unwrap_or(run.until);
            }
            run.calls += 1;
            run.total_us += took.as_micros() as u64;
            run.guest_us += own.as_micros() as u64;
        });
    }

    /// A policy asked experts for something, and they spent so many tokens on it.
    pub(crate) fn asked(&self, hook: Hook, policy: &PolicyRef, tokens: u64) {
        self.change(hook, policy, |run| {
            run.asks += 1;
            run.asked_tokens += tokens;
        });
    }

    /// A policy refused the call, failed in it, or was not asked because it is out of service.
    pub(crate) fn ended(&self, hook: Hook, policy: &PolicyRef, how: &'static str) {
        self.change(hook, policy, |run| run.ended = Some(how));
    }

    /// What `policy` has taken in `hook`.
    pub(crate) fn guest_us(&self, hook: Hook, policy: &PolicyRef) -> u64 {
        let list = self.list();
        let run = list.iter().find(|run| run.hook == hook && run.policy == *policy);
        run.map_or(0, |run| run.guest_us)
    }

    fn change(&self, hook: Hook, policy: &PolicyRef, change: impl FnOnce(&mut Run)) {
        let mut list = self.list();
        let known = list.iter().position(|run| run.hook == hook && run.policy == *policy);
        let at = match known {
            Some(at) => at,
            None if list.len() < RUNS => {
                list.push(Run::new(hook, policy.clone()));
                list.len() - 1
            }
            None => return,
        };
        change(&mut list[at]);
    }

    fn list(&self) -> MutexGuard<'_, Vec<Run>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: usize) -> PolicyRef {
        PolicyRef { name: name.to_string(), revision: "0".into() }
    }

    #[test]
    fn a_revision_has_one_entry_per_hook_however_often_it_is_called() {
        let (runs, us) = (Runs::default(), Duration::from_micros);
        let other = runs.clone();
        other.took(Hook::Post, &policy(1), us(9), us(2));
        other.took(Hook::Post, &policy(1), us(9), us(3));
        other.asked(Hook::Pre, &policy(1), 40);
        other.asked(Hook::Pre, &policy(1), 2);
        other.took(Hook::Pre, &policy(1), us(1), us(1));
        other.ended(Hook::Pre, &policy(1), "refused");
        let all = runs.all();
        let seen: Vec<_> = all.iter().map(|run| (run.calls, run.guest_us, run.ended)).collect();
        assert_eq!(seen, [(2, 5, None), (1, 1, Some("refused"))]);
        assert_eq!((all[1].asks, all[1].asked_tokens), (2, 42));
        assert_eq!(runs.guest_us(Hook::Post, &policy(1)), 5);
        (0..2 * RUNS).for_each(|name| runs.ended(Hook::Route, &policy(name), "policy_trapped"));
        assert_eq!(runs.all().len(), RUNS);
    }
}
