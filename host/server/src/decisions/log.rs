//! The decisions at hand: a ring in memory, which begins with what the files have, and the writer of these.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::Deserialize;
use signalbox_policy::{CallOutcome, Rating, Told};
use tokio::time::{Instant, sleep};

use super::{
    disk,
    rating::{Ratable, Rated, RatingView, Unrated},
    record::{self, Record, unix_millis},
    seen::Seen,
    writer::{Counts, Entry, Line, Writer},
};
use crate::{caller::Caller, otel::Tracer, settings::LoggedText};

/// Between two looks at whether all is written.
const LOOK: Duration = Duration::from_millis(5);

/// In a line that has what policies saw.
const SEEN: &[u8] = b"\"seen\":";

/// What is kept of decisions.
pub(crate) struct Keep {
    /// Records in memory.
    pub(crate) records: usize,
    /// Bytes of these.
    pub(crate) bytes_max: usize,
    /// Where files are, if there are to be any.
    pub(crate) folder: Option<PathBuf>,
    /// Bytes of the files.
    pub(crate) disk_bytes_max: u64,
    /// What of a call's texts.
    pub(crate) text: LoggedText,
    /// Bytes of text of one call.
    pub(crate) text_bytes_max: usize,
    /// Bytes of what is kept for ratings that come after calls have ended.
    pub(crate) ratable_bytes_max: usize,
    /// Where traces of calls go, which say of them what the log does.
    pub(crate) tracer: Tracer,
}

/// Recent decisions. Cheap to clone; all clones are one log.
#[derive(Clone)]
pub(crate) struct Decisions(Arc<Log>);

struct Log {
    keep: Keep,
    ring: Mutex<Ring>,
    /// Decisions of routers that learn, and what came of them.
    ratable: Mutex<Ratable<(Told, CallOutcome)>>,
    begun: AtomicU64,
    /// Distinguishes the calls of this process from those of another.
    process: u32,
    writer: Option<Writer>,
}

/// The newest last.
#[derive(Default)]
struct Ring {
    records: VecDeque<Arc<Record>>,
    bytes: usize,
}

/// A decision, and what policies saw where that was written down.
#[derive(Debug, Deserialize)]
pub(crate) struct Found {
    #[serde(deserialize_with = "record::shared")]
    pub(crate) record: Arc<Record>,
    #[serde(default)]
    pub(crate) seen: Option<Box<Seen>>,
}

impl Decisions {
    /// A log that goes on where its files end. Files that can't be used are no reason not to serve.
    pub(crate) fn open(keep: Keep) -> Self {
        let process = RandomState::new().hash_one(keep.records) as u32;
        let mut ring = Ring::default();
        let folder = keep.folder.clone().filter(|_| keep.disk_bytes_max > 0);
        if let Some(folder) = &folder {
            ring.read(folder, &keep);
        }
        let writer = folder.and_then(|folder| {
            let writer = Writer::start(folder, keep.disk_bytes_max);
            writer
                .inspect_err(|error| tracing::warn!("decisions are not written down: {error}"))
                .ok()
        });
        let (ring, ratable) = (Mutex::new(ring), Mutex::default());
        let begun = AtomicU64::new(0);
        Self(Arc::new(Log { keep, ring, ratable, begun, process, writer }))
    }

    /// The number and the name of the next call.
    pub(super) fn next(&self) -> (u64, String) {
        let number = self.0.begun.fetch_add(1, Ordering::Relaxed) + 1;
        (number, format!("{:08x}-{number}", self.0.process))
    }

    /// Where traces go.
    pub(crate) fn tracer(&self) -> Tracer {
        self.keep().tracer.clone()
    }

    /// What is kept.
    pub(super) fn keep(&self) -> &Keep {
        &self.0.keep
    }

    /// The record of this name, and what policies saw of its call: from memory, and from the files where they have
    /// more. Reads them, so not to be called on a thread that serves.
    pub(crate) fn find(&self, decision: &str) -> Option<Found> {
        let at_hand = self.ring().records.iter().rev().find(|r| r.is_called(decision)).cloned();
        if at_hand.as_ref().is_some_and(|record| !record.has_text()) {
            return at_hand.map(|record| Found { record, seen: None });
        }
        let found = self.find_on_disk(decision);
        let seen = found.as_ref().and_then(|found| found.seen.clone());
        at_hand.map(|record| Found { record, seen }).or(found)
    }

    /// The same from the files, in which a rating comes after the call that it is about.
    fn find_on_disk(&self, decision: &str) -> Option<Found> {
        let (mut found, mut rating) = (None, None);
        let mark = format!("\"decision\":\"{decision}\"");
        let rated_mark = format!("\"rated\":\"{decision}\"");
        self.newest_first(|line| {
            if contains(line, rated_mark.as_bytes()) {
                rating = rating.take().or_else(|| rated(line, decision));
            }
            if contains(line, mark.as_bytes()) {
                let read = serde_json::from_slice::<Found>(line).ok();
                found = read.filter(|found| found.record.is_called(decision));
            }
            found.is_none()
        });
        found.map(|Found { record, seen }| Found { record: record.rated(rating), seen })
    }

    /// The newest `limit` records, newest first.
    pub(crate) fn recent(&self, limit: usize) -> Vec<Arc<Record>> {
        self.ring().records.iter().rev().take(limit).cloned().collect()
    }

