//! How a question is asked: its text, short because it is computed for each, and the labels that its answer may be.

use std::fmt::Write as _;

use serde_json::Value;

use crate::{
    error::ApiError,
    limits::{LEVELS_MAX, OPTIONS_MAX},
    pipeline::Labels,
};

/// How many options have a letter each.
const LETTERS: usize = 26;

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

/// A name and when it is the one.
pub(super) type Described = (String, Option<String>);

impl Question {
    /// Whether something holds, and what it means that it does and that it does not.
    pub(super) fn predicate(
        name: Option<String>,
        instructions: &str,
        meanings: [Option<String>; 2],
    ) -> Self {
        let mut text = instructions.to_owned();
        for (label, meaning) in ["yes", "no"].into_iter().zip(meanings) {
            if let Some(meaning) = meaning {
                let _ = write!(text, "\n{label}: {meaning}");
            }
        }
        text.push_str("\nAnswer yes or no.");
        let labels = [["yes", "Yes"], ["no", "No"]].map(|label| label.map(str::to_owned).into());
        Self { name, text, labels: labels.into(), kind: Kind::Predicate }
    }

    /// Which of several it is. `at` is where it stands in the body.
    pub(super) fn choice(
        (name, at): (Option<String>, &str),
        instructions: &str,
        options: Vec<(Value, Described)>,
    ) -> Result<Self, ApiError> {
        let labels: Vec<String> = (0..options.len()).map(|at| letters(at, options.len())).collect();
        let end = if options.len() > LETTERS {
            "Answer with its letters."
        } else {
            "Answer with its letter."
        };
        let (values, described): (Vec<Value>, Vec<Described>) = options.into_iter().unzip();
        let text = listed(instructions, &labels, &described, end);
        let twice = (1..values.len()).any(|at| values[..at].contains(&values[at]));
        if values.is_empty() || values.len() > OPTIONS_MAX || twice {
            let message =
                format!("'{at}' must have 1 to {OPTIONS_MAX} options, no two of them the same");
            return Err(ApiError::value(at, message));
        }
        let labels = labels.into_iter().map(|label| vec![label]).collect();
        Ok(Self { name, text, labels, kind: Kind::Choice(values) })
    }

    /// How much it is.
    pub(super) fn score(
        (name, at): (Option<String>, &str),
        instructions: &str,
        levels: Vec<Described>,
    ) -> Result<Self, ApiError> {
        if !(2..=LEVELS_MAX).contains(&levels.len()) {
            let message = format!("'{at}' must have 2 to {LEVELS_MAX} levels, the least first");
            return Err(ApiError::value(at, message));
        }
        let labels: Vec<String> = (0..levels.len()).map(|at| at.to_string()).collect();
        let text = listed(instructions, &labels, &levels, "Answer with its number.");
        let labels = labels.into_iter().map(|label| vec![label]).collect();
        let names = levels.into_iter().map(|(name, _)| name).collect();
        Ok(Self { name, text, labels, kind: Kind::Score(names) })
    }
}

/// The instructions, and a line for each label.
fn listed(instructions: &str, labels: &[String], described: &[Described], end: &str) -> String {
    let mut text = instructions.to_owned();
    for (label, (name, description)) in labels.iter().zip(described) {
        let _ = write!(text, "\n{label}: {name}");
        if let Some(description) = description {
            let _ = write!(text, " ({description})");
        }
    }
    text + "\n" + end
}

/// One letter each, or two where one is not enough: none begins as another one ends.
fn letters(at: usize, of: usize) -> String {
    let letter = |at: usize| char::from(b'A' + (at % LETTERS) as u8);
    match of > LETTERS {
        true => [letter(at / LETTERS), letter(at)].into_iter().collect(),
        false => letter(at).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn options(count: usize) -> Vec<(Value, Described)> {
        (0..count).map(|at| (at.to_string().into(), (at.to_string(), None))).collect()
    }

    fn choice(options: Vec<(Value, Described)>) -> Result<Question, ApiError> {
        Question::choice((None, "q"), "Which?", options)
    }

    #[test]
    fn a_question_lists_what_it_may_be_answered_with() {
        let described = ("billing".to_owned(), Some("refunds".to_owned()));
        let two = vec![("billing".into(), described), (true.into(), ("true".to_owned(), None))];
        let expect = "Which?\nA: billing (refunds)\nB: true\nAnswer with its letter.";
        assert_eq!(choice(two).unwrap().text, expect);
        let predicate = Question::predicate(None, "Rain?", [Some("wet".to_owned()), None]);
        assert_eq!(predicate.text, "Rain?\nyes: wet\nAnswer yes or no.");
    }

    #[test]
    fn labels_differ_and_have_one_length() {
        for count in [1, 26, 27, 255] {
            let labels = choice(options(count)).unwrap().labels;
            let texts: BTreeSet<&String> = labels.iter().map(|label| &label[0]).collect();
            let lengths: BTreeSet<usize> = texts.iter().map(|text| text.len()).collect();
            assert_eq!((texts.len(), lengths.len()), (count, 1));
        }
        assert!(choice(options(0)).is_err() && choice(options(256)).is_err());
        assert!(choice([options(2), options(1)].concat()).is_err(), "one is there twice");
    }
}
