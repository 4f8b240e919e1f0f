//! A terminal that one talks at: Ctrl-C ends a reply and not the conversation. Without a terminal, lines are
//! read as they come.

use std::{
    io::{self, BufRead, IsTerminal},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use anyhow::{Context, Result};
use signal_hook::{consts::SIGINT, flag};

use crate::output;

/// Lines of standard input.
pub(super) struct Lines {
    is_terminal: bool,
}

impl Lines {
    pub(super) fn open() -> Self {
        Self { is_terminal: io::stdin().is_terminal() }
    }

    /// Whether a person writes them.
    pub(super) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// The next line; `None` at the end.
    pub(super) fn next(&self) -> Result<Option<String>> {
        if self.is_terminal {
            output::err(format_args!("> "));
        }
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line);
        Ok((read.context("standard input can't be read")? > 0).then_some(line))
    }
}

/// Whether Ctrl-C was pressed.
pub(super) struct Interrupt(Option<Arc<AtomicBool>>);

impl Interrupt {
    /// Ctrl-C ends the program, as ever.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// While a reply comes, Ctrl-C is noticed here; pressed once more before anybody has looked, it ends
    /// the program.
    pub(super) fn watch() -> Result<Self> {
        let pressed = Arc::<AtomicBool>::default();
        let watched = flag::register_conditional_default(SIGINT, pressed.clone())
            .and_then(|_| flag::register(SIGINT, pressed.clone()));
        watched.context("Ctrl-C can't be watched for")?;
        Ok(Self(Some(pressed)))
    }

    /// Whether it was since the last time.
    pub(super) fn take(&self) -> bool {
        self.0.as_ref().is_some_and(|pressed| pressed.swap(false, Relaxed))
    }
}
