//! A question of a client's: what is asked by it, and what its labels stand for.

use serde_json::Value;

use crate::{
    error::ApiError,
    limits::{LEVELS_MAX, OPTIONS_MAX},
    pipeline::{Labels, questions},
};

/// One question.
pub(super) struct Question {
    /// The client's name for it.
    pub(super) name: Option<String>,
    /// What the expert reads behind the text.
    pub(super) text: String,
    /// What it may answer.
    pub(super) labels: Labels,
    pub(super) kind: Kind,
}

/// What its labels stand for, in their order.
pub(super) enum Kind {
    /// That it holds, and that it does not.
    Predicate,
    /// Options.
    Choice(Vec<Value>),
    /// Levels, the least first.
    Score(Vec<String>),
}

pub(super) use questions::Described;

impl Question {
    /// Whether something holds, and what it means that it does and that it does not.
    pub(super) fn predicate(
        name: Option<String>,
        instructions: &str,
        meanings: [Option<String>; 2],
    ) -> Self {
        let (text, labels) = questions::predicate(instructions, meanings);
        Self { name, text, labels, kind: Kind::Predicate }
    }

    /// Which of several it is. `at` is where it stands in the body.
    pub(super) fn choice(
        (name, at): (Option<String>, &str),
        instructions: &str,
        options: Vec<(Value, Described)>,
    ) -> Result<Self, ApiError> {
        let (values, described): (Vec<Value>, Vec<Described>) = options.into_iter().unzip();
        let twice = (1..values.len()).any(|at| values[..at].contains(&values[at]));
        match questions::choice(instructions, &described).filter(|_| !twice) {
            Some((text, labels)) => Ok(Self { name, text, labels, kind: Kind::Choice(values) }),
            None => {
                let message =
                    format!("'{at}' must have 1 to {OPTIONS_MAX} options, no two of them the same");
                Err(ApiError::value(at, message))
            }
        }
    }

    /// How much it is.
    pub(super) fn score(
        (name, at): (Option<String>, &str),
        instructions: &str,
        levels: Vec<Described>,
    ) -> Result<Self, ApiError> {
        let Some((text, labels)) = questions::score(instructions, &levels) else {
            let message = format!("'{at}' must have 2 to {LEVELS_MAX} levels, the least first");
            return Err(ApiError::value(at, message));
        };
        let names = levels.into_iter().map(|(name, _)| name).collect();
        Ok(Self { name, text, labels, kind: Kind::Score(names) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_a_few_and_differ() {
        let options = |count: usize| -> Vec<(Value, Described)> {
            (0..count).map(|at| (at.into(), (at.to_string(), None))).collect()
        };
        let choice = |options| Question::choice((None, "q"), "Which?", options);
        assert!(choice(options(255)).is_ok());
        assert!(choice(options(0)).is_err() && choice(options(256)).is_err());
        assert!(choice([options(2), options(1)].concat()).is_err(), "one is there twice");
    }
}
