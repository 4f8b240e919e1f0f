//! How a question is asked: its text, short because it is computed for each, and the labels that its answer may be.

use std::fmt::Write as _;

use crate::limits::{LEVELS_MAX, OPTIONS_MAX};

/// How many options have a letter each.
const LETTERS: usize = 26;

/// What a question may be answered with, each in all ways to write it.
pub(crate) type Labels = Vec<Vec<String>>;

/// A name and when it is the one.
pub(crate) type Described = (String, Option<String>);

/// Whether something holds, and what it means that it does and that it does not.
pub(crate) fn predicate(instructions: &str, meanings: [Option<String>; 2]) -> (String, Labels) {
    let mut text = instructions.to_owned();
    for (label, meaning) in ["yes", "no"].into_iter().zip(meanings) {
        if let Some(meaning) = meaning {
            let _ = write!(text, "\n{label}: {meaning}");
        }
    }
    text.push_str("\nAnswer yes or no.");
    let labels = [["yes", "Yes"], ["no", "No"]].map(|label| label.map(str::to_owned).into());
    (text, labels.into())
}

/// Which of several it is; `None` when there are too few or too many of them.
pub(crate) fn choice(instructions: &str, options: &[Described]) -> Option<(String, Labels)> {
    if !(1..=OPTIONS_MAX).contains(&options.len()) {
        return None;
    }
    let labels: Vec<String> = (0..options.len()).map(|at| letters(at, options.len())).collect();
    let end = if options.len() > LETTERS {
        "Answer with its letters."
    } else {
        "Answer with its letter."
    };
    Some((listed(instructions, &labels, options, end), each(labels)))
}

/// How much it is, from the least to the most; `None` when there are too few or too many levels.
pub(crate) fn score(instructions: &str, levels: &[Described]) -> Option<(String, Labels)> {
    if !(2..=LEVELS_MAX).contains(&levels.len()) {
        return None;
    }
    let labels: Vec<String> = (0..levels.len()).map(|at| at.to_string()).collect();
    Some((listed(instructions, &labels, levels, "Answer with its number."), each(labels)))
}

fn each(labels: Vec<String>) -> Labels {
    labels.into_iter().map(|label| vec![label]).collect()
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

    fn options(count: usize) -> Vec<Described> {
        (0..count).map(|at| (at.to_string(), None)).collect()
    }

    #[test]
    fn a_question_lists_what_it_may_be_answered_with() {
        let two = [("billing".to_owned(), Some("refunds".to_owned())), ("true".to_owned(), None)];
        let expect = "Which?\nA: billing (refunds)\nB: true\nAnswer with its letter.";
        assert_eq!(choice("Which?", &two).unwrap().0, expect);
        let (text, _) = predicate("Rain?", [Some("wet".to_owned()), None]);
        assert_eq!(text, "Rain?\nyes: wet\nAnswer yes or no.");
    }

    #[test]
    fn labels_differ_and_have_one_length() {
        for count in [1, 26, 27, 255] {
            let (_, labels) = choice("Which?", &options(count)).unwrap();
            let texts: BTreeSet<&String> = labels.iter().map(|label| &label[0]).collect();
            let lengths: BTreeSet<usize> = texts.iter().map(|text| text.len()).collect();
            assert_eq!((texts.len(), lengths.len()), (count, 1));
        }
        assert!(choice("", &options(0)).is_none() && choice("", &options(256)).is_none());
        assert!(score("", &options(1)).is_none() && score("", &options(11)).is_none());
    }
}
