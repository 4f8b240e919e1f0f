//! One bucket: a map within a quota, whose every operation happens as a whole.

use std::{
    collections::BTreeMap,
    io,
    ops::Bound,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use crate::{BucketStatus, Limits};

/// Bytes of a key.
const KEY_BYTES: usize = 256;
/// Keys of one page.
const PAGE: usize = 256;

/// How much a bucket may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quota {
    /// Of keys and values together.
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
}

impl Quota {
    pub(crate) fn of(limits: &Limits) -> Self {
        Self { bytes: limits.bucket_bytes, entries: limits.bucket_entries }
    }
}

/// Why a bucket did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    #[error("the bucket may have {limit} bytes of keys and values; delete some")]
    Bytes { limit: u64 },
    #[error("the bucket may have {limit} entries; delete some")]
    Entries { limit: u64 },
    #[error("the key has {bytes} bytes and may have 1 to {KEY_BYTES}")]
    Key { bytes: usize },
    #[error(
        "the value is no whole number of 64 bits in decimal digits, so nothing can be added to it"
    )]
    NoNumber,
    #[error("the sum is beyond 64 bits")]
    Overflow,
    #[error("the bucket can't be read: {0}")]
    Closed(String),
}

/// What stands under a key.
type Value = Arc<[u8]>;
/// A key, and what stands under it.
pub(super) type Pair = (Arc<str>, Value);

/// A key's value as it was seen at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen(Option<u64>);

/// Keys and values of one policy.
pub(crate) struct Bucket {
    quota: Quota,
    entries: Mutex<Entries>,
    /// Why it can't be used.
    closed: Option<String>,
    /// What did not fit.
    refused: AtomicU64,
    /// The change that was written last, or that its policy is gone.
    kept: Mutex<Kept>,
}

#[derive(Clone, Default)]
struct Entries {
    map: BTreeMap<Arc<str>, Entry>,
    bytes: u64,
    /// Counts changes.
    change: u64,
}

#[derive(Clone)]
struct Entry {
    value: Value,
    /// The change that made it.
    change: u64,
}

pub(super) enum Kept {
    UpTo(u64),
    Never,
}

impl Bucket {
    pub(super) fn new(quota: Quota, entries: impl IntoIterator<Item = Pair>) -> Self {
        let mut all = Entries::default();
        for (key, value) in entries {
            all.bytes += (key.len() + value.len()) as u64;
            all.map.insert(key, Entry { value, change: 0 });
        }
        Self::with(quota, all)
    }

    /// One that can't be used.
    pub(super) fn closed(quota: Quota, problem: String) -> Self {
        Self { closed: Some(problem), ..Self::new(quota, []) }
    }

    fn with(quota: Quota, entries: Entries) -> Self {
        Self {
            quota,
            kept: Mutex::new(Kept::UpTo(entries.change)),
            entries: Mutex::new(entries),
            closed: None,
            refused: AtomicU64::new(0),
        }
    }

    /// The same as it is now, for somebody whose changes nobody is to see.
    pub(crate) fn fork(&self) -> Bucket {
        let entries = self.all().clone();
        Self { closed: self.closed.clone(), ..Self::with(self.quota, entries) }
    }

    fn all(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entries(&self) -> Result<MutexGuard<'_, Entries>, Problem> {
        match &self.closed {
            Some(problem) => Err(Problem::Closed(problem.clone())),
            None => Ok(self.all()),
        }
    }

    pub(crate) fn get(&self, key: &str) -> Result<Option<Value>, Problem> {
        Ok(self.entries()?.map.get(key).map(|entry| entry.value.clone()))
    }

    pub(crate) fn exists(&self, key: &str) -> Result<bool, Problem> {
        Ok(self.entries()?.map.contains_key(key))
    }

    pub(crate) fn set(&self, key: &str, value: &[u8]) -> Result<(), Problem> {
        self.put(&mut *self.entries()?, key, value)
    }

    pub(crate) fn delete(&self, key: &str) -> Result<(), Problem> {
        let mut entries = self.entries()?;
        if let Some(gone) = entries.map.remove(key) {
            entries.bytes -= (key.len() + gone.value.len()) as u64;
            entries.change += 1;
        }
        Ok(())
    }

