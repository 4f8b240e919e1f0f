//! Why there is no prompt.

use std::fmt;

/// Why there is no prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The template does not accept these messages; its own words.
    Raised(String),
    /// The template is wrong, or missing: what and where.
    Failed(String),
    /// It takes more memory, time or depth than it may.
    Unbounded(String),
    /// The prompt would be longer than any.
    TooLong {
        /// Bytes a prompt may have.
        bytes_max: u64,
    },
    /// There is no process to render in now.
    Unavailable(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Raised(words) | Self::Failed(words) => f.write_str(words),
            Self::Unbounded(words) | Self::Unavailable(words) => f.write_str(words),
            Self::TooLong { bytes_max } => {
                write!(f, "the template writes more than {bytes_max} bytes")
            }
        }
    }
}
