//! Typed questions about a text, answered with probabilities by an expert that generates nothing for it.
//!
//! What holds for [`inference`](crate::inference) holds here, and what the same caller asked the same expert before may cost
//! nothing.
//!
//! ```
//! use signalbox_sdk::{decide::{self, Question}, testing};
//!
//! testing::set_weights(|_text, _question| vec![0.9, 0.1]);
//! let weights = decide::decide("Buy now!", &[Question::predicate("It is an advertisement.")], None)?;
//! assert!(weights[0].probabilities[0] > 0.5);
//! # Ok::<(), decide::Error>(())
//! ```

pub use crate::inference::Error;

use crate::bindings::signalbox::policy::decide;
use crate::host;

/// Something that an answer may be: its name, and when it is the one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: String,
    /// When it is the one.
    pub description: Option<String>,
}

/// A question about a text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Question {
    /// Whether this holds; its labels are yes and no.
    Predicate(String),
    /// Which of these it is: 1 to 255.
    Choice(String, Vec<Label>),
    /// How much it is, from the least to the most: 2 to 10 levels.
    Score(String, Vec<Label>),
}

impl Question {
    /// Whether this holds.
    pub fn predicate(instructions: impl Into<String>) -> Self {
        Self::Predicate(instructions.into())
    }

    /// Which of these it is.
    pub fn choice<N: Into<String>>(
        instructions: impl Into<String>,
        names: impl IntoIterator<Item = N>,
    ) -> Self {
        Self::Choice(instructions.into(), labels(names))
    }

    /// How much it is, from the least to the most.
    pub fn score<N: Into<String>>(
        instructions: impl Into<String>,
        levels: impl IntoIterator<Item = N>,
    ) -> Self {
        Self::Score(instructions.into(), labels(levels))
    }

    /// How many labels it has.
    pub fn labels(&self) -> usize {
        match self {
            Self::Predicate(_) => 2,
            Self::Choice(_, labels) | Self::Score(_, labels) => labels.len(),
        }
    }
}

fn labels<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Vec<Label> {
    names.into_iter().map(|name| Label { name: name.into(), description: None }).collect()
}

/// How likely each label is.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Weights {
    /// In the order of the labels; 1 together.
    pub probabilities: Vec<f64>,
    /// How likely it is that a reply would begin with any of them. Where that is little, the expert was about to say
    /// something else.
    pub mass: f64,
}

/// The answer to each question, by `expert` or by the one that answers when no router chooses.
///
/// # Errors
/// As [`inference::ask`](crate::inference::ask).
pub fn decide(
    text: &str,
    questions: &[Question],
    expert: Option<&str>,
) -> Result<Vec<Weights>, Error> {
    let questions: Vec<decide::Question> = questions.iter().cloned().map(Into::into).collect();
    let weights = host::decide(text, &questions, expert)?;
    let weights = weights
        .into_iter()
        .map(|decide::Weights { probabilities, mass }| Weights { probabilities, mass });
    Ok(weights.collect())
}

impl From<Question> for decide::Question {
    fn from(question: Question) -> Self {
        let selection = |instructions, labels: Vec<Label>| {
            let label = |Label { name, description }| decide::Label { name, description };
            decide::Selection { instructions, labels: labels.into_iter().map(label).collect() }
        };
        match question {
            Question::Predicate(instructions) => {
                Self::Predicate(decide::Predicate { instructions, yes: None, no: None })
            }
            Question::Choice(instructions, labels) => Self::Choice(selection(instructions, labels)),
            Question::Score(instructions, labels) => Self::Score(selection(instructions, labels)),
        }
    }
}
