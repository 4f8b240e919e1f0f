//! Vectors of texts, made by an expert of the host's: what is near in meaning has vectors of a large [`cosine`].
//!
//! Of a long text the beginning is read, and there is a bound on the texts of one call (`policies.limits.embedding_texts`,
//! `.embedding_bytes`, `.embedding_tokens`). Models that want words before a text (`query: `, `passage: `) get them by
//! the policy writing them. A policy that is probed or tested has nobody to ask, so have a way to go on without.
//!
//! ```
//! use signalbox_sdk::{embeddings::{self, Owner}, testing};
//!
//! testing::set_vectors(|text| vec![text.len() as f32, 1.0]);
//! let vectors = embeddings::embed(&["a", "b", "long text"], Owner::Policy, None)?;
//! assert!(embeddings::cosine(&vectors[0], &vectors[1]) > embeddings::cosine(&vectors[0], &vectors[2]));
//! # Ok::<(), embeddings::Error>(())
//! ```

use std::fmt;

use crate::bindings::signalbox::policy::embeddings;
use crate::host;

/// Whose words a text is. The host keeps vectors of callers' words for each caller apart, because how soon a vector is
/// there tells whether it was made before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The caller's, or made of them.
    Caller,
    /// The policy's own or the operator's.
    Policy,
}

/// Why there are no vectors.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// No expert that the caller may ask has this id.
    UnknownExpert(String),
    /// The expert makes no vectors, or none does.
    NoEmbeddingExpert(String),
    /// More than the operator lets a policy have embedded.
    TooLarge(String),
    /// The caller has spent what it may, or the time for experts is up.
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
            Self::NoEmbeddingExpert(why)
            | Self::TooLarge(why)
            | Self::OutOfBudget(why)
            | Self::Unavailable(why)
            | Self::Other(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Error {}

impl From<embeddings::Error> for Error {
    fn from(error: embeddings::Error) -> Self {
        match error {
            embeddings::Error::UnknownExpert(id) => Self::UnknownExpert(id),
            embeddings::Error::NoEmbeddingExpert(why) => Self::NoEmbeddingExpert(why),
            embeddings::Error::TooLarge(why) => Self::TooLarge(why),
            embeddings::Error::OutOfBudget(why) => Self::OutOfBudget(why),
            embeddings::Error::Unavailable(why) => Self::Unavailable(why),
            embeddings::Error::Other(why) => Self::Other(why),
        }
    }
}

/// A vector of the length 1 for each text, in their order. Without an expert, the one of highest priority that makes
/// vectors makes them.
///
/// # Errors
/// When there is no such expert, it can't be asked, or there is more than may be embedded.
pub fn embed(
    texts: &[impl AsRef<str>],
    words_of: Owner,
    expert: Option<&str>,
) -> Result<Vec<Vec<f32>>, Error> {
    let texts: Vec<String> = texts.iter().map(|text| text.as_ref().to_owned()).collect();
    let owner = match words_of {
        Owner::Caller => embeddings::Owner::Caller,
        Owner::Policy => embeddings::Owner::Policy,
    };
    Ok(host::embed(&texts, &owner, expert)?)
}

/// The cosine of two vectors of the length 1: 1 for the same, about 0 for what has nothing in common.
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