    /// A page of keys in their order, behind `after`; and what the next page begins behind.
    pub(crate) fn keys(
        &self,
        after: Option<&str>,
    ) -> Result<(Vec<String>, Option<String>), Problem> {
        let entries = self.entries()?;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut behind = entries.map.range::<str, _>((from, Bound::Unbounded));
        let keys: Vec<String> =
            behind.by_ref().take(PAGE).map(|(key, _)| key.to_string()).collect();
        let cursor = behind.next().and(keys.last().cloned());
        Ok((keys, cursor))
    }

    /// Adds to a number in decimal digits; 0 where there is none.
    pub(crate) fn increment(&self, key: &str, delta: i64) -> Result<i64, Problem> {
        let mut entries = self.entries()?;
        let before: i64 = match entries.map.get(key) {
            None => 0,
            Some(entry) => {
                let digits = std::str::from_utf8(&entry.value).ok();
                digits.and_then(|digits| digits.parse().ok()).ok_or(Problem::NoNumber)?
            }
        };
        let sum = before.checked_add(delta).ok_or(Problem::Overflow)?;
        self.put(&mut entries, key, sum.to_string().as_bytes())?;
        Ok(sum)
    }

    /// The value of `key`, and how to know it again.
    pub(crate) fn look(&self, key: &str) -> Result<(Option<Value>, Seen), Problem> {
        let entries = self.entries()?;
        let entry = entries.map.get(key);
        Ok((entry.map(|entry| entry.value.clone()), Seen(entry.map(|entry| entry.change))))
    }

    /// Sets `key` if its value is the one that was seen; otherwise, the one that it is now.
    pub(crate) fn swap(
        &self,
        key: &str,
        seen: Seen,
        value: &[u8],
    ) -> Result<Result<(), Seen>, Problem> {
        let mut entries = self.entries()?;
        let now = Seen(entries.map.get(key).map(|entry| entry.change));
        if now != seen {
            return Ok(Err(now));
        }
        self.put(&mut entries, key, value).map(Ok)
    }

    fn put(&self, entries: &mut Entries, key: &str, value: &[u8]) -> Result<(), Problem> {
        let put = self.fitting(entries, key, value);
        if put.is_err() {
            self.refused.fetch_add(1, Relaxed);
        }
        entries.bytes = put?;
        entries.change += 1;
        let entry = Entry { value: value.into(), change: entries.change };
        match entries.map.get_mut(key) {
            Some(there) => *there = entry,
            None => drop(entries.map.insert(key.into(), entry)),
        }
        Ok(())
    }

    /// The bytes that there are then, if these may be put in.
    fn fitting(&self, entries: &Entries, key: &str, value: &[u8]) -> Result<u64, Problem> {
        if key.is_empty() || key.len() > KEY_BYTES {
            return Err(Problem::Key { bytes: key.len() });
        }
        let before = entries.map.get(key).map(|entry| key.len() + entry.value.len());
        if before.is_none() && entries.map.len() as u64 >= self.quota.entries {
            return Err(Problem::Entries { limit: self.quota.entries });
        }
        let bytes = entries.bytes + (key.len() + value.len()) as u64 - before.unwrap_or(0) as u64;
        // What is there already may be more, where the operator lowered the limit; it may shrink.
        if bytes > self.quota.bytes && bytes > entries.bytes {
            return Err(Problem::Bytes { limit: self.quota.bytes });
        }
        Ok(bytes)
    }

    pub(super) fn status(&self) -> BucketStatus {
        let entries = self.all();
        BucketStatus {
            bytes: entries.bytes,
            entries: entries.map.len() as u64,
            refused: self.refused.load(Relaxed),
            problem: self.closed.clone(),
        }
    }

