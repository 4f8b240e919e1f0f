//! The circuit breaker of one hook of one revision: pure logic, without a clock of its own.
//!
//! It opens when a share of the calls in a window failed and the failures came from several callers
//! who are a share of all callers. So one input, one client or one burst never opens it. Where
//! failures are many but callers few (everybody behind one gateway), it asks for the host's own probe,
//! which no client has a say in. Open means that the hook is not asked at all. After a cool-down the
//! probe has to pass, then one live call at a time is let through (half-open), until one succeeds.

mod window;

use std::time::{Duration, Instant};

use signalbox_confine::limits;

use window::Window;

/// What a probe may take: nobody is sent away for less.
const PROBE_TIME: Duration = Duration::from_secs(1);

limits! {
    /// When a hook of a revision is taken out of service, checked when the registry opens.
    pub struct BreakerSettings: "policies.breaker.", "policy_breaker_" {
        /// Failed calls that there must be in the window before a hook of a revision is taken out of
        /// service; 0 switches the breaker off. `policies.breaker_failures` is the older name.
        failures: u64 = 5, 0..=1000, "calls";
        /// Calls that there must be in the window.
        calls: u64 = 10, 1..=100_000, "calls";
        /// Share of calls that failed.
        failed_percent: u64 = 50, 1..=100, "percent";
        /// Callers (keys, or addresses) that the failures must have come from.
        callers: u64 = 3, 1..=64, "callers";
        /// Share of the callers seen that failures must have come from.
        callers_percent: u64 = 50, 1..=100, "percent";
        /// How far back is counted.
        window_ms: u64 = 60_000, 1000..=3_600_000, "milliseconds";
        /// Until a hook that is out of service is probed again; doubles with each probe that fails.
        cooldown_ms: u64 = 10_000, 100..=3_600_000, "milliseconds";
        /// What that time grows to.
        cooldown_max_ms: u64 = 600_000, 100..=86_400_000, "milliseconds";
        /// Between two probes that failures of few callers ask for; a revision that fails one is
        /// taken out of service.
        probe_ms: u64 = 10_000, 100..=3_600_000, "milliseconds";
    }
}

impl BreakerSettings {
    fn cooldown(&self) -> Duration {
        Duration::from_millis(self.cooldown_ms)
    }

    fn doubled(&self, cooldown: Duration) -> Duration {
        (cooldown * 2).min(Duration::from_millis(self.cooldown_max_ms.max(self.cooldown_ms)))
    }
}

/// How a call into a hook ended, as far as the revision is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It did its work.
    Good,
    /// It failed, and nobody else is to blame.
    Failed,
    /// It failed through the host, or the call was given up: says nothing about the revision.
    Unknown,
}

/// What there is to do after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// Out of service from now on.
    Opened,
    /// In service again.
    Closed,
    /// Try it on the host's own calls and report with [`Breaker::probed`].
    Probe,
}

/// The right to make one call, with what the breaker has to know of it afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pass {
    caller: u64,
    /// Which state let it through; what comes from an earlier one is not counted.
    turn: u64,
}

#[derive(Debug)]
enum State {
    Closed(Box<Window>),
    Open {
        until: Instant,
        cooldown: Duration,
    },
    /// Half-open: the probe passed.
    Trial(Trial),
}

#[derive(Debug)]
struct Trial {
    cooldown: Duration,
    /// Until when the one live call has the trial for itself.
    busy_until: Option<Instant>,
    /// Who failed in this trial, and when each may try again.
    failed: Vec<(u64, Instant)>,
}

/// One hook of one revision.
#[derive(Debug)]
pub(crate) struct Breaker {
    settings: BreakerSettings,
    state: State,
    turn: u64,
    next_probe: Option<Instant>,
}

impl Breaker {
    pub(crate) fn new(settings: BreakerSettings) -> Self {
        let state = State::Closed(Box::new(Window::new(settings.window_ms)));
        Self { settings, state, turn: 0, next_probe: None }
    }

    /// Lets a call through, or says how long it is until the next trial.
    pub(crate) fn admit(&mut self, caller: u64, now: Instant) -> Result<Pass, Duration> {
        let pass = Pass { caller, turn: self.turn };
        match &mut self.state {
            State::Closed(_) => Ok(pass),
            State::Open { until, cooldown } => {
                let wait = until.saturating_duration_since(now).max(PROBE_TIME);
                Err(wait.min(*cooldown))
            }
            State::Trial(trial) => trial.admit(caller, now).map(|()| pass),
        }
    }

    /// Whether calls are turned away, and for how long at most. During a trial they are not: the next
    /// call may be the one that ends it.
    pub(crate) fn is_open(&self, now: Instant) -> Option<Duration> {
        match &self.state {
            State::Open { until, .. } => Some(until.saturating_duration_since(now)),
            State::Closed(_) | State::Trial(_) => None,
        }
    }

