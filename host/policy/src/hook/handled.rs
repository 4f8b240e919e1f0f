//! What a `pre` policy made of a call.

use crate::edits::Edits;

/// What a `pre` policy made of a call.
pub(crate) enum Handled {
    /// Go on with these edits made.
    Proceed(Box<Edits>),
    /// The policy answers by itself.
    Answer(String),
}
