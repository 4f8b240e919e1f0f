//! Messages for the people who run the host.
//!
//! ```
//! signalbox_sdk::log::info("starting");
//! signalbox_sdk::log::warn(format_args!("{} is a lot", 3));
//! ```

use std::fmt::Display;

use crate::bindings::wasi::logging::logging;
use crate::host;

/// How serious a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For following every step.
    Trace,
    /// For finding a fault.
    Debug,
    /// Worth knowing.
    Info,
    /// Worth looking into.
    Warn,
    /// Something failed.
    Error,
}

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

impl From<Level> for logging::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Trace => Self::Trace,
            Level::Debug => Self::Debug,
            Level::Info => Self::Info,
            Level::Warn => Self::Warn,
            Level::Error => Self::Error,
        }
    }
}
