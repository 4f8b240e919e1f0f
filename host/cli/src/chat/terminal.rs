//! A terminal that one talks at: lines with editing and a history, and Ctrl-C ends a reply and not the
//! conversation. Without a terminal, lines are read as they come.

use std::{
    io::{self, BufRead, IsTerminal},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use anyhow::{Context, Result};
use rustyline::{Behavior, Config, DefaultEditor, error::ReadlineError};
use signal_hook::{consts::SIGINT, flag};

use crate::output::complain;

/// Lines that a person can go back to with the arrow keys; they are forgotten at the end.
const HISTORY_LINES: usize = 1000;

/// Lines of standard input.
pub(super) enum Lines {
    Terminal(Box<DefaultEditor>),
    Piped,
}

impl Lines {
    pub(super) fn open() -> Result<Self> {
        if !io::stdin().is_terminal() {
            return Ok(Self::Piped);
        }
        // The prompt goes to the terminal itself, so that a reply can be piped on.
        let config = Config::builder()
            .behavior(Behavior::PreferTerm)
            .auto_add_history(true)
            .max_history_size(HISTORY_LINES)
            .context("no history can be kept")?;
        let editor = DefaultEditor::with_config(config.build());
        Ok(Self::Terminal(Box::new(editor.context("the terminal can't be used")?)))
    }

    /// Whether a person writes them.
    pub(super) fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal(_))
    }

    /// The next line; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<String>> {
        let unreadable = "standard input can't be read";
        match self {
            Self::Terminal(editor) => match editor.readline("> ") {
                Ok(line) => Ok(Some(line)),
                Err(ReadlineError::Eof) => Ok(None),
                // Ctrl-C drops the line that is being written.
                Err(ReadlineError::Interrupted) => {
                    complain!("Ctrl-D or /bye ends.");
                    Ok(Some(String::new()))
                }
                Err(error) => Err(error).context(unreadable),
            },
            Self::Piped => {
                let mut line = String::new();
                let read = io::stdin().lock().read_line(&mut line);
                Ok((read.context(unreadable)? > 0).then_some(line))
            }
        }
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
