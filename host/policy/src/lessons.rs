//! Outcomes on their way to routers: a bounded queue, and a thread that tells one after the other. No call waits for it; what
//! does not fit is dropped and counted.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
    time::{Duration, Instant},
};

use dashmap::DashMap;
use tokio::runtime::{Builder, Runtime as Tokio};

use crate::{CallOutcome, Failure, PolicyRef, learn::Decided, policy::Policy};

/// Between two log lines about routers that failed to learn.
const LOG_PAUSE: Duration = Duration::from_secs(10);
/// As many outcomes wait, or with as much text as may.
pub(crate) const QUEUE: &str = "queue";
/// The call has more text than is kept for this.
pub(crate) const SIZE: &str = "size";
/// Neither the revision that decided nor another of its policy is there to be told.
const GONE: &str = "gone";

/// Finds the revision in force of the policy of a name, if it learns.
pub(crate) type InForce = Box<dyn Fn(&str) -> Option<Arc<Policy>> + Send>;

/// Something to be told, and to whom.
pub(crate) struct Lesson {
    pub(crate) id: PolicyRef,
    /// The revision that decided, for as long as it is loaded.
    pub(crate) router: Weak<Policy>,
    pub(crate) decided: Arc<Decided>,
    pub(crate) outcome: CallOutcome,
    /// What it keeps while it waits.
    pub(crate) bytes: usize,
}

/// The queue's beginning.
pub(crate) struct Lessons {
    queue: OnceLock<SyncSender<Lesson>>,
    bytes_max: usize,
    books: Arc<Books>,
}

/// What became of outcomes that nobody was told.
#[derive(Default)]
struct Books {
    waiting_bytes: AtomicUsize,
    untold: DashMap<(String, &'static str), u64>,
}

impl Lessons {
    /// A queue with so much text in it at most, that nobody sees to yet.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { queue: OnceLock::new(), bytes_max, books: Arc::default() }
    }

    /// Starts the thread that tells; it ends when this is dropped.
    ///
    /// # Errors
    /// No thread can be had.
    pub(crate) fn start(&self, lessons_max: usize, in_force: InForce) -> io::Result<()> {
        let (queue, lessons) = mpsc::sync_channel(lessons_max);
        let threads = Builder::new_current_thread().enable_time().build()?;
        let teacher = Teacher { in_force, books: self.books.clone(), threads, log: Log::default() };
        thread::Builder::new()
            .name("policy-feedback".into())
            .spawn(move || teacher.tell_all(&lessons))?;
        let _ = self.queue.set(queue); // whoever came first has one
        Ok(())
    }

    /// Puts something in the queue; never waits.
    pub(crate) fn put(&self, lesson: Lesson) {
        let (bytes, waiting) = (lesson.bytes, &self.books.waiting_bytes);
        let fits = waiting.fetch_add(bytes, Relaxed) + bytes <= self.bytes_max;
        let sent = match self.queue.get() {
            Some(queue) if fits => queue.try_send(lesson).map_err(|full| match full {
                mpsc::TrySendError::Full(lesson) | mpsc::TrySendError::Disconnected(lesson) => {
                    lesson.id.name
                }
            }),
            _ => Err(lesson.id.name),
        };
        if let Err(name) = sent {
            waiting.fetch_sub(bytes, Relaxed);
            self.books.dropped(name, QUEUE);
        }
    }

    /// Something is not told to the policy of this name, and why.
    pub(crate) fn dropped(&self, name: &str, why: &'static str) {
        self.books.dropped(name.to_owned(), why);
    }

    /// What policies were not told, by name and why.
    pub(crate) fn untold(&self) -> BTreeMap<String, BTreeMap<&'static str, u64>> {
        let mut untold: BTreeMap<String, BTreeMap<&'static str, u64>> = BTreeMap::new();
        for dropped in &self.books.untold {
            let (name, why) = dropped.key();
            untold.entry(name.clone()).or_default().insert(why, *dropped);
        }
        untold
    }
}

impl Books {
    fn dropped(&self, name: String, why: &'static str) {
        *self.untold.entry((name, why)).or_default() += 1;
    }
}

/// The thread's side.
struct Teacher {
    in_force: InForce,
    books: Arc<Books>,
    threads: Tokio,
    log: Log,
}

impl Teacher {
    fn tell_all(mut self, lessons: &Receiver<Lesson>) {
        for lesson in lessons {
            let bytes = lesson.bytes;
            self.tell(lesson);
            self.books.waiting_bytes.fetch_sub(bytes, Relaxed);
        }
    }

    fn tell(&mut self, lesson: Lesson) {
        let Lesson { id, router, decided, outcome, .. } = lesson;
        let Some(router) = router.upgrade().or_else(|| (self.in_force)(&id.name)) else {
            return self.books.dropped(id.name, GONE);
        };
        if let Err(failure) = self.threads.block_on(router.learn(&decided, outcome)) {
            self.log.failed(router.id(), &failure);
        }
    }
}

/// Says now and then that routers fail to learn: a policy's author has to hear of it, and the log is everybody's.
#[derive(Default)]
struct Log {
    again: Option<Instant>,
    unsaid: u64,
}

impl Log {
    fn failed(&mut self, id: &PolicyRef, failure: &Failure) {
        let now = Instant::now();
        if self.again.is_some_and(|again| now < again) {
            self.unsaid += 1;
            return;
        }
        self.again = Some(now + LOG_PAUSE);
        let unsaid = std::mem::take(&mut self.unsaid);
        tracing::warn!(unsaid, "policy {id} failed to learn from feedback: {failure}");
    }
}