    /// Gives `write` what is there if that was not written before.
    pub(super) fn keep(&self, write: impl FnOnce(&[Pair]) -> io::Result<()>) -> io::Result<()> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (entries, change) = {
            let all = self.all();
            match *kept {
                Kept::UpTo(change) if change != all.change => {}
                _ => return Ok(()),
            }
            let pairs = all.map.iter().map(|(key, entry)| (key.clone(), entry.value.clone()));
            (pairs.collect::<Vec<_>>(), all.change)
        };
        write(&entries)?;
        *kept = Kept::UpTo(change);
        Ok(())
    }

    /// Nothing of it is written any more, nor while this is held.
    pub(super) fn forget(&self) -> MutexGuard<'_, Kept> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Kept::Never;
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(bytes: u64, entries: u64) -> Bucket {
        Bucket::new(Quota { bytes, entries }, [])
    }

    #[test]
    fn what_does_not_fit_is_refused_and_counted_and_what_is_there_stays() {
        let bucket = bucket(10, 2);
        bucket.set("a", b"1234").unwrap();
        assert_eq!(bucket.set("b", b"12345"), Err(Problem::Bytes { limit: 10 }));
        bucket.set("b", b"1234").unwrap();
        assert_eq!(bucket.set("c", b""), Err(Problem::Entries { limit: 2 }));
        assert_eq!(bucket.set("a", b"12345"), Err(Problem::Bytes { limit: 10 }));
        bucket.set("a", b"12").unwrap();
        for key in ["", &"k".repeat(KEY_BYTES + 1)] {
            assert_eq!(bucket.set(key, b""), Err(Problem::Key { bytes: key.len() }));
        }
        bucket.delete("b").unwrap();
        bucket.delete("b").unwrap();
        let BucketStatus { bytes, entries, refused, .. } = bucket.status();
        assert_eq!((bytes, entries, refused), (3, 1, 5));
        assert_eq!(bucket.get("a").unwrap().as_deref(), Some(&b"12"[..]));
    }

    #[test]
    fn a_bucket_over_a_lowered_quota_may_shrink_and_not_grow() {
        let there = [("a".into(), b"0123456789".as_slice().into())];
        let bucket = Bucket::new(Quota { bytes: 5, entries: 9 }, there);
        assert!(bucket.set("b", b"").is_err());
        bucket.set("a", b"01234567").unwrap();
        assert_eq!(bucket.status().bytes, 9);
    }

    #[test]
    fn numbers_add_up_and_nothing_else_does() {
        let bucket = bucket(100, 9);
        assert_eq!((bucket.increment("n", 5), bucket.increment("n", -7)), (Ok(5), Ok(-2)));
        assert_eq!(bucket.get("n").unwrap().as_deref(), Some(&b"-2"[..]));
        bucket.set("n", b"two").unwrap();
        assert_eq!(bucket.increment("n", 1), Err(Problem::NoNumber));
        bucket.set("n", i64::MAX.to_string().as_bytes()).unwrap();
        assert_eq!(bucket.increment("n", 1), Err(Problem::Overflow));
    }

    #[test]
    fn a_swap_takes_place_if_nobody_was_there_meanwhile() {
        let bucket = bucket(100, 9);
        let (value, seen) = bucket.look("k").unwrap();
        assert_eq!(value, None);
        bucket.set("k", b"other").unwrap();
        let now = bucket.swap("k", seen, b"mine").unwrap().unwrap_err();
        assert_eq!(bucket.swap("k", now, b"mine"), Ok(Ok(())));
        assert!(bucket.swap("k", now, b"mine").unwrap().is_err(), "the same value, set anew");
    }

    #[test]
    fn pages_of_keys_follow_each_other_whatever_changes_meanwhile() {
        let bucket = bucket(1 << 20, 10_000);
        let key = |n: usize| format!("{n:04}");
        (0..PAGE + 3).for_each(|n| bucket.set(&key(n), b"").unwrap());
        let (first, cursor) = bucket.keys(None).unwrap();
        assert_eq!((first.len(), &cursor), (PAGE, &Some(key(PAGE - 1))));
        bucket.delete(&key(PAGE - 1)).unwrap();
        let (rest, end) = bucket.keys(cursor.as_deref()).unwrap();
        assert_eq!((rest, end), ((PAGE..PAGE + 3).map(key).collect(), None));
    }

    #[test]
    fn a_fork_changes_nothing_but_itself() {
        let bucket = bucket(100, 9);
        bucket.set("k", b"v").unwrap();
        let fork = bucket.fork();
        fork.set("k", b"w").unwrap();
        assert_eq!(bucket.get("k").unwrap().as_deref(), Some(&b"v"[..]));
        assert_eq!(fork.get("k").unwrap().as_deref(), Some(&b"w"[..]));
    }
}
