//! Threads, signals and logs of a serving process; the one place where its cores are shared out.
//!
//! - Experts compute on threads of their own, which the engine starts.
//! - Policies compile in child processes; two threads of the policy runtime wait for them.
//! - Policies run on [`policy_workers`] threads, which the policy runtime starts: a quarter of the
//!   cores, so that decoding keeps the rest and a guest that loops holds up nobody's request.
//! - What is left, moving bytes, shares [`workers`] async threads: a quarter of the cores.
//! - Short blocking work (reading a tokenizer, writing a revision) has at most
//!   [`BLOCKING_THREADS_MAX`] threads, which mostly wait for a disk.

use std::{
    io::{self, IsTerminal},
    num::NonZero,
    process,
    sync::Mutex,
    thread,
    time::Duration,
};

use tokio::runtime::{Builder, Runtime};
use tracing_subscriber::EnvFilter;

use crate::{log_line::OneLine, output, term::say};

/// Fewer async threads would let one slow policy hold everybody up.
const WORKERS_MIN: usize = 2;
/// More async threads than this only move the same bytes.
const WORKERS_MAX: usize = 8;
/// More guests at once would take the memory bandwidth that decoding needs.
const POLICY_WORKERS_MAX: usize = 64;
/// Threads for short blocking work.
const BLOCKING_THREADS_MAX: usize = 32;
/// Threads of the async runtime, all kinds together.
pub(crate) const THREADS_MAX: usize = WORKERS_MAX + BLOCKING_THREADS_MAX;
/// Threads for short blocking work stay: the runtime panics when it needs the first one and the system
/// gives none.
const BLOCKING_KEPT: Duration = Duration::from_secs(365 * 24 * 3600);
/// Time for the runtime to start all its threads.
const START_MAX: Duration = Duration::from_secs(10);
/// Exit code of a process that a second signal stopped.
const FORCED: i32 = 1;

/// Async threads for this many cores.
fn workers(cores: usize) -> usize {
    (cores / 4).clamp(WORKERS_MIN, WORKERS_MAX)
}

/// Guests that run at once on this machine.
pub(crate) fn policy_workers() -> usize {
    (cores() / 4).clamp(1, POLICY_WORKERS_MAX)
}

/// The async runtime of a serving process.
///
/// # Errors
/// Threads that can't be started.
pub(crate) fn start() -> io::Result<Runtime> {
    let build = || {
        Builder::new_multi_thread()
            .worker_threads(workers(cores()))
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .thread_keep_alive(BLOCKING_KEPT)
            .thread_name("signalbox-io")
            .enable_all()
            .build()
    };
    let refused = |_| io::Error::other("the system gives too few; raise `ulimit -u`");
    // With too few threads it panics and waits for ever for those that it did get.
    rehearse(workers(cores()) + 1).map_err(refused)?;
    let runtime = build()?;
    let first = runtime.spawn_blocking(|| ());
    match runtime.block_on(async { tokio::time::timeout(START_MAX, first).await }) {
        Ok(Ok(())) => Ok(runtime),
        _ => {
            runtime.shutdown_background();
            Err(refused(io::ErrorKind::TimedOut.into()))
        }
    }
}

/// Whether the system gives so many threads at once: starts them, and lets them go.
fn rehearse(count: usize) -> io::Result<()> {
    let gate = Mutex::new(());
    thread::scope(|scope| {
        let closed = gate.lock();
        let wait = || drop(gate.lock());
        let start = |_| thread::Builder::new().spawn_scoped(scope, wait).map(drop);
        let started = (0..count).try_for_each(start);
        drop(closed);
        started
    })
}

/// Cores that this process may use.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Begins to log on standard error, without ever waiting for it. `RUST_LOG` overrules `level`.
///
/// # Errors
/// Threads that can't be started.
pub(crate) fn log(level: &str) -> io::Result<()> {
    output::detach()?;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .fmt_fields(OneLine)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(|| output::Log)
        // Its complaints about the writer would go to the same stream, by a macro that panics.
        .log_internal_errors(false);
    // A second host in one process (tests do that) keeps the first one's log.
    let _ = log.try_init();
    Ok(())
}

/// Keeps signals from ending the process that ask for nothing it could do: SIGHUP does nothing before the host serves
/// (`reload`), SIGXFSZ says that a log file is at its limit. Each is logged once. Needs the runtime.
///
/// SIGPIPE is ignored by every Rust program; SIGQUIT and what stops or continues a job keep their
/// meaning.
#[cfg(unix)]
pub(crate) fn ignore_signals() {
    use rustix::process::Signal;
    for (name, number) in [
        ("SIGHUP", Signal::HUP),
        ("SIGUSR1", Signal::USR1),
        ("SIGUSR2", Signal::USR2),
        ("SIGXFSZ", Signal::XFSZ),
        ("SIGALRM", Signal::ALARM),
        ("SIGVTALRM", Signal::VTALARM),
        ("SIGPROF", Signal::PROF),
    ] {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::from_raw(number.as_raw())) {
            Ok(mut received) => drop(tokio::spawn(async move {
                if received.recv().await.is_some() {
                    tracing::info!("{name} ends nothing here");
                }
                while received.recv().await.is_some() {}
            })),
            Err(error) => tracing::warn!(%error, "{name} can't be ignored and would end the host"),
        }
    }
}

#[cfg(not(unix))]
pub(crate) fn ignore_signals() {}

/// Resolves at the first SIGINT or SIGTERM. The second one ends the process.
pub(crate) async fn asked_to_stop() {
    signal().await;
    say!("Stopping: running replies may finish. Once more stops at once.");
    tokio::spawn(async {
        signal().await;
        let _ = output::close();
        process::exit(FORCED);
    });
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        },
        // Without a handler SIGTERM keeps its default, which also stops the process.
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

#[cfg(not(unix))]
async fn signal() {
    drop(tokio::signal::ctrl_c().await);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_keeps_most_cores() {
        for (cores, expect) in [(1, 2), (2, 2), (16, 4), (32, 8), (128, 8)] {
            assert_eq!(workers(cores), expect, "{cores}");
        }
    }
}
