//! How long an expert stays in memory that has nothing to do, as Ollama's clients and operators write it.

use std::{str::FromStr, time::Duration};

/// How long an expert stays in memory behind its last call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepAlive {
    /// Until somebody needs its memory.
    Always,
    /// So long; at once where that is nothing.
    For(Duration),
}

/// A year; longer is [`KeepAlive::Always`].
const LONGEST: f64 = 31_536_000.0;

/// Units of time, each in seconds, those whose names end in others' first.
const UNITS: [(&str, f64); 7] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
];

/// Something that says no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be seconds, or a time like \"5m\" or \"1h30m\"; less than 0 means for ever")]
pub struct NoTime;

impl FromStr for KeepAlive {
    type Err = NoTime;

    fn from_str(text: &str) -> Result<Self, NoTime> {
        let text = text.trim();
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let plain = rest.starts_with(|c: char| c.is_ascii_digit() || c == '.'); // no second sign
        let seconds = rest.parse().ok().or_else(|| sum(rest));
        let seconds = seconds.filter(|seconds: &f64| plain && seconds.is_finite());
        match seconds.ok_or(NoTime)? {
            seconds if negative && seconds > 0.0 => Ok(Self::Always),
            seconds if seconds > LONGEST => Ok(Self::Always),
            seconds => Ok(Self::For(Duration::from_secs_f64(seconds.abs()))),
        }
    }
}

/// `1h30m` in seconds.
fn sum(mut text: &str) -> Option<f64> {
    let mut seconds = (!text.is_empty()).then_some(0.0)?;
    while !text.is_empty() {
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, rest) = text.split_at(digits);
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == &rest[..end])?;
        seconds += number.parse::<f64>().ok()? * unit;
        text = &rest[end..];
    }
    Some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_have_units() {
        let check = |text: &str, expect| assert_eq!(text.parse(), expect, "{text}");
        let time = |seconds| Ok(KeepAlive::For(Duration::from_secs_f64(seconds)));
        check("0", time(0.0));
        check("-0", time(0.0));
        check(" 90 ", time(90.0));
        check("1.5", time(1.5));
        check("5m", time(300.0));
        check("1h30m", time(5400.0));
        check("250ms", time(0.25));
        check("-1", Ok(KeepAlive::Always));
        check("-5m", Ok(KeepAlive::Always));
        check("99999999999", Ok(KeepAlive::Always));
        for wrong in ["", "soon", "5 m", "m", "5x", "h5", "NaN", "inf", "1h30", "--1"] {
            check(wrong, Err(NoTime));
        }
    }
}
