//! Messages for the people who run the host.
//!
//! ```
//! signalbox_sdk::log::info("starting");
//! signalbox_sdk::log::warn(format_args!("{} is a lot", 3));
//! ```

use std::fmt::Display;

use crate::host;
pub use crate::level::Level;

/// Leaves a message.
pub fn log(level: Level, message: impl Display) {
    host::log(level.into(), "", &message.to_string());
}

/// Leaves a message for finding a fault.
pub fn debug(message: impl Display) {
    log(Level::Debug, message);
}

/// Leaves a message worth knowing.
pub fn info(message: impl Display) {
    log(Level::Info, message);
}

/// Leaves a message worth looking into.
pub fn warn(message: impl Display) {
    log(Level::Warn, message);
}

/// Leaves a message that something failed.
pub fn error(message: impl Display) {
    log(Level::Error, message);
}
