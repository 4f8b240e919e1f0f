//! Stop strings: the reply ends before the first of them, wherever token borders fall.

use crate::{
    EngineError,
    limits::{STOP_BYTES_MAX, STOPS_MAX},
};

/// Looks for stop strings in a text that arrives in pieces.
pub(crate) struct Stops {
    wanted: Vec<String>,
    held: String,
}

/// What may be shown after a piece.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Released {
    pub(crate) text: String,
    /// The stop string that followed; nothing comes after this.
    pub(crate) stopped: Option<usize>,
}

impl Stops {
    /// # Errors
    /// Too many, too long, or empty ones.
    pub(crate) fn new(wanted: &[String]) -> Result<Self, EngineError> {
        let refuse = |message: String| Err(EngineError::InvalidRequest { message });
        if wanted.len() > STOPS_MAX {
            return refuse(format!("{} stop strings; at most {STOPS_MAX} are read", wanted.len()));
        }
        if wanted.iter().any(|stop| stop.is_empty() || stop.len() > STOP_BYTES_MAX) {
            return refuse(format!("a stop string must have 1 to {STOP_BYTES_MAX} bytes"));
        }
        Ok(Self { wanted: wanted.to_vec(), held: String::new() })
    }

    /// Takes a piece and releases everything that can't belong to a stop string any more.
    pub(crate) fn push(&mut self, piece: &str) -> Released {
        self.held.push_str(piece);
        let place = |(which, stop): (usize, &String)| Some((self.held.find(stop.as_str())?, which));
        let found = self.wanted.iter().enumerate().filter_map(place).min();
        let (until, stopped) = match found {
            Some((at, which)) => (at, Some(which)),
            None => (self.undecided(), None),
        };
        let rest = self.held.split_off(until);
        Released { text: std::mem::replace(&mut self.held, rest), stopped }
    }

    /// What was held back, at the end of a reply that no stop string ended.
    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Where the longest beginning of a stop string at the end starts.
    fn undecided(&self) -> usize {
        let begins = |at: usize| self.wanted.iter().any(|stop| stop.starts_with(&self.held[at..]));
        let mut places = self.held.char_indices().map(|(at, _)| at);
        places.find(|&at| begins(at)).unwrap_or(self.held.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(stops: &[&str], pieces: &[&str], expect: &[&str], stopped: Option<usize>) {
        let stops: Vec<_> = stops.iter().map(ToString::to_string).collect();
        let mut scanner = Stops::new(&stops).unwrap();
        let released: Vec<_> = pieces.iter().map(|piece| scanner.push(piece)).collect();
        let texts: Vec<_> = released.iter().map(|released| released.text.as_str()).collect();
        assert_eq!(texts, expect);
        assert_eq!(released.last().unwrap().stopped, stopped);
    }

    #[test]
    fn text_flows_unless_it_may_begin_a_stop() {
        check(&[], &["a", "b"], &["a", "b"], None);
        check(&["END"], &["x E", "N", "o"], &["x ", "", "ENo"], None);
        check(&["END"], &["x E", "N", "D y"], &["x ", "", ""], Some(0));
        check(&["\n\n"], &["a\n", "b\n", "\nc"], &["a", "\nb", ""], Some(0));
        check(&["aab"], &["aaa", "b"], &["a", ""], Some(0));
        check(&["é!"], &["caf", "é", "!"], &["caf", "", ""], Some(0));
        check(&["two", "one"], &["zero one two"], &["zero "], Some(1));
    }

    #[test]
    fn bad_stops_are_refused() {
        assert!(Stops::new(&[String::new()]).is_err());
        assert!(Stops::new(&["x".repeat(STOP_BYTES_MAX + 1)]).is_err());
        assert!(Stops::new(&vec!["x".into(); STOPS_MAX + 1]).is_err());
    }

    proptest! {
        #[test]
        fn pieces_never_matter(
            text in "[ab]{0,40}",
            cuts in prop::collection::vec(1usize..4, 40),
            stop in "[ab]{1,4}",
        ) {
            let mut scanner = Stops::new(std::slice::from_ref(&stop)).unwrap();
            let (mut shown, mut rest, mut stopped) = (String::new(), text.as_str(), None);
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                rest = after;
                let released = scanner.push(piece);
                shown.push_str(&released.text);
                stopped = released.stopped;
                if stopped.is_some() {
                    break;
                }
            }
            if stopped.is_none() {
                shown.push_str(&scanner.finish());
            }
            prop_assert_eq!(shown.as_str(), text.split(&stop).next().unwrap_or_default());
            prop_assert_eq!(stopped, text.contains(&stop).then_some(0));
        }
    }
}
