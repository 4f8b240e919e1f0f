//! The parent's side: starting a child under limits, asking it, and saying in plain words how it
//! failed.

use std::{
    ffi::OsString,
    io::{self, Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream, unix::process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{LINE_BYTES, clean};

/// What the system calls the program that runs, whatever lies at its path by now.
const RUNNING_PROGRAM: &str = "/proc/self/exe";
/// Bytes of a crashed child's last words that are read.
const LAST_WORDS_BYTES: u64 = 4096;
/// After its stream ended, time for a child to end by itself before it is killed.
const GOODBYE: Duration = Duration::from_secs(1);
/// Between two looks whether it has.
const LOOK: Duration = Duration::from_millis(2);

/// A program that calls [`serve`](crate::serve) when it is started with these arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
}

impl Program {
    /// A program by its path.
    pub fn new(path: impl Into<PathBuf>, arguments: impl IntoIterator<Item = OsString>) -> Self {
        Self { path: path.into(), arguments: arguments.into_iter().collect() }
    }

    /// The running program itself, so that parent and child are always of one version, even after
    /// the file was replaced by an upgrade.
    ///
    /// # Errors
    /// The system does not say where the program lies.
    pub fn this(arguments: impl IntoIterator<Item = OsString>) -> io::Result<Self> {
        let running = Path::new(RUNNING_PROGRAM);
        let path = match running.exists() {
            true => running.to_owned(),
            false => std::env::current_exe()?,
        };
        Ok(Self::new(path, arguments))
    }
}

/// What a child may use. All of it ends the child; the host goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Address space of the child, its code included, in bytes.
    pub memory_bytes: u64,
    /// Processor time of one request, rounded up to whole seconds.
    pub cpu: Duration,
    /// Wall clock of one request, for a child that waits instead of computing.
    pub wall: Duration,
    /// Bytes of one answer.
    pub answer_bytes: u64,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The work itself says no; the words are its own.
    #[error("{0}")]
    Refused(String),
    /// More memory than it may have.
    #[error("it needs more than {} MiB of memory", limit_bytes >> 20)]
    Memory {
        /// Bytes it may have.
        limit_bytes: u64,
    },
    /// More time than it may take.
    #[error("it takes more than {} s", limit.as_secs_f64())]
    Time {
        /// Time it may take.
        limit: Duration,
    },
    /// A larger answer than it may give.
    #[error("its answer has more than {limit_bytes} bytes")]
    Answer {
        /// Bytes it may answer with.
        limit_bytes: u64,
    },
    /// Deeper recursion than its stack holds.
    #[error("it nests too deeply")]
    Depth,
    /// Somebody else ended it: the system, for want of memory, or an operator. Passes by itself.
    #[error("its process was killed from outside; is the machine out of memory?")]
    Killed,
    /// It crashed, and what it said.
    #[error("it crashed: {0}")]
    Crashed(String),
    /// No child could be started, for want of processes, descriptors or memory. Passes by itself.
    #[error("no process to do it in: {0}")]
    NotStarted(String),
}

/// A child process that answers one request after the other. Ends when dropped.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    stream: UnixStream,
    bounds: Bounds,
}

