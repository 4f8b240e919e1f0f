//! The log of one instance: how many lines it may have, what becomes of its stdout and stderr, and the last words of
//! a panic there.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

use crate::PolicyRef;

/// Longest log line, in bytes; the rest is cut.
const LINE_BYTES: usize = 2048;
/// What is kept of stdout and stderr together, in bytes.
const TAIL_BYTES: usize = 1024;
/// What a guest may write to stdout or stderr at once, in bytes.
const WRITE_BYTES: usize = 4096;

/// The log of one instance. Clones are one log.
#[derive(Clone)]
pub(crate) struct Log(Arc<Shared>);

/// What its streams share.
struct Shared {
    lines_left: AtomicU64,
    /// The last bytes written to stdout and stderr.
    tail: Mutex<Vec<u8>>,
}

impl Log {
    /// A log that takes `lines` lines.
    pub(crate) fn new(lines: u64) -> Self {
        Self(Arc::new(Shared { lines_left: AtomicU64::new(lines), tail: Mutex::default() }))
    }

    /// Where the guest's stdout goes: into the log, line by line.
    pub(crate) fn stdout(&self, policy: &PolicyRef) -> impl StdoutStream + 'static {
        self.stream(policy, |policy, line| tracing::info!(target: "policy", policy, "{line}"))
    }

    /// The same for stderr, which is for what went wrong.
    pub(crate) fn stderr(&self, policy: &PolicyRef) -> impl StdoutStream + 'static {
        self.stream(policy, |policy, line| tracing::warn!(target: "policy", policy, "{line}"))
    }

    fn stream(&self, policy: &PolicyRef, write: fn(&str, &str)) -> Stream {
        let (policy, log) = (policy.to_string(), self.0.clone());
        Stream(Arc::new(Lines { policy, write, log, begun: Mutex::default() }))
    }

    /// The end of what the guest wrote to stdout and stderr, on one line; of a Rust panic without
    /// the advice to set a variable.
    pub(crate) fn last_words(&self) -> String {
        let bytes = self.0.tail.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let text = String::from_utf8_lossy(&bytes);
        let text = text.split("note: run with `RUST_BACKTRACE").next().unwrap_or_default();
        one_line(text.trim())
    }

    /// Whether one more line may be written.
    pub(crate) fn take_line(&self) -> bool {
        self.0.take_line()
    }
}

impl Shared {
    fn take_line(&self) -> bool {
        let one_less = |left: u64| left.checked_sub(1);
        self.lines_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    }

    fn keep(&self, bytes: &[u8]) {
        let mut kept = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(bytes);
        let excess = kept.len().saturating_sub(TAIL_BYTES);
        kept.drain(..excess);
    }
}

/// Cut to a line's length and without control characters, so that no policy forges log lines.
pub(crate) fn one_line(text: &str) -> String {
    let cut = &text[..text.floor_char_boundary(LINE_BYTES)];
    cut.replace(|c: char| c.is_control(), " ")
}

/// Stdout or stderr. Clones are one stream.
#[derive(Clone)]
struct Stream(Arc<Lines>);

/// What is written to a stream becomes lines of the log.
struct Lines {
    policy: String,
    write: fn(&str, &str),
    log: Arc<Shared>,
    /// A line whose end is still to come, as much of it as a line may have.
    begun: Mutex<Vec<u8>>,
}

impl Lines {
    fn take(&self, bytes: &[u8]) {
        self.log.keep(bytes);
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            let room = LINE_BYTES.saturating_sub(begun.len());
            begun.extend_from_slice(&text[..text.len().min(room)]);
            if text.len() < part.len() {
                self.end(&mut begun);
            }
        }
    }

    /// Empty lines are for terminals.
    fn end(&self, begun: &mut Vec<u8>) {
        let line = one_line(String::from_utf8_lossy(begun).trim_end());
        begun.clear();
        if !line.is_empty() && self.log.take_line() {
            (self.write)(&self.policy, &line);
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        self.end(&mut begun);
    }
}

impl IsTerminal for Stream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Stream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}

#[async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> PolicyRef {
        PolicyRef { name: "p".into(), revision: "0123456789abcdef".into() }
    }

    #[test]
    fn the_end_of_stderr_is_kept_on_one_line() {
        let log = Log::new(0);
        let stream = log.stream(&policy(), |_, _| {});
        stream.0.take("x".repeat(5000).as_bytes());
        stream.0.take(b"\npanicked at src/lib.rs\nboom\nnote: run with `RUST_BACKTRACE=1` x");
        let words = log.last_words();
        assert!(words.ends_with("xx panicked at src/lib.rs boom"), "{words}");
        assert!(words.len() <= TAIL_BYTES);
    }

    #[test]
    fn what_is_written_becomes_lines_of_the_log() {
        static WRITTEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
        let log = Log::new(4);
        let stream = log.stream(&policy(), |policy, line| {
            WRITTEN.lock().unwrap().push(format!("{policy} {line}"));
        });
        for part in ["one\n\ntw", "o\nthree \x1b[31m\n", "begun", " and cut off"] {
            stream.0.take(part.as_bytes());
        }
        drop(stream);
        let written = std::mem::take(&mut *WRITTEN.lock().unwrap());
        assert_eq!(
            written,
            [
                "p@0123456789ab one",
                "p@0123456789ab two",
                "p@0123456789ab three  [31m",
                "p@0123456789ab begun and cut off"
            ]
        );
        assert!(!log.take_line(), "they count as lines of the log");
    }

    #[test]
    fn a_flood_without_line_breaks_takes_no_memory() {
        let log = Log::new(1);
        let stream = log.stream(&policy(), |_, line| assert_eq!(line.len(), LINE_BYTES));
        for _ in 0..1000 {
            stream.0.take(&[b'x'; WRITE_BYTES]);
        }
        assert!(stream.0.begun.lock().unwrap().capacity() <= 2 * LINE_BYTES);
    }

    #[test]
    fn lines_are_counted_down() {
        let log = Log::new(2);
        assert_eq!([log.take_line(), log.take_line(), log.take_line()], [true, true, false]);
    }

    #[test]
    fn a_line_is_one_line_and_cut_between_characters() {
        assert_eq!(one_line("a\nb\tc"), "a b c");
        assert_eq!(one_line(&"é".repeat(LINE_BYTES)).len(), LINE_BYTES);
    }
}
