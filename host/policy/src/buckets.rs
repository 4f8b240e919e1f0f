//! What policies keep from one call to the next: a bucket of keys and values each, in memory, written to disk behind the
//! calls. No call waits for a disk: a thread writes what changed about once a second, whole or not at all, and once more at
//! the end. A host that is killed loses what was written since, and nothing else.

mod bucket;
mod file;

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

pub(crate) use bucket::{Bucket, Problem, Seen};

use bucket::Quota;

use crate::{BucketStatus, Limits};

/// Between two looks at what changed.
const PAUSE: Duration = Duration::from_secs(1);
/// Of the time that it took to write, which large buckets rest for before they are written again.
const REST: u32 = 10;
/// After a write that failed.
const FAILED_PAUSE: Duration = Duration::from_secs(10);

/// The buckets of one registry. Dropping it writes what is not written yet.
pub(crate) struct Buckets {
    shared: Arc<Shared>,
    quota: Quota,
    /// Ends the writer when it is dropped.
    open: Option<mpsc::Sender<()>>,
    writer: Option<JoinHandle<()>>,
}

struct Shared {
    folder: PathBuf,
    /// Those that were asked for since the start, by policy.
    known: Mutex<HashMap<String, Arc<Bucket>>>,
}

impl Buckets {
    /// Those in `folder`, each read when its policy is first put together.
    ///
    /// # Errors
    /// A folder that can't be made, no thread to write with.
    pub(crate) fn open(folder: &Path, limits: &Limits) -> io::Result<Buckets> {
        file::prepare(folder)?;
        let shared = Arc::new(Shared { folder: folder.to_owned(), known: Mutex::default() });
        let (open, closed) = mpsc::channel();
        let writing = shared.clone();
        let write = move || writing.write_until(&closed);
        let writer = thread::Builder::new().name("policy-buckets".into()).spawn(write)?;
        let quota = Quota::of(limits);
        Ok(Buckets { shared, quota, open: Some(open), writer: Some(writer) })
    }

    /// The bucket of `policy`, which all its revisions have in common. Reads its file the first time.
    pub(crate) fn of(&self, policy: &str) -> Arc<Bucket> {
        let mut known = self.shared.known();
        if let Some(bucket) = known.get(policy) {
            return bucket.clone();
        }
        let bucket = Arc::new(match file::read(&self.shared.folder, policy, self.quota) {
            Ok(entries) => Bucket::new(self.quota, entries),
            Err(problem) => {
                tracing::error!("the bucket of policy {policy} stays closed: {problem}");
                Bucket::closed(self.quota, problem)
            }
        });
        known.insert(policy.to_owned(), bucket.clone());
        bucket
    }

    /// A bucket that nobody else sees and that is never written.
    pub(crate) fn apart(&self) -> Arc<Bucket> {
        Arc::new(Bucket::new(self.quota, []))
    }

    /// Forgets what a policy kept that is gone. Instances of it that still run write to nowhere.
    pub(crate) fn forget(&self, policy: &str) {
        let bucket = self.shared.known().remove(policy);
        // The writer may be at it, and must not bring the file back.
        let _writing = bucket.as_ref().map(|bucket| bucket.forget());
        if let Err(problem) = file::remove(&self.shared.folder, policy) {
            tracing::warn!("the bucket of policy {policy} was not removed: {problem}");
        }
    }

    /// What a policy's bucket holds.
    pub(crate) fn status(&self, policy: &str) -> Option<BucketStatus> {
        self.shared.known().get(policy).map(|bucket| bucket.status())
    }
}

impl Drop for Buckets {
    fn drop(&mut self) {
        drop(self.open.take());
        if let Some(Err(_)) = self.writer.take().map(JoinHandle::join) {
            tracing::error!("the thread that writes buckets crashed; what they last held is lost");
        }
    }
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, HashMap<String, Arc<Bucket>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what changed, again and again, until the other end is dropped.
    fn write_until(&self, closed: &mpsc::Receiver<()>) {
        let mut pause = PAUSE;
        while closed.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
            pause = self.write();
        }
        self.write();
    }

    /// Writes what changed; how long to rest now.
    fn write(&self) -> Duration {
        let (started, mut failed) = (Instant::now(), false);
        let known: Vec<_> =
            self.known().iter().map(|(name, bucket)| (name.clone(), bucket.clone())).collect();
        for (policy, bucket) in known {
            let written = bucket.keep(|entries| file::write(&self.folder, &policy, entries));
            if let Err(problem) = written {
                failed = true;
                tracing::error!("the bucket of policy {policy} was not written: {problem}");
            }
        }
        let rest = if failed { FAILED_PAUSE } else { REST * started.elapsed() };
        rest.max(PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &Path) -> Buckets {
        Buckets::open(folder, &Limits::default()).unwrap()
    }

    #[test]
    fn what_was_set_is_there_after_a_restart_and_gone_with_its_policy() {
        let folder = tempfile::tempdir().unwrap();
        let buckets = open(folder.path());
        buckets.of("a").set("key", b"value").unwrap();
        buckets.of("b").set("other", b"").unwrap();
        drop(buckets);
        let buckets = open(folder.path());
        assert_eq!(buckets.of("a").get("key").unwrap().as_deref(), Some(&b"value"[..]));
        assert_eq!(buckets.of("b").get("key").unwrap(), None);
        let running = buckets.of("a");
        buckets.forget("a");
        running.set("key", b"late").unwrap();
        drop(buckets);
        let buckets = open(folder.path());
        assert_eq!(buckets.of("a").get("key").unwrap(), None);
        assert!(buckets.of("b").exists("other").unwrap());
    }

    #[test]
    fn what_is_damaged_stays_closed_and_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let buckets = open(folder.path());
        buckets.of("a").set("key", b"value").unwrap();
        drop(buckets);
        let path = file::path(folder.path(), "a");
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let buckets = open(folder.path());
        let problem = buckets.of("a").get("key").unwrap_err().to_string();
        assert!(problem.contains("is damaged"), "{problem}");
        assert!(buckets.of("a").set("key", b"new").is_err());
        drop(buckets);
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }

    #[test]
    fn a_disk_that_takes_nothing_keeps_nobody_from_writing_on() {
        let folder = tempfile::tempdir().unwrap();
        let buckets = open(folder.path());
        std::fs::create_dir(file::path(folder.path(), "a")).unwrap();
        let bucket = Arc::new(Bucket::new(buckets.quota, []));
        buckets.shared.known().insert("a".into(), bucket.clone());
        bucket.set("key", b"value").unwrap();
        assert_eq!(buckets.shared.write(), FAILED_PAUSE);
        std::fs::remove_dir(file::path(folder.path(), "a")).unwrap();
        assert!(buckets.shared.write() < FAILED_PAUSE);
        assert!(file::path(folder.path(), "a").is_file());
    }
}
