//! An expert as the router weighs it: what it needs to know of every one is asked of the host once.

use std::cmp::Reverse;

use signalbox_sdk::{Expert, State};

use crate::domains::taught;

pub(crate) struct Candidate<'a> {
    pub(crate) expert: &'a Expert,
    pub(crate) domain: String,
    /// The domain that the classifier knows it by.
    pub(crate) taught: Option<&'static str>,
    state: State,
}

impl<'a> Candidate<'a> {
    pub(crate) fn of(expert: &'a Expert) -> Self {
        let domain = expert.domain();
        Self { expert, taught: taught(&domain), domain, state: expert.state() }
    }

    /// Whether it did not fail.
    pub(crate) fn can_answer(&self) -> bool {
        !matches!(self.state, State::Failed(_))
    }

    /// Whether it is one for `domain`.
    pub(crate) fn is_of(&self, domain: &str) -> bool {
        self.domain == domain || self.taught.is_some_and(|taught| taught == domain)
    }
}

/// The ids of those that suit and did not fail: loaded ones first, then by the wait that was
/// measured, by their queue, and by the operator's preference.
pub(crate) fn most_ready(experts: &[Candidate], suits: impl Fn(&Candidate) -> bool) -> Vec<String> {
    let able = |c: &&Candidate| c.can_answer() && suits(c);
    let mut able: Vec<_> = experts.iter().filter(able).collect();
    able.sort_by_cached_key(|candidate| {
        let state = match candidate.state {
            State::Resident => 0,
            State::Loading => 1,
            _ => 2,
        };
        let expert = candidate.expert;
        (state, expert.estimated_wait(), expert.queue_depth(), Reverse(expert.priority()))
    });
    able.into_iter().map(|candidate| candidate.expert.id()).collect()
}
