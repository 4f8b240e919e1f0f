//! Sections that guard: what is mistyped or doubled there would leave a door open, so it is a mistake.

use super::nearest::nearest;

const GUARDS: [&str; 3] = ["access", "admin", "policies"];
/// Other words for them, and keys of theirs one level too high.
const MEANT: [&str; 6] = ["access_keys", "auth", "components", "keys", "pipeline", "policy"];

/// Whether a key of the section at `path` that is unknown or doubled may have been meant to shut a door: in a
/// section that guards, or as one.
pub(super) fn guards(path: &str, key: &str) -> bool {
    match path {
        "" => {
            let meant = GUARDS.into_iter().chain(MEANT);
            nearest(&key.to_ascii_lowercase(), meant).is_some()
        }
        path => GUARDS.iter().any(|guard| path.split(['.', '[']).next() == Some(guard)),
    }
}
