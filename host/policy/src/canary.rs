//! A revision that answers a share of the calls: whose calls these are, and when what it says is too different from
//! what the revision in force says.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use sha2::{Digest, Sha256};
use signalbox_confine::limits;

use crate::{CanarySide, CanaryStatus, Hook, PerHook, PolicyRef, comparison::Verdict, seat::Seat};

/// What shares are counted in.
const BUCKETS: u64 = 10_000;
/// Verdicts that are told apart on each side; what comes after that is one more.
const VERDICTS: usize = 64;
/// What those are counted as.
const OTHERS: &str = "others";

limits! {
    /// When a canary is ended because it decides otherwise than the revision in force.
    pub struct CanarySettings: "policies.canary.", "policy_canary_" {
        /// Calls that there must be on each side before the two are compared.
        calls: u64 = 50, 1..=1_000_000, "calls";
        /// Callers that there must be on each side.
        callers: u64 = 3, 1..=64, "callers";
        /// Points by which the share of refused calls may differ; 100 never ends a canary.
        refused_percent: u64 = 20, 1..=100, "percent";
        /// Points by which the mix of verdicts may differ: of calls that would have to be decided
        /// otherwise to make both the same. 100 never ends a canary.
        mix_percent: u64 = 50, 1..=100, "percent";
    }
}

/// Notified, once, when a canary is too different, with how. Must not block.
pub(crate) type Drifted = Arc<dyn Fn(&PolicyRef, String) + Send + Sync>;

/// One revision that answers a share of the calls.
pub(crate) struct Canary {
    pub(crate) seat: Arc<Seat>,
    pub(crate) percent: u32,
    since_unix_ms: u64,
    settings: CanarySettings,
    seen: PerHook<Mutex<Sides>>,
    ended: AtomicBool,
    drifted: Drifted,
}

/// What the two say in one hook.
#[derive(Debug, Default)]
struct Sides {
    active: Side,
    canary: Side,
}

/// What one revision says.
#[derive(Debug, Default)]
struct Side {
    counts: CanarySide,
    callers: HashSet<u64>,
}

impl Canary {
    pub(crate) fn new(
        seat: Arc<Seat>,
        percent: u32,
        since_unix_ms: u64,
        settings: CanarySettings,
        drifted: Drifted,
    ) -> Self {
        let (seen, ended) = (PerHook::default(), AtomicBool::new(false));
        Self { seat, percent, since_unix_ms, settings, seen, ended, drifted }
    }

    /// Whether it answers the calls of a caller: always, or never, for as long as it has this share; and still when it
    /// gets a larger one.
    pub(crate) fn takes(&self, caller: &str) -> bool {
        bucket(&self.seat.id, caller) < u64::from(self.percent) * BUCKETS / 100
    }

    /// `by` said this of a call.
    pub(crate) fn observe(&self, hook: Hook, by: &PolicyRef, caller: u64, verdict: &Verdict) {
        if by.name != self.seat.id.name {
            return;
        }
        let mut sides = self.sides(hook);
        let own = *by == self.seat.id;
        if own { &mut sides.canary } else { &mut sides.active }.count(caller, verdict);
        let drift = own.then(|| sides.drift(&self.settings)).flatten();
        drop(sides);
        if let Some(how) = drift.filter(|_| !self.ended.swap(true, Ordering::Relaxed)) {
            (self.drifted)(&self.seat.id, format!("in {hook} {how}"));
        }
    }

    pub(crate) fn status(&self) -> CanaryStatus {
        let hooks = Hook::ALL.into_iter().map(|hook| {
            let sides = self.sides(hook);
            (hook, (sides.active.counts.clone(), sides.canary.counts.clone()))
        });
        let called = |(_, (active, canary)): &(Hook, (CanarySide, CanarySide))| {
            active.calls + canary.calls > 0
        };
        CanaryStatus {
            revision: self.seat.id.revision.clone(),
            percent: self.percent,
            since_unix_ms: self.since_unix_ms,
            hooks: hooks.filter(called).collect(),
        }
    }

    fn sides(&self, hook: Hook) -> MutexGuard<'_, Sides> {
        self.seen[hook].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a caller stands among all: anywhere, but always there, and elsewhere for every revision.
fn bucket(canary: &PolicyRef, caller: &str) -> u64 {
    let mut digest = Sha256::new();
    for part in [&canary.name, &canary.revision, caller] {
        digest.update(part);
        digest.update([0]);
    }
    let first = digest.finalize().first_chunk().copied().unwrap_or_default();
    u64::from_be_bytes(first) % BUCKETS
}

impl Side {
    fn count(&mut self, caller: u64, verdict: &Verdict) {
        let counts = &mut self.counts;
        counts.calls += 1;
        counts.refusals += u64::from(verdict.is_refusal());
        let known =
            counts.verdicts.len() < VERDICTS || counts.verdicts.contains_key(verdict.words());
        let words = if known { verdict.words() } else { OTHERS };
        *counts.verdicts.entry(words.to_owned()).or_default() += 1;
        if self.callers.len() < 64 {
            self.callers.insert(caller);
        }
    }

    fn is_enough(&self, settings: &CanarySettings) -> bool {
        self.counts.calls >= settings.calls && self.callers.len() as u64 >= settings.callers
    }

