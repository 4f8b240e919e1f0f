//! Why a pack file is not used.

use std::io;

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub(in crate::checkpoint) enum Unusable {
    /// There is none.
    #[error("is not there")]
    Missing,
    /// The operating system says no.
    #[error("can't be read: {0}")]
    Unreadable(io::Error),
    /// No pack file, or one of other machines or versions.
    #[error("is for another machine or version")]
    Foreign,
    /// Its checkpoint has changed since, or is another one.
    #[error("is of other weights")]
    Stale,
    /// Its bytes are not those that were written.
    #[error("is damaged")]
    Damaged,
}
