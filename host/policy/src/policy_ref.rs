//! What a revision of a policy is called.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One revision of one policy. Displays as `name@` and the first 12 digits of the revision.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PolicyRef {
    /// The operator's name for the policy.
    pub name: String,
    /// sha256 of the component, 64 lowercase hex digits.
    pub revision: String,
}

impl fmt::Display for PolicyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.revision.get(..12).unwrap_or(&self.revision))
    }
}
