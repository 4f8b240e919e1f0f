//! Notes about a call for operators.

use std::fmt::Display;

use crate::host;

/// Puts a label on the call in the decision log, whatever becomes of the call. No client reads it.
/// The host keeps a few dozen short ones and drops what is beyond.
pub fn annotate(key: &str, value: impl Display) {
    host::annotate(key, &value.to_string());
}
