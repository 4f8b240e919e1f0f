//! The log of one instance: how many lines it may have, and the last words of a panic on stderr.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

/// Longest log line, in bytes; the rest is cut.
const LINE_BYTES: usize = 2048;
/// What is kept of stdout and stderr together, in bytes.
const TAIL_BYTES: usize = 1024;
/// What a guest may write to stdout or stderr at once, in bytes.
const WRITE_BYTES: usize = 4096;

/// The log of one instance.
pub(crate) struct Log {
    lines_left: u64,
    tail: Tail,
}

impl Log {
    /// A log that takes `lines` lines.
    pub(crate) fn new(lines: u64) -> Self {
        Self { lines_left: lines, tail: Tail::default() }
    }

    /// Where the guest's stdout and stderr go.
    pub(crate) fn stream(&self) -> impl StdoutStream + 'static {
        self.tail.clone()
    }

    /// The end of what the guest wrote to stdout and stderr, on one line; of a Rust panic without
    /// the advice to set a variable.
    pub(crate) fn stderr(&self) -> String {
        let bytes = self.tail.bytes();
        let text = String::from_utf8_lossy(&bytes);
        let text = text.split("note: run with `RUST_BACKTRACE").next().unwrap_or_default();
        one_line(text.trim())
    }

    /// Whether one more line may be written.
    pub(crate) fn take_line(&mut self) -> bool {
        let left = self.lines_left.checked_sub(1);
        self.lines_left = left.unwrap_or(0);
        left.is_some()
    }
}

/// Cut to a line's length and without control characters, so that no policy forges log lines.
pub(crate) fn one_line(text: &str) -> String {
    let cut = &text[..text.floor_char_boundary(LINE_BYTES)];
    cut.replace(|c: char| c.is_control(), " ")
}

/// The last bytes written.
#[derive(Clone, Default)]
struct Tail(Arc<Mutex<Vec<u8>>>);

impl Tail {
    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl IsTerminal for Tail {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Tail {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Tail {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(&bytes);
        let excess = kept.len().saturating_sub(TAIL_BYTES);
        kept.drain(..excess);
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
impl Pollable for Tail {
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_stderr_is_kept_on_one_line() {
        let log = Log::new(0);
        let mut stream = log.tail.clone();
        stream.write(Bytes::from("x".repeat(5000))).unwrap();
        stream
            .write(Bytes::from(
                "\npanicked at src/lib.rs\nboom\nnote: run with `RUST_BACKTRACE=1` x",
            ))
            .unwrap();
        assert!(log.stderr().ends_with("xx panicked at src/lib.rs boom"), "{}", log.stderr());
        assert!(log.stderr().len() <= TAIL_BYTES);
    }

    #[test]
    fn lines_are_counted_down() {
        let mut log = Log::new(2);
        assert_eq!([log.take_line(), log.take_line(), log.take_line()], [true, true, false]);
    }

    #[test]
    fn a_line_is_one_line_and_cut_between_characters() {
        assert_eq!(one_line("a\nb\tc"), "a b c");
        assert_eq!(one_line(&"é".repeat(LINE_BYTES)).len(), LINE_BYTES);
    }
}
