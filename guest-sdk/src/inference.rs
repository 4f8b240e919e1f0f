//! Asking an expert, on behalf of the call's caller: only whom the caller may ask, and at the cost of its tokens.
//!
//! The question goes straight to the expert and passes no policies. There is a bound on the questions, tokens and time of
//! one call (`policies.limits.inference_calls`, `.inference_tokens`, `.inference_ms`). A policy that is probed or
//! tested has nobody to ask, so have a way to go on without.
//!
//! ```
//! use signalbox_sdk::{inference::{self, Question}, testing};
//!
//! testing::set_answers(|question| Ok(format!("{} and so on", question.messages[0].content)));
//! let answer = inference::ask(&Question::new("Once upon a time").max_tokens(20))?;
//! assert_eq!(answer.text, "Once upon a time and so on");
//! # Ok::<(), inference::Error>(())
//! ```

use std::fmt;
use std::time::Duration;

use crate::bindings::signalbox::policy::inference;
use crate::{FinishReason, Message, host};

/// Tokens of an answer, unless a question says otherwise.
const TOKENS: u32 = 256;
/// Time for an answer, unless a question says otherwise.
const TIME: Duration = Duration::from_secs(5);

/// What is asked, and what it may take.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The conversation that the expert answers, oldest first.
    pub messages: Vec<Message>,
    /// Most tokens of the answer.
    pub max_tokens: u32,
    /// Sampling temperature; 0 is greedy, `None` the expert's own.
    pub temperature: Option<f32>,
    /// How long the answer may take, loading and queues included.
    pub within: Duration,
    /// Whom to ask; `None` means the expert that answers when no router chooses.
    pub expert: Option<String>,
}

impl Question {
    /// One message of a user's, answered greedily in at most 256 tokens and 5 seconds.
    pub fn new(text: impl Into<String>) -> Self {
        Self::of([Message::new("user", text)])
    }

    /// The same, of a conversation.
    pub fn of(messages: impl IntoIterator<Item = Message>) -> Self {
        let messages = messages.into_iter().collect();
        Self { messages, max_tokens: TOKENS, temperature: Some(0.0), within: TIME, expert: None }
    }

    /// Asks this expert.
    #[must_use]
    pub fn to(mut self, expert: impl Into<String>) -> Self {
        self.expert = Some(expert.into());
        self
    }

    /// Bounds the answer.
    #[must_use]
    pub fn max_tokens(mut self, tokens: u32) -> Self {
        self.max_tokens = tokens;
        self
    }

    /// Bounds the time.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }
}

/// What the expert said.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// Its words.
    pub text: String,
    /// Who said them.
    pub expert: String,
    /// Why it ended.
    pub finish: FinishReason,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens that were generated.
    pub completion_tokens: u32,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// No expert that the caller may ask has this id.
    UnknownExpert(String),
    /// The question is none that this expert can be asked.
    Invalid(String),
    /// The answer was not whole within its time.
    OutOfTime(String),
    /// The policy or the caller has spent what it may.
    OutOfBudget(String),
    /// The expert can't be asked now, and why.
    Unavailable(String),
    /// A case newer than this SDK.
    Other(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownExpert(id) => write!(f, "no expert is called '{id}'"),
            Self::Invalid(why)
            | Self::OutOfTime(why)
            | Self::OutOfBudget(why)
            | Self::Unavailable(why)
            | Self::Other(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Error {}

impl From<inference::Error> for Error {
    fn from(error: inference::Error) -> Self {
        match error {
            inference::Error::UnknownExpert(id) => Self::UnknownExpert(id),
            inference::Error::Invalid(why) => Self::Invalid(why),
            inference::Error::OutOfTime(why) => Self::OutOfTime(why),
            inference::Error::OutOfBudget(why) => Self::OutOfBudget(why),
            inference::Error::Unavailable(why) => Self::Unavailable(why),
            inference::Error::Other(why) => Self::Other(why),
        }
    }
}

/// Asks, and waits for the whole answer.
///
/// # Errors
/// When there is no such expert, it can't be asked, or there is nothing left to pay with.
pub fn ask(question: &Question) -> Result<Answer, Error> {
    let question = inference::Question {
        messages: question.messages.iter().cloned().map(Into::into).collect(),
        max_tokens: question.max_tokens,
        temperature: question.temperature,
        time_budget_ms: u32::try_from(question.within.as_millis()).unwrap_or(u32::MAX),
        expert: question.expert.clone(),
    };
    let answer = host::ask(&question)?;
    Ok(Answer {
        text: answer.text,
        expert: answer.expert,
        finish: answer.finish.into(),
        prompt_tokens: answer.prompt_tokens,
        completion_tokens: answer.completion_tokens,
    })
}