    /// Whether it is in service without reserve.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed(_))
    }

    /// When to probe again, while it is open.
    pub(crate) fn reopens(&self) -> Option<Instant> {
        match &self.state {
            State::Open { until, .. } => Some(*until),
            State::Closed(_) | State::Trial(_) => None,
        }
    }

    /// An operator wants it tried again: back in service, as if nothing had been.
    pub(crate) fn reset(&mut self) {
        self.turn(State::Closed(Box::new(Window::new(self.settings.window_ms))));
        self.next_probe = None;
    }

    /// A call ended. Each pass is settled once.
    pub(crate) fn settle(&mut self, pass: Pass, outcome: Outcome, now: Instant) -> Option<Event> {
        if pass.turn != self.turn || self.settings.failures == 0 {
            return None;
        }
        match &mut self.state {
            State::Open { .. } => None,
            State::Closed(window) => {
                match outcome {
                    Outcome::Unknown => return None,
                    Outcome::Good => window.record(pass.caller, false, now),
                    Outcome::Failed => window.record(pass.caller, true, now),
                }
                (outcome == Outcome::Failed).then(|| self.judge(now)).flatten()
            }
            State::Trial(_) => self.tried(pass.caller, outcome, now),
        }
    }

    /// The host's own probe ended.
    pub(crate) fn probed(&mut self, outcome: Outcome, now: Instant) -> Option<Event> {
        match (&self.state, outcome) {
            (State::Closed(_), Outcome::Failed) if self.settings.failures > 0 => {
                Some(self.open(self.settings.cooldown(), now))
            }
            (State::Closed(_) | State::Trial(_), _) => None,
            (State::Open { cooldown, .. }, Outcome::Good) => {
                let trial = Trial { cooldown: *cooldown, busy_until: None, failed: Vec::new() };
                self.turn(State::Trial(trial));
                None
            }
            (State::Open { cooldown, .. }, Outcome::Failed) => {
                let longer = self.settings.doubled(*cooldown);
                self.open(longer, now);
                None
            }
            (State::Open { cooldown, .. }, Outcome::Unknown) => {
                let same = *cooldown;
                self.open(same, now);
                None
            }
        }
    }

    /// After one more failure: whether to open, or to have it probed.
    fn judge(&mut self, now: Instant) -> Option<Event> {
        let State::Closed(window) = &mut self.state else { return None };
        let (seen, settings) = (window.tally(now), &self.settings);
        let share = |part: u64, all: u64, percent: u64| part * 100 >= all * percent;
        let many = seen.failed >= settings.failures
            && seen.calls >= settings.calls.max(settings.failures)
            && share(seen.failed, seen.calls, settings.failed_percent);
        let everybody = seen.callers_failed >= settings.callers
            && share(seen.callers_failed, seen.callers, settings.callers_percent);
        if many && everybody {
            return Some(self.open(self.settings.cooldown(), now));
        }
        let due = self.next_probe.is_none_or(|next| now >= next);
        if seen.failed >= settings.failures && due {
            self.next_probe = Some(now + Duration::from_millis(settings.probe_ms));
            return Some(Event::Probe);
        }
        None
    }

    /// A trial's live call ended. One success closes; failures open again only when they came from
    /// as many callers as it takes to open in the first place.
    fn tried(&mut self, caller: u64, outcome: Outcome, now: Instant) -> Option<Event> {
        let State::Trial(trial) = &mut self.state else { return None };
        trial.busy_until = None;
        match outcome {
            Outcome::Unknown => None,
            Outcome::Good => {
                self.turn(State::Closed(Box::new(Window::new(self.settings.window_ms))));
                Some(Event::Closed)
            }
            Outcome::Failed => {
                trial.failed.retain(|(known, _)| *known != caller);
                trial.failed.push((caller, now + trial.cooldown));
                if (trial.failed.len() as u64) < self.settings.callers {
                    return None;
                }
                let longer = self.settings.doubled(trial.cooldown);
                Some(self.open(longer, now))
            }
        }
    }

    fn open(&mut self, cooldown: Duration, now: Instant) -> Event {
        self.turn(State::Open { until: now + cooldown, cooldown });
        Event::Opened
    }

    fn turn(&mut self, state: State) {
        self.state = state;
        self.turn += 1;
    }
}

impl Trial {
    /// One live call at a time; who failed in this trial waits.
    fn admit(&mut self, caller: u64, now: Instant) -> Result<(), Duration> {
        let own = self.failed.iter().find(|(known, _)| *known == caller).map(|(_, again)| *again);
        let waits = [self.busy_until, own].into_iter().flatten().filter(|until| *until > now).max();
        match waits {
            Some(until) => Err(until - now),
            None => {
                self.busy_until = Some(now + self.cooldown);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