    /// What policies saw of the calls since a time, in milliseconds since 1970: the newest first, at most so many, and
    /// with at most so many bytes of text. Reads the files, so not to be called on a thread that serves.
    pub(crate) fn recorded(&self, since_ms: u64, calls_max: usize, bytes_max: usize) -> Vec<Seen> {
        let (mut recorded, mut bytes) = (Vec::new(), 0);
        self.newest_first(|line| {
            let found = contains(line, SEEN).then(|| serde_json::from_slice::<Found>(line).ok());
            let found = found.flatten().filter(|found| found.record.received_ms() >= since_ms);
            let Some(seen) = found.and_then(|found| found.seen) else { return true };
            bytes += seen.bytes();
            let fits = bytes <= bytes_max && recorded.len() < calls_max;
            if fits {
                recorded.push(*seen);
            }
            fits
        });
        recorded
    }

    /// Bytes of the files, and what became of decisions; `None` where there are no files.
    pub(crate) fn counts(&self) -> Option<&Counts> {
        self.0.writer.as_ref().map(|writer| &*writer.counts)
    }

    /// Waits until what was logged is in the files, for a while at most.
    pub(crate) async fn written(&self, within: Duration) {
        let Some(writer) = &self.0.writer else { return };
        let until = Instant::now() + within;
        while !writer.is_idle() && Instant::now() < until {
            sleep(LOOK).await;
        }
    }

    /// A router is told what came of a call, and kept in mind for what its caller may say of it later.
    pub(super) fn tell(&self, record: &Record, told: Told, outcome: CallOutcome) {
        told.tell(outcome.clone());
        let bytes_max = self.keep().ratable_bytes_max;
        self.ratable().keep(record.name(), told.bytes(), (told, outcome), bytes_max);
    }

    /// What a caller thinks of the reply to a call of its own.
    ///
    /// # Errors
    /// Why that can't be taken.
    pub(crate) fn rate(
        &self,
        decision: &str,
        caller: &Caller,
        rating: Rating,
    ) -> Result<(), Unrated> {
        let view = RatingView::of(&rating, unix_millis());
        self.ring().rate(decision, caller, &view)?;
        if let Some(writer) = &self.0.writer {
            writer.put(Line::Rating(Rated { rated: decision.into(), rating: view }));
        }
        if let Some((told, outcome)) = self.ratable().take(decision) {
            told.tell(CallOutcome { rating: Some(rating), ..outcome });
        }
        Ok(())
    }

    /// Logs a call.
    pub(super) fn push(&self, record: Record, seen: Option<Box<Seen>>) {
        let record = Arc::new(record);
        if let Some(writer) = &self.0.writer {
            writer.put(Line::Decision(Entry { record: record.clone(), seen }));
        }
        self.ring().push(record, &self.0.keep);
    }

    fn newest_first(&self, found: impl FnMut(&[u8]) -> bool) {
        let keep = &self.0.keep;
        if let Some(folder) = &keep.folder {
            disk::newest_first(folder, keep.disk_bytes_max, found);
        }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ratable(&self) -> MutexGuard<'_, Ratable<(Told, CallOutcome)>> {
        self.0.ratable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A log without files.
    #[cfg(test)]
    pub(crate) fn in_memory(records: usize, bytes_max: usize) -> Self {
        let (text, folder) = (LoggedText::Off, None);
        let (disk_bytes_max, text_bytes_max, ratable_bytes_max) = (0, 0, 0);
        let tracer = Tracer::new(None);
        Self::open(Keep {
            records,
            bytes_max,
            folder,
            disk_bytes_max,
            text,
            text_bytes_max,
            ratable_bytes_max,
            tracer,
        })
    }

    /// Bytes and records in memory, counted anew.
    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, usize, usize) {
        let ring = self.ring();
        let sum = ring.records.iter().map(|record| record.bytes()).sum();
        (ring.bytes, sum, ring.records.len())
    }
}

impl Ring {
    /// The newest of the files that fit. Lines that are none of ours are passed over.
    fn read(&mut self, folder: &Path, keep: &Keep) {
        let mut ratings = HashMap::new();
        disk::newest_first(folder, keep.disk_bytes_max, |line| {
            let Ok(Found { record, .. }) = serde_json::from_slice(line) else {
                // One per decision, so there are no more than lines that are read.
                ratings.extend(
                    serde_json::from_slice(line).ok().map(|of: Rated| (of.rated, of.rating)),
                );
                return true;
            };
            let rating = ratings.remove(record.name());
            let record = record.rated(rating);
            let bytes = self.bytes + record.bytes();
            if self.records.len() >= keep.records || bytes > keep.bytes_max {
                return false;
            }
            self.bytes = bytes;
            self.records.push_front(record);
            true
        });
    }

    /// Notes a rating in the record of this name, if it is of a call of that caller.
    fn rate(
        &mut self,
        decision: &str,
        caller: &Caller,
        rating: &RatingView,
    ) -> Result<(), Unrated> {
        let own = |record: &&mut Arc<Record>| record.is_called(decision) && record.is_of(caller);
        let record = self.records.iter_mut().rev().find(own).ok_or(Unrated::Unknown)?;
        if record.rating.is_some() {
            return Err(Unrated::Already);
        }
        let before = record.bytes();
        *record = record.clone().rated(Some(rating.clone()));
        self.bytes = self.bytes + record.bytes() - before;
        Ok(())
    }

    fn push(&mut self, record: Arc<Record>, keep: &Keep) {
        self.bytes += record.bytes();
        self.records.push_back(record);
        while self.records.len() > keep.records || self.bytes > keep.bytes_max {
            let Some(oldest) = self.records.pop_front() else { break };
            self.bytes -= oldest.bytes();
        }
    }
}

/// The rating in a line, if it is of this decision.
fn rated(line: &[u8], decision: &str) -> Option<RatingView> {
    let read = serde_json::from_slice::<Rated>(line).ok();
    read.filter(|of| *of.rated == *decision).map(|of| of.rating)
}

fn contains(line: &[u8], mark: &[u8]) -> bool {
    line.windows(mark.len()).any(|window| window == mark)
}
