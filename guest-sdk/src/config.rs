//! Settings that the operator gave to this policy.

use std::fmt::Display;
use std::str::FromStr;

use crate::{host, log};

/// The value of `key`, or `None` when the operator did not set it.
///
/// A host that cannot read its settings is logged as a warning and reads as `None`.
pub fn get(key: &str) -> Option<String> {
    host::get(key).unwrap_or_else(|error| {
        log::warn(format_args!("setting '{key}' could not be read: {error}"));
        None
    })
}

/// The value of `key` as a `T`, or `default` when the operator did not set it.
///
/// A value that is not a `T` is logged as a warning, and `default` is used.
///
/// ```
/// use signalbox_sdk::{config, testing};
///
/// testing::set_config("limit", "12");
/// assert_eq!(config::parse("limit", 100), 12);
/// assert_eq!(config::parse("absent", 100), 100);
/// ```
pub fn parse<T: FromStr<Err: Display>>(key: &str, default: T) -> T {
    let Some(text) = get(key) else { return default };
    text.trim().parse().unwrap_or_else(|error| {
        log::warn(format_args!("setting '{key}' is '{text}' ({error}); using the default"));
        default
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_value_that_does_not_parse_is_said_and_replaced() {
        testing::set_config("limit", "many");
        assert_eq!(parse("limit", 7), 7);
        let [(log::Level::Warn, line)] = &testing::logs()[..] else { panic!("one warning") };
        assert!(
            line.contains("'limit' is 'many'") && line.ends_with("using the default"),
            "{line}"
        );
    }
}
