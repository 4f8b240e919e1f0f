//! What goes over the pipe to a child that renders, and the child's side of it.

use std::{borrow::Cow, io};

use serde::{Deserialize, Serialize};
use signalbox_confine::Failure;

use super::{Problem, Shown, TokenNames, jinja::Jinja};

/// An order to a child.
#[derive(Serialize, Deserialize)]
pub(super) enum Order<'a> {
    /// Say that it is there.
    Report,
    /// Compile the one template it will render.
    Compile { source: Cow<'a, str>, names: Cow<'a, TokenNames>, output_bytes_max: u64 },
    /// Render that template.
    Render { shown: Cow<'a, Shown> },
}

/// What stands before an answer's text, and says what it is.
const PROMPT: u8 = b'p';
const RAISED: u8 = b'r';
const FAILED: u8 = b'f';
const UNBOUNDED: u8 = b'u';
const TOO_LONG: u8 = b'l';

impl Order<'_> {
    /// As it goes over the pipe.
    pub(super) fn encode(&self) -> Result<Vec<u8>, Problem> {
        serde_json::to_vec(self).map_err(|error| Problem::Failed(error.to_string()))
    }
}

/// The whole program of a child that renders chat templates: answers its parent on standard input and
/// output until the parent is gone.
///
/// # Errors
/// Limits that can't be set; streams that broke.
pub fn serve_template() -> io::Result<()> {
    let mut compiled = None;
    signalbox_confine::serve(|request| {
        let order = serde_json::from_slice(request).map_err(|error| error.to_string())?;
        Ok(answer(obey(order, &mut compiled)))
    })
}

fn obey(order: Order<'_>, compiled: &mut Option<Jinja>) -> Result<String, Problem> {
    match (order, compiled) {
        (Order::Report, _) => Ok(String::new()),
        (Order::Compile { source, names, output_bytes_max }, compiled) => {
            *compiled = Some(Jinja::compile(&source, &names, output_bytes_max)?);
            Ok(String::new())
        }
        (Order::Render { shown }, Some(template)) => template.render(&shown),
        (Order::Render { .. }, None) => Err(Problem::Failed("there is no template yet".into())),
    }
}

fn answer(outcome: Result<String, Problem>) -> Vec<u8> {
    let (tag, text) = match outcome {
        Ok(prompt) => (PROMPT, prompt),
        Err(Problem::Raised(words)) => (RAISED, words),
        Err(Problem::Unbounded(words)) => (UNBOUNDED, words),
        Err(Problem::TooLong { .. }) => (TOO_LONG, String::new()),
        Err(problem) => (FAILED, problem.to_string()),
    };
    let mut bytes = text.into_bytes();
    bytes.insert(0, tag);
    bytes
}

/// Reads what a child answered.
pub(super) fn read(answer: Vec<u8>, output_bytes_max: u64) -> Result<String, Problem> {
    let garbled = || Problem::Unavailable("its process answers nonsense".into());
    let mut text = String::from_utf8(answer).map_err(|_| garbled())?;
    if text.is_empty() {
        return Err(garbled());
    }
    let tag = text.remove(0);
    match u8::try_from(tag).unwrap_or_default() {
        PROMPT => Ok(text),
        RAISED => Err(Problem::Raised(text)),
        UNBOUNDED => Err(Problem::Unbounded(text)),
        TOO_LONG => Err(Problem::TooLong { bytes_max: output_bytes_max }),
        FAILED => Err(Problem::Failed(text)),
        _ => Err(garbled()),
    }
}

/// What a child's end means for the template it was at.
pub(super) fn judge(failure: Failure, output_bytes_max: u64) -> Problem {
    match failure {
        Failure::Refused(words) => Problem::Failed(words),
        Failure::Answer { .. } => Problem::TooLong { bytes_max: output_bytes_max },
        Failure::NotStarted(why) => Problem::Unavailable(why),
        died => Problem::Unbounded(died.to_string()),
    }
}
