//! Counting tokens as an expert counts them.

use std::fmt;

use crate::bindings::signalbox::policy::tokens;
use crate::host;

/// Why a count could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// No expert has this id.
    UnknownExpert(String),
    /// The expert's tokenizer can't be read, and why.
    Unavailable(String),
    /// A case newer than this SDK.
    Other(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownExpert(id) => write!(f, "no expert is called '{id}'"),
            Self::Unavailable(reason) => write!(f, "tokens can't be counted: {reason}"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Error {}

impl From<tokens::Error> for Error {
    fn from(error: tokens::Error) -> Self {
        match error {
            tokens::Error::UnknownExpert(id) => Self::UnknownExpert(id),
            tokens::Error::Unavailable(reason) => Self::Unavailable(reason),
            tokens::Error::Other(what) => Self::Other(what),
        }
    }
}

/// Tokens of `text` for `expert`; `None` means the highest-priority expert.
///
/// In native tests a token is a word.
///
/// # Errors
/// When no expert has that id, or its tokenizer can't be read.
pub fn count(text: &str, expert: Option<&str>) -> Result<u32, Error> {
    Ok(host::count(text, expert)?)
}
