//! Which expert is asked after which, as it was counted: what a guess at the next one rests on.

use std::collections::HashMap;

/// What a call counts less for each one that came after it from the same expert.
const FADING: f64 = 0.9;
/// As much as this has to have been seen after an expert before anything is said of what comes next.
const SEEN_MIN: f64 = 2.0;

/// Who was asked after whom.
#[derive(Debug, Default)]
pub(super) struct Habits {
    last: Option<String>,
    after: HashMap<String, HashMap<String, f64>>,
}

impl Habits {
    /// An expert was asked.
    pub(super) fn asked(&mut self, expert: &str) {
        if let Some(last) = self.last.replace(expert.to_owned()) {
            let next = self.after.entry(last).or_default();
            next.values_mut().for_each(|seen| *seen *= FADING);
            *next.entry(expert.to_owned()).or_default() += 1.0;
            next.retain(|_, seen| *seen > 0.01);
        }
    }

    /// How likely it is that this one is asked next, 0 to 1; 0 while too little was seen.
    pub(super) fn likelihood(&self, expert: &str) -> f64 {
        let Some(next) = self.last.as_ref().and_then(|last| self.after.get(last)) else {
            return 0.0;
        };
        let all: f64 = next.values().sum();
        let seen = next.get(expert).copied().unwrap_or(0.0);
        if all < SEEN_MIN { 0.0 } else { seen / all }
    }
}

/// What is known of calls to come.
#[derive(Debug, Default)]
pub(super) struct Foresight {
    pub(super) habits: Habits,
    /// Something was loaded ahead since the last call.
    pub(super) guessed: bool,
    /// Experts that were loaded ahead and asked then; and that left memory again without.
    pub(super) hits: u64,
    pub(super) wastes: u64,
}

impl Foresight {
    /// An expert was asked; `ahead` if it had been loaded for that.
    pub(super) fn asked(&mut self, expert: &str, ahead: bool) {
        self.habits.asked(expert);
        self.hits += u64::from(ahead);
        self.guessed = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(asked: &str, next: &str, expect: f64) {
        let mut habits = Habits::default();
        asked.chars().for_each(|expert| habits.asked(&expert.to_string()));
        let likelihood = habits.likelihood(next);
        assert!((likelihood - expect).abs() < 0.01, "{next} after {asked}: {likelihood}");
    }

    #[test]
    fn what_followed_follows_again() {
        check("", "a", 0.0);
        check("abab", "a", 0.0); // seen once only
        check("abababab", "a", 1.0);
        check("abababab", "b", 0.0);
        check("aabaabaaba", "b", 0.53);
    }

    #[test]
    fn newer_calls_count_more() {
        check("abababacacaca", "c", 0.58);
        check("acacacabababa", "c", 0.42);
    }
}