impl Worker {
    /// Starts a child; it inherits nothing but its two streams.
    ///
    /// # Errors
    /// [`Failure::NotStarted`].
    pub fn start(program: &Program, bounds: Bounds) -> Result<Self, Failure> {
        let not_started = |error: io::Error| Failure::NotStarted(error.to_string());
        let (ours, theirs) = UnixStream::pair().map_err(not_started)?;
        let output = theirs.try_clone().map_err(not_started)?;
        let child = Command::new(&program.path)
            .args(&program.arguments)
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(OwnedFd::from(output)))
            .stderr(Stdio::piped())
            .spawn()
            .map_err(not_started)?;
        let mut worker = Self { child, stream: ours, bounds };
        let hello = [bounds.memory_bytes, bounds.cpu.as_secs_f64().ceil() as u64];
        let sent = hello.iter().try_for_each(|word| worker.stream.write_all(&word.to_le_bytes()));
        sent.map_err(not_started)?;
        Ok(worker)
    }

    /// Asks, and waits for the answer. After any failure but [`Failure::Refused`] the child is
    /// gone, and so is every later answer.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub fn ask(&mut self, request: &[u8]) -> Result<Vec<u8>, Failure> {
        let until = Instant::now() + self.bounds.wall;
        match self.exchange(request, until) {
            Ok(answer) => answer,
            Err(Broken::Late) => {
                self.end();
                Err(Failure::Time { limit: self.bounds.wall })
            }
            Err(Broken::TooLong) => {
                self.end();
                Err(Failure::Answer { limit_bytes: self.bounds.answer_bytes })
            }
            Err(Broken::Gone) => Err(self.why_it_ended()),
        }
    }

    fn exchange(
        &mut self,
        request: &[u8],
        until: Instant,
    ) -> Result<Result<Vec<u8>, Failure>, Broken> {
        self.send(&(request.len() as u64).to_le_bytes(), until)?;
        self.send(request, until)?;
        let mut head = [0; 9];
        self.receive(&mut head, until)?;
        let [refused, length @ ..] = head;
        let length = u64::from_le_bytes(length);
        if length > self.bounds.answer_bytes {
            return Err(Broken::TooLong);
        }
        let mut answer = vec![0; length as usize];
        self.receive(&mut answer, until)?;
        Ok(match refused {
            0 => Ok(answer),
            _ => Err(Failure::Refused(String::from_utf8_lossy(&answer).into_owned())),
        })
    }

    fn send(&mut self, mut bytes: &[u8], until: Instant) -> Result<(), Broken> {
        while !bytes.is_empty() {
            self.stream.set_write_timeout(Some(left(until)?)).map_err(|_| Broken::Gone)?;
            match self.stream.write(bytes) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(error) => goes_on(&error)?,
            }
        }
        Ok(())
    }

    fn receive(&mut self, mut into: &mut [u8], until: Instant) -> Result<(), Broken> {
        while !into.is_empty() {
            self.stream.set_read_timeout(Some(left(until)?)).map_err(|_| Broken::Gone)?;
            match self.stream.read(into) {
                Ok(0) => return Err(Broken::Gone),
                Ok(read) => into = &mut into[read..],
                Err(error) => goes_on(&error)?,
            }
        }
        Ok(())
    }

    /// Reads from a dead child's status and last words what it died of.
    fn why_it_ended(&mut self) -> Failure {
        let status = self.ended();
        let mut words = Vec::new();
        if let Some(stderr) = self.child.stderr.take() {
            // A child that could not even be read is known by its status.
            let _ = stderr.take(LAST_WORDS_BYTES).read_to_end(&mut words);
        }
        let words = String::from_utf8_lossy(&words);
        self.failure(status, words.trim())
    }

    fn failure(&self, status: Option<ExitStatus>, words: &str) -> Failure {
        let signal = status.and_then(|status| status.signal());
        let is = |known: rustix::process::Signal| signal == Some(known.as_raw());
        if is(rustix::process::Signal::XCPU) {
            return Failure::Time { limit: self.bounds.cpu };
        }
        if words.contains("has overflowed its stack") {
            return Failure::Depth;
        }
        if ran_out_of_memory(words) {
            return Failure::Memory { limit_bytes: self.bounds.memory_bytes };
        }
        if is(rustix::process::Signal::KILL) {
            return Failure::Killed;
        }
        let status = status.map_or_else(|| "it had to be killed".into(), |s| s.to_string());
        let said = if words.is_empty() { String::new() } else { format!("; it said: {words}") };
        Failure::Crashed(clean(&format!("{status}{said}"), LINE_BYTES))
    }

    /// How the child ended; `None` when it had to be killed.
    fn ended(&mut self) -> Option<ExitStatus> {
        let until = Instant::now() + GOODBYE;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < until => thread::sleep(LOOK),
                _ => break,
            }
        }
        self.end();
        None
    }

    fn end(&mut self) {
        // Both fail only for a child that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}

/// Why an exchange stopped in the middle.
enum Broken {
    Late,
    TooLong,
    Gone,
}

fn left(until: Instant) -> Result<Duration, Broken> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(Broken::Late) } else { Ok(left) }
}

/// Whether an error is none: a timeout is found by the clock, before the next try.
fn goes_on(error: &io::Error) -> Result<(), Broken> {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    match error.kind() {
        Interrupted | TimedOut | WouldBlock => Ok(()),
        _ => Err(Broken::Gone),
    }
}

/// The words of Rust's allocator, of a mapping that failed, and of a thread without a stack.
fn ran_out_of_memory(words: &str) -> bool {
    ["memory allocation of", "Cannot allocate memory", "out of memory"]
        .iter()
        .any(|sign| words.contains(sign))
}
