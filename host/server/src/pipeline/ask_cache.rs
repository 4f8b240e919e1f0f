//! What experts said to policies and would say again: vectors of texts, and what labels weigh. Bounded in bytes; what was not
//! used for longest gives way. How soon an answer comes tells that it was asked before, so what callers say is kept for
//! each of them apart, by the number in the key.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sha2::{Digest, Sha256};

/// Bytes that an entry takes beside its numbers: its key twice, its places in both maps.
const ENTRY_BYTES: usize = 192;

/// Who is asked what, by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 32]);

impl Key {
    /// Of an expert as it is now, on behalf of `scope`, about these texts.
    pub(super) fn new(expert: &str, edition: (u64, u64), scope: u64, texts: &[&str]) -> Self {
        let mut digest = Sha256::new();
        for number in [edition.0, edition.1, scope] {
            digest.update(number.to_le_bytes());
        }
        for text in [expert].iter().chain(texts) {
            digest.update((text.len() as u64).to_le_bytes());
            digest.update(text);
        }
        Self(digest.finalize().into())
    }
}

/// What was said.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Said {
    Vector(Arc<[f32]>),
    Logprobs(Arc<[f64]>),
}

impl Said {
    fn bytes(&self) -> usize {
        let numbers = match self {
            Self::Vector(numbers) => mem::size_of_val(&**numbers),
            Self::Logprobs(numbers) => mem::size_of_val(&**numbers),
        };
        numbers + ENTRY_BYTES
    }
}

/// Everything that is kept.
#[derive(Debug, Default)]
pub(crate) struct AskCache(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    said: HashMap<Key, (u64, Said)>,
    /// By when they were used.
    by_use: BTreeMap<u64, Key>,
    uses: u64,
    counts: Counts,
}

/// What there is in the cache, and what it was good for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) entries: usize,
    pub(crate) bytes: usize,
    /// Answers that no expert had to give.
    pub(crate) hits: u64,
    /// Those that one had to.
    pub(crate) misses: u64,
}

impl AskCache {
    /// What was said, if it is still known.
    pub(super) fn find(&self, key: &Key) -> Option<Said> {
        let mut kept = self.kept();
        let next = kept.uses + 1;
        let Some((used, said)) = kept.said.get_mut(key) else {
            kept.counts.misses += 1;
            return None;
        };
        let (before, said) = (mem::replace(used, next), said.clone());
        kept.uses = next;
        kept.by_use.remove(&before);
        kept.by_use.insert(next, *key);
        kept.counts.hits += 1;
        Some(said)
    }

    /// Keeps what was said, within so many bytes of everything.
    pub(super) fn keep(&self, key: Key, said: Said, bytes_max: usize) {
        let mut kept = self.kept();
        kept.forget(&key);
        kept.counts.bytes += said.bytes();
        kept.uses += 1;
        let now = kept.uses;
        kept.by_use.insert(now, key);
        kept.said.insert(key, (now, said));
        while kept.counts.bytes > bytes_max
            && let Some((_, oldest)) = kept.by_use.first_key_value()
        {
            let oldest = *oldest;
            kept.forget(&oldest);
        }
    }

    /// What there is.
    pub(crate) fn counts(&self) -> Counts {
        let kept = self.kept();
        Counts { entries: kept.said.len(), ..kept.counts }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn forget(&mut self, key: &Key) {
        if let Some((used, said)) = self.said.remove(key) {
            self.by_use.remove(&used);
            self.counts.bytes -= said.bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        Key::new("expert", (1, 1), 7, &[text])
    }

    fn said(number: f64) -> Said {
        Said::Logprobs([number; 8].into())
    }

    #[test]
    fn what_was_not_used_for_longest_gives_way() {
        let cache = AskCache::default();
        let room = 2 * said(0.0).bytes();
        cache.keep(key("a"), said(1.0), room);
        cache.keep(key("b"), said(2.0), room);
        assert_eq!(cache.find(&key("a")), Some(said(1.0)));
        cache.keep(key("c"), said(3.0), room);
        assert_eq!((cache.find(&key("b")), cache.find(&key("c"))), (None, Some(said(3.0))));
        cache.keep(key("a"), said(4.0), room);
        assert_eq!(cache.find(&key("a")), Some(said(4.0)));
        let expect = Counts { entries: 2, bytes: room, hits: 3, misses: 1 };
        assert_eq!(cache.counts(), expect);
        cache.keep(key("d"), said(5.0), 0);
        assert_eq!((cache.counts().entries, cache.counts().bytes), (0, 0), "none may be kept");
    }

    #[test]
    fn another_expert_load_caller_or_text_is_another_answer() {
        let check = |other: Key| assert_ne!(key("ab"), other);
        check(Key::new("other", (1, 1), 7, &["ab"]));
        check(Key::new("expert", (2, 1), 7, &["ab"]));
        check(Key::new("expert", (1, 2), 7, &["ab"]));
        check(Key::new("expert", (1, 1), 8, &["ab"]));
        check(Key::new("expert", (1, 1), 7, &["a", "b"]));
        assert_eq!(key("ab"), key("ab"));
    }
}
