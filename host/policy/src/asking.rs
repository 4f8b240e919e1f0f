//! What policies ask experts, what may come back, and what it costs: plain data, and the bill.

use std::time::Duration;

use crate::{Hook, PolicyRef};

/// On what terms something is asked.
pub struct Terms {
    /// Tokens that it may take, of prompts and replies together.
    pub tokens: u64,
    /// How long it may take.
    pub within: Duration,
    /// Whether the policy is only compared: it asks behind everybody else, and not at the caller's cost.
    pub aside: bool,
    /// Where what it takes is written down.
    pub bill: Bill,
    /// Who asks, and in which hook.
    pub asker: (Hook, PolicyRef),
}

/// What experts spend on one thing that a policy asked of them. It goes into the policy's counters and into the record of
/// the call when this is dropped, however the asking ended.
pub struct Bill {
    tokens: u64,
    /// Whom to tell.
    books: Option<Box<dyn FnOnce(u64) + Send + Sync>>,
}

impl Bill {
    pub(crate) fn new(books: impl FnOnce(u64) + Send + Sync + 'static) -> Self {
        Self { tokens: 0, books: Some(Box::new(books)) }
    }

    /// So many tokens more.
    pub fn add(&mut self, tokens: u64) {
        self.tokens += tokens;
    }
}

impl Drop for Bill {
    fn drop(&mut self) {
        if let Some(books) = self.books.take() {
            books(self.tokens);
        }
    }
}

/// Texts that a policy wants vectors of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Texts {
    /// In the order in which their vectors are wanted.
    pub texts: Vec<String>,
    /// Whether they are the policy's own words, so that their vectors may be shared among callers.
    pub shared: bool,
    /// Tokens of each that are read.
    pub tokens_max: u32,
    /// Who is to make them; `None` leaves it to the host.
    pub expert: Option<String>,
}

/// What a policy asks an expert.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Role and content of every message, oldest first.
    pub messages: Vec<(String, String)>,
    /// Most tokens of the answer.
    pub max_tokens: u32,
    /// Sampling temperature.
    pub temperature: Option<f32>,
    /// Whom; `None` leaves it to the host.
    pub expert: Option<String>,
}

/// An expert's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its words.
    pub text: String,
    /// Who said them.
    pub expert: String,
    /// Whether it ended because it was as long as it may be.
    pub cut: bool,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens generated.
    pub completion_tokens: u32,
}

/// Questions about a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decide {
    /// What they are about.
    pub text: String,
    /// What is asked.
    pub questions: Vec<Asked>,
    /// Whom; `None` leaves it to the host.
    pub expert: Option<String>,
}

/// A question with what it may be answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Whether something holds, and what it means that it does and that it does not.
    Predicate(String, [Option<String>; 2]),
    /// Which of these it is.
    Choice(String, Vec<Label>),
    /// How much it is, from the least to the most.
    Score(String, Vec<Label>),
}

/// A name and when it is the one.
pub type Label = (String, Option<String>);

/// How likely each label is.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    /// In the order of the labels, 1 together.
    pub probabilities: Vec<f64>,
    /// That a reply would begin with any of them.
    pub mass: f64,
}

/// Why an expert did not do what a policy asked of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// There is none that the caller may ask.
    #[error("there is no expert '{0}' that the caller may ask")]
    UnknownExpert(String),
    /// It makes no vectors, or none does.
    #[error("{0}")]
    NoEmbeddingExpert(String),
    /// Nothing that can be asked so.
    #[error("{0}")]
    Invalid(String),
    /// More than may be asked.
    #[error("{0}")]
    TooLarge(String),
    /// It took too long.
    #[error("{0}")]
    OutOfTime(String),
    /// The policy or the caller has nothing left.
    #[error("{0}")]
    OutOfBudget(String),
    /// Not now.
    #[error("{0}")]
    Unavailable(String),
}
