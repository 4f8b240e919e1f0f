//! The text a `post` policy holds back, and the rules for it. No WebAssembly here.

use std::time::Duration;

use crate::{Failure, Limits};

/// What one piece of a reply may add to the time that text before it was held: an expert that says
/// nothing for longer leaves a policy nothing to decide on.
const PIECE_TIME: Duration = Duration::from_secs(1);

/// What a `post` policy wants done with its window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Send it as it is.
    Emit,
    /// Keep all of it.
    Hold,
    /// Send `text` for all but the last `keep` bytes, which stay held.
    Replace {
        /// What is sent.
        text: String,
        /// Bytes that stay.
        keep: usize,
    },
    /// Send this for all of it, and end the reply.
    Stop(String),
}

/// What a window lets through.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Let {
    pub(crate) text: String,
    pub(crate) stop: bool,
}

/// Text held by one policy of one reply. The window of a call is this text with the new behind it.
///
/// Time is counted while there is more to show: what the reply waited for its expert from piece to
/// piece, each within [`PIECE_TIME`], and what the policy itself took. A client that does not read
/// lets no time pass.
#[derive(Debug)]
pub(crate) struct Window {
    held: String,
    /// How long the oldest part was held.
    time: Duration,
    newest: usize,
    held_bytes: u64,
    held_time: Duration,
    output_bytes: u64,
}

