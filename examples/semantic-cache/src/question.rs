//! A question as it is compared with others.

use signalbox_sdk::{
    config,
    embeddings::{self, Owner, cosine},
    log,
};

/// A question by its meaning, and by what meaning does not tell.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Question {
    pub(crate) vector: Vec<f32>,
    /// Its numbers and other words with more than letters: vectors hardly tell 16 from 17.
    pub(crate) exact: String,
}

impl Question {
    pub(crate) fn new(text: &str, vector: Vec<f32>) -> Self {
        let is_plain =
            |word: &&str| word.chars().all(|c| c.is_alphabetic() || ",;.?!'\"".contains(c));
        let exact: Vec<&str> = text.split_whitespace().filter(|word| !is_plain(word)).collect();
        Self { vector, exact: exact.join(" ") }
    }

    /// How near another one is; `None` where they differ in what must not.
    pub(crate) fn near(&self, other: &Self) -> Option<f32> {
        let same = self.exact == other.exact && self.vector.len() == other.vector.len();
        same.then(|| cosine(&self.vector, &other.vector))
    }
}

/// The question as it is compared; the host still knows its vector when the answer is there.
pub(crate) fn of(text: &str) -> Option<Question> {
    let encoder = config::get("embedding-expert");
    let vectors = embeddings::embed(&[text], Owner::Caller, encoder.as_deref());
    let vectors = vectors.map_err(|error| log::debug(format_args!("nothing is near: {error}")));
    Some(Question::new(text, vectors.ok()?.pop()?))
}