    fn share(&self, part: u64) -> f64 {
        part as f64 * 100.0 / self.counts.calls.max(1) as f64
    }
}

impl Sides {
    /// How the two differ beyond what they may.
    fn drift(&self, settings: &CanarySettings) -> Option<String> {
        let (active, canary) = (&self.active, &self.canary);
        if !active.is_enough(settings) || !canary.is_enough(settings) {
            return None;
        }
        let refused = [active, canary].map(|side| side.share(side.counts.refusals));
        if settings.refused_percent < 100
            && (refused[0] - refused[1]).abs() > settings.refused_percent as f64
        {
            return Some(format!(
                "it refuses {:.0} % of its calls, and the revision in force {:.0} %",
                refused[1], refused[0]
            ));
        }
        let mix = self.mix();
        (settings.mix_percent < 100 && mix > settings.mix_percent as f64).then(|| {
            format!("the mix of its verdicts is {mix:.0} points off that of the revision in force")
        })
    }

    /// Points of the calls that would have to be decided otherwise to make the two the same.
    fn mix(&self) -> f64 {
        let (active, canary) = (&self.active, &self.canary);
        let all: HashSet<&String> =
            active.counts.verdicts.keys().chain(canary.counts.verdicts.keys()).collect();
        let share = |side: &Side, words: &String| {
            side.share(side.counts.verdicts.get(words).copied().unwrap_or_default())
        };
        all.into_iter()
            .map(|words| (share(active, words) - share(canary, words)).abs())
            .sum::<f64>()
            / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BreakerSettings, RefusalKind, seat::Unusable};

    fn policy(revision: &str) -> PolicyRef {
        PolicyRef { name: "router".into(), revision: revision.into() }
    }

    fn canary(percent: u32, drifted: Drifted) -> Canary {
        let unusable = Err(Unusable { problem: String::new(), since_unix_ms: 0 });
        let modes = PerHook::from_fn(|_| crate::OnFailure::Refuse);
        let breaker = BreakerSettings::default();
        let notice = Arc::new(|_: &Arc<Seat>, _, _| {});
        let seat = Seat::new(policy("new"), vec![], modes, unusable, &breaker, notice, None);
        let settings = CanarySettings { calls: 10, ..CanarySettings::default() };
        Canary::new(Arc::new(seat), percent, 0, settings, drifted)
    }

    fn share(percent: u32) -> Vec<usize> {
        let canary = canary(percent, Arc::new(|_, _| {}));
        (0..2000).filter(|n| canary.takes(&format!("key:{n}"))).collect()
    }

    #[test]
    fn a_caller_stays_on_one_side_and_a_larger_share_has_those_of_a_smaller_one() {
        let (ten, fifty) = (share(10), share(50));
        assert_eq!(ten, share(10));
        assert!(ten.iter().all(|caller| fifty.contains(caller)));
        assert!((140..=260).contains(&ten.len()) && (900..=1100).contains(&fifty.len()));
        let other = PolicyRef { name: "guard".into(), revision: "new".into() };
        let moved = (0..2000).filter(|n| {
            let caller = format!("key:{n}");
            bucket(&other, &caller) != bucket(&policy("new"), &caller)
        });
        assert!(moved.count() > 1900, "another policy's canary meets other callers");
    }

    /// What is said after `calls` on each side, by `callers`.
    fn drift(
        calls: u64,
        callers: u64,
        active: impl Fn(u64) -> Verdict,
        canary_says: impl Fn(u64) -> Verdict,
    ) -> Vec<String> {
        let said = Arc::new(Mutex::new(Vec::new()));
        let log = said.clone();
        let canary = canary(10, Arc::new(move |_, how| log.lock().unwrap().push(how)));
        for n in 0..calls {
            canary.observe(Hook::Pre, &policy("old"), n % callers, &active(n));
        }
        for n in 0..calls {
            canary.observe(Hook::Pre, &policy("new"), n % callers, &canary_says(n));
        }
        let list = said.lock().unwrap();
        list.clone()
    }

    #[test]
    fn a_canary_that_refuses_or_decides_otherwise_is_reported_once() {
        let refuse = || Verdict::refused(&RefusalKind::Forbidden);
        let pass = |_| Verdict::passed(None);
        let refuse_some = |n| if n % 3 == 0 { refuse() } else { Verdict::passed(None) };
        let said = drift(20, 3, pass, refuse_some);
        assert_eq!(said.len(), 1);
        assert!(said[0].contains("refuses 40 %"), "{said:?}");
        let said = drift(20, 3, pass, |_| Verdict::answered("x"));
        assert!(said[0].contains("is 100 points off"), "{said:?}");
        assert!(drift(20, 3, refuse_some, refuse_some).is_empty());
        assert!(drift(9, 3, pass, |_| refuse()).is_empty(), "too few calls");
        assert!(drift(20, 2, pass, |_| refuse()).is_empty(), "too few callers");
    }

    #[test]
    fn verdicts_that_are_told_apart_are_few() {
        let mut side = Side::default();
        (0..1000).for_each(|n| {
            let verdict = Verdict::refused(&RefusalKind::Other(n.to_string()));
            side.count(n, &verdict);
        });
        assert!(side.counts.verdicts.len() <= VERDICTS + 1 && side.callers.len() <= 64);
    }
}
