//! The `signalbox` command as a program.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on has failed")]

mod authors;
mod bench;
mod broken;
mod check;
mod deep;
mod documented;
mod eval;
#[cfg(unix)]
mod hostile;
mod named;
mod policies;
mod prepack;
mod scripted;
#[cfg(unix)]
mod serve;
#[cfg(unix)]
mod side;
mod surroundings;
