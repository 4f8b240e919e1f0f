//! Who writes the decision log down: a thread of its own behind a bounded queue. What does not fit into the queue, or
//! what the disk does not take, is dropped and counted.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{
    disk::Segments,
    rating::Rated,
    record::{self, Record},
    seen::Seen,
};
use crate::limits::{DECISION_QUEUE_BYTES_MAX, DECISION_QUEUE_MAX};

/// Between two tries to use a disk that could not be used, and two lines in the log about it.
const PAUSE: Duration = Duration::from_secs(5);

/// One decision, as a line has it.
#[derive(Serialize)]
pub(super) struct Entry {
    #[serde(serialize_with = "record::as_it_is")]
    pub(super) record: Arc<Record>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seen: Option<Box<Seen>>,
}

/// What is written: a decision, or what came to one later.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Line {
    Decision(Entry),
    Rating(Rated),
}

/// What became of decisions, for `/metrics`.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) written: AtomicU64,
    /// The queue was full.
    pub(crate) dropped_waiting: AtomicU64,
    /// The disk did not take it, or it was too long.
    pub(crate) dropped_by_disk: AtomicU64,
    /// Of all files.
    pub(crate) bytes: AtomicU64,
    waiting_bytes: AtomicUsize,
}

/// The queue's beginning.
pub(super) struct Writer {
    queue: SyncSender<(Line, usize)>,
    pub(super) counts: Arc<Counts>,
}

impl Writer {
    /// Starts the thread that writes into `folder`; it ends when this is dropped.
    ///
    /// # Errors
    /// No thread can be had.
    pub(super) fn start(folder: PathBuf, bytes_max: u64) -> io::Result<Self> {
        let (queue, lines) = mpsc::sync_channel(DECISION_QUEUE_MAX);
        let counts = Arc::new(Counts::default());
        let pen = Pen { folder, bytes_max, segments: None, again: None, counts: counts.clone() };
        thread::Builder::new().name("decision-log".into()).spawn(move || pen.write_all(&lines))?;
        Ok(Self { queue, counts })
    }

    /// Puts something in the queue; never waits.
    pub(super) fn put(&self, line: Line) {
        let bytes = line.bytes();
        let waiting = &self.counts.waiting_bytes;
        let fits = waiting.fetch_add(bytes, Relaxed) + bytes <= DECISION_QUEUE_BYTES_MAX;
        if !fits || self.queue.try_send((line, bytes)).is_err() {
            waiting.fetch_sub(bytes, Relaxed);
            self.counts.dropped_waiting.fetch_add(1, Relaxed);
        }
    }

    /// Whether everything that was put in was seen to.
    pub(super) fn is_idle(&self) -> bool {
        self.counts.waiting_bytes.load(Relaxed) == 0
    }
}

impl Line {
    fn bytes(&self) -> usize {
        match self {
            Self::Decision(Entry { record, seen }) => {
                record.bytes() + seen.as_ref().map_or(0, |seen| seen.bytes())
            }
            Self::Rating(rated) => size_of::<Rated>() + rated.rating.bytes(),
        }
    }
}

/// The thread's side.
struct Pen {
    folder: PathBuf,
    bytes_max: u64,
    /// `None` before the first entry and after the disk failed.
    segments: Option<Segments>,
    /// When a disk that failed is tried again.
    again: Option<Instant>,
    counts: Arc<Counts>,
}

impl Pen {
    fn write_all(mut self, lines: &Receiver<(Line, usize)>) {
        for (line, bytes) in lines {
            let written = self.write(line);
            let of = if written { &self.counts.written } else { &self.counts.dropped_by_disk };
            of.fetch_add(1, Relaxed);
            let bytes_now = self.segments.as_ref().map_or(0, Segments::bytes);
            self.counts.bytes.store(bytes_now, Relaxed);
            self.counts.waiting_bytes.fetch_sub(bytes, Relaxed);
        }
    }

    /// Whether it could be written. Where the text is too long for a segment, the rest is kept.
    fn write(&mut self, line: Line) -> bool {
        if self.again.is_some_and(|again| Instant::now() < again) {
            return false;
        }
        match self.try_write(line) {
            Ok(written) => written,
            Err(error) => {
                tracing::warn!(
                    "decisions are not written down: {}: {error}",
                    self.folder.display()
                );
                (self.segments, self.again) = (None, Some(Instant::now() + PAUSE));
                false
            }
        }
    }

    fn try_write(&mut self, line: Line) -> io::Result<bool> {
        let segments = match &mut self.segments {
            Some(segments) => segments,
            None => self.segments.insert(Segments::open(&self.folder, self.bytes_max)?),
        };
        if segments.append(&serde_json::to_vec(&line)?)? {
            return Ok(true);
        }
        let Line::Decision(entry) = line else { return Ok(false) };
        segments.append(&serde_json::to_vec(&Entry { seen: None, ..entry })?)
    }
}
