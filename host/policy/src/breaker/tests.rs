//! When it opens, when it does not, and how it comes back.

use signalbox_confine::Bounded;

use super::*;

/// Small numbers, and times in whole seconds.
fn settings() -> BreakerSettings {
    BreakerSettings {
        failures: 4,
        calls: 6,
        failed_percent: 50,
        callers: 3,
        callers_percent: 50,
        window_ms: 60_000,
        cooldown_ms: 10_000,
        cooldown_max_ms: 40_000,
        probe_ms: 10_000,
    }
}

/// A breaker and a clock that is set by hand.
struct Bench {
    breaker: Breaker,
    start: Instant,
    second: u64,
}

impl Bench {
    fn new(settings: BreakerSettings) -> Self {
        Self { breaker: Breaker::new(settings), start: Instant::now(), second: 0 }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_secs(self.second)
    }

    /// A whole call; what came of it, or in how many seconds to come back.
    fn call(&mut self, caller: u64, outcome: Outcome) -> Result<Option<Event>, u64> {
        let now = self.now();
        let pass = self.breaker.admit(caller, now).map_err(|wait| wait.as_secs())?;
        Ok(self.breaker.settle(pass, outcome, now))
    }

    fn probed(&mut self, outcome: Outcome) -> Option<Event> {
        let now = self.now();
        self.breaker.probed(outcome, now)
    }
}

/// Opens a breaker by failures of many callers.
fn opened() -> Bench {
    let mut bench = Bench::new(settings());
    let events: Vec<_> =
        (0..6).map(|caller| bench.call(caller, Outcome::Failed).unwrap()).collect();
    assert_eq!(events.last(), Some(&Some(Event::Opened)));
    bench
}

/// Calls by caller: `x` failed, `.` good, `?` unknown, and a space is ten seconds. What happened, in
/// order.
fn check(settings: BreakerSettings, calls: &[(u64, &str)], expect: &[Event]) {
    let mut bench = Bench::new(settings);
    let mut events = Vec::new();
    for (caller, kinds) in calls {
        for kind in kinds.chars() {
            let outcome = match kind {
                'x' => Outcome::Failed,
                '.' => Outcome::Good,
                '?' => Outcome::Unknown,
                _ => {
                    bench.second += 10;
                    continue;
                }
            };
            events.extend(bench.call(*caller, outcome).ok().flatten());
        }
    }
    assert_eq!(events, expect, "{calls:?}");
}

#[test]
fn it_opens_on_a_share_of_calls_and_of_callers() {
    let many = &[(1, "xx"), (2, "xx"), (3, "xx")];
    check(settings(), many, &[Event::Probe, Event::Opened]);
    check(settings(), &[(1, "xxx"), (2, "xx"), (3, "")], &[Event::Probe]);
    let half_good = &[(1, "xx."), (2, "xx."), (3, "xx.")];
    check(settings(), half_good, &[Event::Probe, Event::Opened]);
    let mostly_good = &[(1, "x......"), (2, "x......"), (3, "x......")];
    check(settings(), mostly_good, &[]);
}

#[test]
fn one_client_never_opens_it_but_has_it_probed_now_and_then() {
    check(settings(), &[(1, "xxxxxxxxxxxxxxxxxxxx")], &[Event::Probe]);
    check(settings(), &[(1, "xxxxxxxx xxxx")], &[Event::Probe, Event::Probe]);
    check(settings(), &[(1, "xxxxxxxxxx"), (2, "xxxxxxxxxx")], &[Event::Probe]);
}

#[test]
fn failing_callers_have_to_be_a_share_of_all_callers() {
    let good: Vec<(u64, &str)> = (10..20).map(|caller| (caller, ".")).collect();
    let mut calls = good;
    calls.extend([(1, "xxxxxx"), (2, "xxxxxx"), (3, "xxxxxx")]);
    check(settings(), &calls, &[Event::Probe]);
}

