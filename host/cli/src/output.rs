//! What the process prints, and the promise that printing never ends or holds up a serving host.
//!
//! A command prints straight to its streams and fails when what it was asked for can't be written
//! (`signalbox check > /dev/full`). A serving process hands its lines to one thread per stream: a
//! full disk, a closed pipe or a reader that does not read costs lines, which are counted, and
//! nothing else.

use std::{
    fmt,
    fs::File,
    io::{self, ErrorKind, Write},
    os::fd::AsFd,
    panic::{self, PanicHookInfo},
    sync::{Arc, OnceLock},
    thread,
    time::Duration,
};

use signalbox_confine::{LINE_BYTES, clean, clean_lines};
use tracing_subscriber::fmt::{
    format::Writer,
    time::{FormatTime, SystemTime},
};

mod outlet;

use outlet::Outlet;

/// At the end of a serving process, time for lines that wait for a slow reader.
const FAREWELL: Duration = Duration::from_millis(500);

/// The streams of a serving process.
static DETACHED: OnceLock<Detached> = OnceLock::new();
/// The first thing that went wrong on the standard output of a command.
static FAILED: OnceLock<String> = OnceLock::new();

struct Detached {
    out: Arc<Outlet>,
    err: Arc<Outlet>,
}

/// Prints a line on standard error. Nobody is left to report to when that fails.
macro_rules! complain {
    ($($part:tt)*) => { $crate::output::err(format_args!("{}\n", format_args!($($part)*))) };
}
pub(crate) use complain;

/// Writes to standard output. Whoever's words are in the text, they move no cursor.
pub(crate) fn out(text: fmt::Arguments<'_>) {
    let text = clean_lines(&text.to_string());
    if let Some(streams) = DETACHED.get() {
        return streams.out.put(text.as_bytes());
    }
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // A reader that went away has what it wanted: `signalbox ... | head`.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            FAILED.get_or_init(|| error.to_string());
        }
        _ => {}
    }
}

/// Writes to standard error, as [`out`].
pub(crate) fn err(text: fmt::Arguments<'_>) {
    let text = clean_lines(&text.to_string());
    match DETACHED.get() {
        Some(streams) => streams.err.put(text.as_bytes()),
        // There is no third stream to say it on.
        None => drop(io::stderr().lock().write_all(text.as_bytes())),
    }
}

/// From now on nothing that this process prints can hold it up, panic messages included.
///
/// # Errors
/// Threads that can't be started.
pub(crate) fn detach() -> io::Result<()> {
    if DETACHED.get().is_some() {
        return Ok(());
    }
    let out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let err = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let streams = Detached {
        out: Outlet::start("write stdout", out)?,
        err: Outlet::start("write stderr", err)?,
    };
    if DETACHED.set(streams).is_ok() {
        panic::set_hook(Box::new(report_panic));
    }
    Ok(())
}

/// Where the log goes: one line for each call of `write`.
pub(crate) struct Log;

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match DETACHED.get() {
            Some(streams) => streams.err.put(line),
            None => drop(io::stderr().lock().write_all(line)),
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lets what was printed arrive, for a bounded time. The error says what did not.
pub(crate) fn close() -> Result<(), &'static str> {
    if let Some(streams) = DETACHED.get() {
        streams.out.flush(FAREWELL);
        streams.err.flush(FAREWELL);
    }
    FAILED.get().map_or(Ok(()), |problem| Err(problem.as_str()))
}

/// A panic as a line of the log. It does not go through the subscriber, which may be what panicked.
fn report_panic(panic: &PanicHookInfo<'_>) {
    let mut time = String::new();
    // The wall clock can be formatted, or the line goes without it.
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    let thread = thread::current();
    let name = thread.name().unwrap_or("without a name");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let words = panic.payload_as_str().unwrap_or("it panicked without a word");
    let line = format!("thread '{name}' panicked at {place}: {words}");
    err(format_args!("{time} ERROR panic: {}\n", clean(&line, 4 * LINE_BYTES)));
}
