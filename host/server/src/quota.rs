//! What the owner of a key has left: calls and tokens of a minute, and calls at once. A minute's worth is a bucket that
//! fills steadily (token bucket, as in RFC 2697): who has not called for a minute may use all of it at once. Calls are
//! counted when they begin. Tokens are counted as experts spend them, so nothing is estimated: a call begins while any
//! are left, and what it takes beyond them is paid back before the next one begins.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use signalbox_engine::Progress;

use crate::access::Allowance;

/// The owner of a key: what it may use, and what is left of that.
pub(crate) struct Account {
    allowance: Allowance,
    state: Mutex<State>,
}

struct State {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    under_way: u32,
}

/// A minute's worth of something.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    most: f64,
    left: f64,
    at: Instant,
}

/// A call under way; it is none any more when this is dropped.
#[derive(Debug)]
pub(crate) struct Entry(Arc<Account>);

/// Takes the tokens that a call has cost from its owner when it is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    account: Arc<Account>,
    progress: Progress,
}

/// Nothing is left of something, which has this bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Exceeded {
    /// Calls of a minute.
    #[error("this key may make {most} calls a minute and has made them; retry in {}", Wait(*wait))]
    Requests { most: u32, wait: Duration },
    /// Tokens of a minute.
    #[error("this key may spend {most} tokens a minute and has spent them; retry in {}", Wait(*wait))]
    Tokens { most: u32, wait: Duration },
    /// Calls at once.
    #[error("this key may have {most} calls at once and has them; wait for one to end")]
    Calls { most: u32 },
}

/// What is left of a minute's worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) most: u32,
    pub(crate) left: u32,
    /// Until all of it is there again if nothing more is taken.
    pub(crate) full_in: Duration,
}

impl Account {
    pub(crate) fn new(allowance: Allowance) -> Arc<Self> {
        let bucket = |most: Option<u32>| most.map(Bucket::full);
        let state = State {
            requests: bucket(allowance.requests_per_minute),
            tokens: bucket(allowance.tokens_per_minute),
            under_way: 0,
        };
        Arc::new(Self { allowance, state: Mutex::new(state) })
    }

    pub(crate) fn allowance(&self) -> &Allowance {
        &self.allowance
    }

    /// Whether a call may begin now.
    pub(crate) fn ask(&self) -> Result<(), Exceeded> {
        self.check(&mut self.state())
    }

    /// Begins a call.
    pub(crate) fn enter(self: &Arc<Self>) -> Result<Entry, Exceeded> {
        let mut state = self.state();
        self.check(&mut state)?;
        state.requests.iter_mut().for_each(|requests| requests.take(1));
        state.under_way += 1;
        drop(state);
        Ok(Entry(self.clone()))
    }

    /// What the call of this progress costs is this account's.
    pub(crate) fn charged(self: &Arc<Self>, progress: &Progress) -> Charge {
        Charge { account: self.clone(), progress: progress.clone() }
    }

    /// Calls and tokens that are left of this minute, where they are bounded.
    pub(crate) fn left(&self) -> (Option<Left>, Option<Left>) {
        let now = Instant::now();
        let State { requests, tokens, .. } = &mut *self.state();
        let left = |bucket: &mut Option<Bucket>| bucket.as_mut().map(|bucket| bucket.left(now));
        (left(requests), left(tokens))
    }

    fn check(&self, state: &mut State) -> Result<(), Exceeded> {
        let now = Instant::now();
        if let Some(most) = self.allowance.concurrent_calls.filter(|most| state.under_way >= *most)
        {
            return Err(Exceeded::Calls { most });
        }
        let empty = |bucket: &mut Option<Bucket>| bucket.as_mut()?.empty(now);
        if let Some((most, wait)) = empty(&mut state.requests) {
            return Err(Exceeded::Requests { most, wait });
        }
        match empty(&mut state.tokens) {
            Some((most, wait)) => Err(Exceeded::Tokens { most, wait }),
            None => Ok(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bucket {
    fn full(most: u32) -> Self {
        let most = f64::from(most);
        Self { most, left: most, at: Instant::now() }
    }

    fn fill(&mut self, now: Instant) {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * self.most / 60.0;
        self.left = (self.left + gained).min(self.most);
        self.at = now;
    }

    /// Takes more than is left, if it has to.
    fn take(&mut self, amount: u32) {
        self.left -= f64::from(amount);
    }

    /// Its bound, and when there is one again, if there is none.
    fn empty(&mut self, now: Instant) -> Option<(u32, Duration)> {
        self.fill(now);
        (self.left < 1.0).then(|| (self.most as u32, self.until(1.0)))
    }

    fn left(&mut self, now: Instant) -> Left {
        self.fill(now);
        let full_in = self.until(self.most);
        Left { most: self.most as u32, left: self.left.max(0.0) as u32, full_in }
    }

    fn until(&self, amount: f64) -> Duration {
        Duration::from_secs_f64((amount - self.left).max(0.0) * 60.0 / self.most)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.0.state().under_way -= 1;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let (prompt, completion) = self.progress.spent();
        let spent = prompt.saturating_add(completion);
        self.account.state().tokens.iter_mut().for_each(|tokens| tokens.take(spent));
    }
}

/// The state is nobody's business.
impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Account").field(&self.allowance).finish()
    }
}

/// A time as people read it.
struct Wait(Duration);

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} s", self.0.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_fills_steadily_and_debts_are_paid_back() {
        let start = Instant::now();
        let mut bucket = Bucket { at: start, ..Bucket::full(60) };
        bucket.take(60);
        assert_eq!(bucket.empty(start), Some((60, Duration::from_secs(1))));
        assert_eq!(bucket.empty(start + Duration::from_secs(1)), None);
        bucket.take(31);
        assert_eq!(
            bucket.empty(start + Duration::from_secs(1)),
            Some((60, Duration::from_secs(31)))
        );
        let left = bucket.left(start + Duration::from_secs(600));
        assert_eq!(left, Left { most: 60, left: 60, full_in: Duration::ZERO });
    }

    #[test]
    fn calls_end_when_they_are_dropped() {
        let account = Account::new(Allowance { concurrent_calls: Some(1), ..Allowance::default() });
        let entry = account.enter().unwrap();
        assert_eq!(account.ask(), Err(Exceeded::Calls { most: 1 }));
        assert_eq!(account.enter().unwrap_err(), Exceeded::Calls { most: 1 });
        drop(entry);
        assert!(account.enter().is_ok());
        assert_eq!(account.left(), (None, None));
    }

    #[test]
    fn a_call_refused_for_one_bound_takes_nothing_of_another() {
        let allowance = Allowance {
            requests_per_minute: Some(5),
            concurrent_calls: Some(1),
            ..Allowance::default()
        };
        let account = Account::new(allowance);
        let _entry = account.enter().unwrap();
        (0..9).for_each(|_| assert!(account.enter().is_err()));
        assert_eq!(account.left().0.map(|left| left.left), Some(4));
    }
}