impl Window {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            held: String::new(),
            time: Duration::ZERO,
            newest: 0,
            held_bytes: limits.held_bytes,
            held_time: Duration::from_millis(limits.held_ms),
            output_bytes: limits.output_bytes,
        }
    }

    /// Puts `text`, for which the reply `waited`, behind what is held.
    pub(crate) fn extend(&mut self, text: &str, waited: Duration) {
        if !self.held.is_empty() {
            self.time += waited.min(PIECE_TIME);
        }
        self.held.push_str(text);
        self.newest = text.len();
    }

    /// What the policy is shown.
    pub(crate) fn text(&self) -> &str {
        &self.held
    }

    /// Lets everything through unchanged.
    pub(crate) fn take(&mut self) -> String {
        self.time = Duration::ZERO;
        std::mem::take(&mut self.held)
    }

    /// Does what the policy wants after it `took` its time, if the rules allow it; `last` when the
    /// reply is complete.
    pub(crate) fn apply(
        &mut self,
        action: Action,
        last: bool,
        took: Duration,
    ) -> Result<Let, Failure> {
        match action {
            Action::Emit => Ok(Let { text: self.take(), stop: false }),
            Action::Hold => self.replace(String::new(), self.held.len(), last, took),
            Action::Replace { text, keep } => self.replace(text, keep, last, took),
            Action::Stop(text) => {
                self.check_output(&text)?;
                self.take();
                Ok(Let { text, stop: true })
            }
        }
    }

    fn replace(
        &mut self,
        text: String,
        keep: usize,
        last: bool,
        took: Duration,
    ) -> Result<Let, Failure> {
        self.check_output(&text)?;
        let cut = self.check_kept(keep, last)?;
        let before = if keep > self.newest { self.time } else { Duration::ZERO };
        let time = if keep > 0 { before + took } else { Duration::ZERO };
        self.check_held(keep, time)?;
        self.held.drain(..cut);
        self.time = time;
        Ok(Let { text, stop: false })
    }

    fn check_output(&self, text: &str) -> Result<(), Failure> {
        let limit_bytes = self.output_bytes;
        if text.len() as u64 > self.held.len() as u64 + limit_bytes {
            return Err(Failure::OutputTooLarge { limit_bytes });
        }
        Ok(())
    }

    /// Where the kept tail begins.
    fn check_kept(&self, keep: usize, last: bool) -> Result<usize, Failure> {
        let length = self.held.len();
        if last && keep > 0 {
            let why = format!("it holds {keep} bytes back although the reply is complete");
            return Err(Failure::Invalid(why));
        }
        let cut = length.checked_sub(keep).filter(|cut| self.held.is_char_boundary(*cut));
        cut.ok_or_else(|| {
            let why = format!("it keeps {keep} bytes of a window of {length}");
            Failure::Invalid(format!("{why}; the kept tail must be whole characters of the window"))
        })
    }

    fn check_held(&self, keep: usize, held: Duration) -> Result<(), Failure> {
        let (held_bytes, limit_bytes) = (keep as u64, self.held_bytes);
        if held_bytes > limit_bytes {
            return Err(Failure::HeldTooMuch { held_bytes, limit_bytes });
        }
        if held > self.held_time {
            let (held_ms, limit_ms) = (held.as_millis() as u64, self.held_time.as_millis() as u64);
            return Err(Failure::HeldTooLong { held_ms, limit_ms });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(held_bytes: u64, held_ms: u64, output_bytes: u64) -> Window {
        Window::new(&Limits { held_bytes, held_ms, output_bytes, ..Limits::default() })
    }

    fn replace(text: &str, keep: usize) -> Action {
        Action::Replace { text: text.into(), keep }
    }

    /// Applies `action` to a window over `text`: what is let through, and what stays.
    fn apply(text: &str, action: Action, last: bool) -> Result<(String, String), Failure> {
        let mut window = window(8, 1000, 4);
        window.extend(text, Duration::ZERO);
        let through = window.apply(action, last, Duration::ZERO)?;
        Ok((through.text, window.text().to_string()))
    }

    #[test]
    fn actions_release_hold_and_replace() {
        let check = |action, through: &str, held: &str| {
            assert_eq!(apply("añb", action, false), Ok((through.into(), held.into())));
        };
        check(Action::Emit, "añb", "");
        check(Action::Hold, "", "añb");
        check(replace("X", 1), "X", "b");
        check(replace("", 0), "", "");
        check(replace("X", 4), "X", "añb");
        check(Action::Stop("bye".into()), "bye", "");
    }

    #[test]
    fn a_kept_tail_must_be_whole_characters_of_the_window() {
        let check = |keep| {
            let failure = apply("añ", replace("", keep), false).unwrap_err();
            assert!(matches!(failure, Failure::Invalid(_)), "{failure}");
        };
        check(1);
        check(4);
        check(usize::MAX);
    }

    #[test]
    fn nothing_is_held_when_the_reply_is_complete() {
        assert!(matches!(apply("ab", Action::Hold, true), Err(Failure::Invalid(_))));
        assert!(matches!(apply("ab", replace("", 1), true), Err(Failure::Invalid(_))));
        assert_eq!(apply("", Action::Hold, true), Ok((String::new(), String::new())));
        assert_eq!(apply("ab", replace("x", 0), true), Ok(("x".into(), String::new())));
    }

    #[test]
    fn text_may_grow_by_the_output_limit_only() {
        let at_limit = "x".repeat(6);
        assert!(apply("ab", replace(&at_limit, 0), false).is_ok());
        let beyond = Err(Failure::OutputTooLarge { limit_bytes: 4 });
        assert_eq!(apply("ab", replace("xxxxxxx", 0), false), beyond);
        assert_eq!(apply("ab", Action::Stop("xxxxxxx".into()), false), beyond);
    }

    #[test]
    fn held_bytes_are_bounded() {
        let beyond = Failure::HeldTooMuch { held_bytes: 9, limit_bytes: 8 };
        assert_eq!(apply("123456789", Action::Hold, false), Err(beyond));
        assert!(apply("12345678", Action::Hold, false).is_ok());
    }

    #[test]
    fn an_action_against_the_rules_changes_nothing() {
        let mut window = window(2, 1000, 4);
        window.extend("1234", Duration::ZERO);
        window.apply(replace("x", 3), false, Duration::ZERO).unwrap_err();
        assert_eq!(window.take(), "1234");
    }

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_time_that_text_is_held_is_bounded() {
        let mut window = window(100, 1000, 4);
        window.extend("a", ms(0));
        window.apply(Action::Hold, false, ms(0)).unwrap();
        window.extend("b", ms(900));
        window.apply(Action::Hold, false, ms(100)).unwrap();
        window.extend("c", ms(0));
        let failure = window.apply(Action::Hold, false, ms(1)).unwrap_err();
        assert_eq!(failure, Failure::HeldTooLong { held_ms: 1001, limit_ms: 1000 });
    }

    #[test]
    fn an_experts_silence_is_not_the_policys() {
        let mut window = window(100, 2000, 4);
        for silence in [0, 60_000, 60_000] {
            window.extend("a", ms(silence));
            window.apply(Action::Hold, false, ms(0)).unwrap();
        }
        window.extend("a", ms(60_000));
        assert!(window.apply(Action::Hold, false, ms(0)).is_err(), "asked three times");
    }

    #[test]
    fn keeping_only_new_text_starts_the_clock_again() {
        let mut window = window(100, 1000, 4);
        window.extend("aa", ms(0));
        window.apply(Action::Hold, false, ms(0)).unwrap();
        window.extend("bb", ms(900));
        window.apply(replace("aab", 1), false, ms(0)).unwrap();
        window.extend("c", ms(900));
        assert!(window.apply(Action::Hold, false, ms(0)).is_ok());
    }
}