#[test]
fn what_is_long_ago_and_what_was_the_hosts_does_not_count() {
    check(settings(), &[(1, "xx       "), (2, "xx       "), (3, "xx")], &[]);
    check(settings(), &[(1, "????"), (2, "????"), (3, "????")], &[]);
    check(
        BreakerSettings { failures: 0, ..settings() },
        &[(1, "xxx"), (2, "xxx"), (3, "xxx")],
        &[],
    );
}

#[test]
fn callers_are_remembered_within_bounds() {
    let mut bench = Bench::new(BreakerSettings { failures: 1000, ..settings() });
    for caller in 0..10_000 {
        bench.call(caller, Outcome::Good).unwrap();
    }
    let now = bench.now();
    let State::Closed(window) = &mut bench.breaker.state else { panic!("closed") };
    let tally = window.tally(now);
    assert_eq!((tally.calls, tally.callers), (10_000, 256));
}

#[test]
fn an_open_one_asks_nobody_until_a_probe_and_a_call_went_well() {
    let mut bench = opened();
    assert_eq!(bench.call(7, Outcome::Good), Err(10));
    bench.second = 10;
    assert_eq!(bench.call(7, Outcome::Good), Err(1), "the probe is under way");
    assert_eq!(bench.probed(Outcome::Good), None);
    assert!(bench.breaker.is_open(bench.now()).is_none() && !bench.breaker.is_closed());
    assert_eq!(bench.call(7, Outcome::Good), Ok(Some(Event::Closed)));
    assert!(bench.breaker.is_closed());
    assert_eq!(bench.call(7, Outcome::Failed), Ok(None), "and all is forgotten");
}

#[test]
fn the_cool_down_doubles_within_bounds() {
    let mut bench = opened();
    for expect in [20, 40, 40] {
        bench.probed(Outcome::Failed);
        assert_eq!(bench.call(7, Outcome::Good), Err(expect));
    }
    bench.probed(Outcome::Unknown);
    assert_eq!(bench.call(7, Outcome::Good), Err(40), "a probe that the host spoilt says nothing");
}

#[test]
fn a_trial_lets_one_call_through_at_a_time() {
    let mut bench = opened();
    bench.probed(Outcome::Good);
    let pass = bench.breaker.admit(7, bench.now()).unwrap();
    assert_eq!(bench.call(8, Outcome::Good), Err(10));
    assert_eq!(bench.breaker.settle(pass, Outcome::Unknown, bench.now()), None);
    assert_eq!(bench.call(8, Outcome::Good), Ok(Some(Event::Closed)));
}

#[test]
fn one_client_can_not_end_a_trial_by_failing() {
    let mut bench = opened();
    bench.probed(Outcome::Good);
    assert_eq!(bench.call(7, Outcome::Failed), Ok(None));
    assert_eq!(bench.call(7, Outcome::Failed), Err(10), "it waits, others don't");
    assert_eq!(bench.call(8, Outcome::Failed), Ok(None));
    assert_eq!(bench.call(9, Outcome::Failed), Ok(Some(Event::Opened)));
    assert_eq!(bench.call(1, Outcome::Good), Err(20));
}

#[test]
fn calls_that_began_before_a_turn_count_no_more() {
    let mut bench = Bench::new(settings());
    let old = bench.breaker.admit(1, bench.now()).unwrap();
    assert_eq!(bench.probed(Outcome::Failed), Some(Event::Opened));
    bench.probed(Outcome::Good);
    assert_eq!(bench.breaker.settle(old, Outcome::Good, bench.now()), None);
    assert!(!bench.breaker.is_closed());
    bench.breaker.reset();
    assert!(bench.breaker.is_closed());
}

#[test]
fn settings_are_bounded() {
    BreakerSettings::default().check().unwrap();
    let message = BreakerSettings { callers: 0, ..settings() }.check().unwrap_err().to_string();
    assert_eq!(message, "policies.breaker.callers is 0 callers; it must be 1 to 64");
}
