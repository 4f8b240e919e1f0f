//! Prefix reuse: the KV caches of sequences that ended, kept for those that begin alike. A conversation, a system
//! prompt or a document is computed once.

use std::{
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::cache::KvCache;

/// Fewer tokens than this in common are computed as fast as they are found.
const SHORTEST: usize = 16;

/// What stands at a position of a sequence: a token, or a part of a picture.
pub(super) type Key = u64;

/// What stands at every position of a prompt: `spans` of pictures have a fingerprint each.
pub(crate) fn keys<'s>(
    tokens: &[u32],
    spans: impl IntoIterator<Item = (&'s Range<usize>, u64)>,
) -> Vec<Key> {
    let mut keys: Vec<Key> = tokens.iter().map(|token| Key::from(*token)).collect();
    for (span, fingerprint) in spans {
        // Above all tokens.
        keys[span.clone()].fill(fingerprint | 1 << 63);
    }
    keys
}

/// A sequence as far as it was computed.
pub(super) struct Prefix {
    /// Sequences share nothing across scopes: how fast an answer comes must not tell what others asked.
    pub(super) scope: u64,
    /// As many as the cache has tokens.
    pub(super) keys: Arc<[Key]>,
    pub(super) cache: KvCache,
}

/// Those that are kept, the least recently used first.
#[derive(Default)]
pub(super) struct Prefixes {
    kept: Vec<Prefix>,
    beginnings: Arc<Beginnings>,
}

/// The keys of what an expert keeps, for calls on their way that want to know how much of them is computed already.
/// The expert's thread writes it.
#[derive(Debug, Default)]
pub(crate) struct Beginnings(Mutex<Vec<(u64, Arc<[Key]>)>>);

impl Beginnings {
    /// Whether anything is kept in this scope.
    pub(crate) fn any(&self, scope: u64) -> bool {
        self.kept().iter().any(|(of, _)| *of == scope)
    }

    /// How many tokens of a sequence of `keys` need not be computed: all but the last at most.
    pub(crate) fn common(&self, scope: u64, keys: &[Key]) -> usize {
        let kept = self.kept();
        let alike = kept.iter().filter(|(of, _)| *of == scope);
        let most = alike.map(|(_, kept)| common(kept, keys)).max().unwrap_or(0);
        let most = most.min(keys.len().saturating_sub(1));
        if most < SHORTEST { 0 } else { most }
    }

    fn kept(&self) -> MutexGuard<'_, Vec<(u64, Arc<[Key]>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Prefix {
    /// What a sequence of `keys` has computed so far.
    pub(super) fn new(scope: u64, mut keys: Vec<Key>, mut cache: KvCache) -> Self {
        keys.truncate(cache.len());
        cache.truncate(keys.len());
        Self { scope, keys: keys.into(), cache }
    }

    /// How far a sequence of `keys` in `scope` goes as this one does.
    pub(super) fn common(&self, scope: u64, keys: &[Key]) -> usize {
        if scope == self.scope { common(&self.keys, keys) } else { 0 }
    }
}

/// Leading keys that two sequences have in common.
pub(super) fn common(a: &[Key], b: &[Key]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

impl Prefixes {
    /// None yet; `beginnings` will tell of those that are.
    pub(super) fn new(beginnings: Arc<Beginnings>) -> Self {
        Self { kept: Vec::new(), beginnings }
    }

    /// Keeps a sequence, in place of those that it continues.
    pub(super) fn keep(&mut self, new: Prefix) {
        let regime = new.cache.is_long();
        if new.keys.len() < SHORTEST {
            return;
        }
        self.kept.retain(|old| {
            let continued = old.common(new.scope, &new.keys) == old.keys.len();
            !(continued && old.cache.is_long() == regime)
        });
        self.kept.push(new);
        self.tell();
    }

    /// The longest of what is kept of a sequence that begins with `keys`, in the rotary regime `long`: at most
    /// `most` tokens.
    pub(super) fn find(
        &mut self,
        scope: u64,
        keys: &[Key],
        most: usize,
        long: bool,
    ) -> Option<KvCache> {
        let alike = |(at, kept): (usize, &Prefix)| (kept.common(scope, keys).min(most), at);
        let of_regime =
            self.kept.iter().enumerate().filter(|(_, kept)| kept.cache.is_long() == long);
        let mut alike: Vec<(usize, usize)> = of_regime.map(alike).collect();
        alike.retain(|(tokens, _)| *tokens >= SHORTEST);
        alike.sort_unstable();
        while let Some((tokens, at)) = alike.pop() {
            if let Some(found) = self.kept[at].cache.prefix(tokens) {
                let used = self.kept.remove(at);
                self.kept.push(used);
                return Some(found);
            }
        }
        None
    }

    /// Lets go of the least recently used one; false when there is none.
    pub(super) fn evict(&mut self) -> bool {
        if self.kept.is_empty() {
            return false;
        }
        self.kept.remove(0);
        self.tell();
        true
    }

    fn tell(&self) {
        let keys = self.kept.iter().map(|kept| (kept.scope, kept.keys.clone()));
        *self.beginnings.kept() = keys.collect();
    }
}

#[cfg(test)]
mod tests {
    use signalbox_kernels::{Compute, KvFormat, KvPool, KvShape};

    use super::*;

    const SHAPE: KvShape = KvShape { kv_heads: 1, head_dim: 1, format: KvFormat::F32 };

    /// Twenty times `of`, then `rest`.
    fn keys(of: Key, rest: &[Key]) -> Vec<Key> {
        [&[of; 20], rest].concat()
    }

    fn prefix(scope: u64, keys: Vec<Key>, window: Option<usize>) -> Prefix {
        let mut cache = KvCache::new(&KvPool::new(SHAPE), [window].into_iter(), false);
        let zeros = vec![0.0; keys.len()];
        cache.write(0, 0, &zeros, &zeros, &Compute::scalar());
        cache.advance(keys.len());
        Prefix { scope, keys: keys.into(), cache }
    }

    fn found(kept: &mut Prefixes, scope: u64, keys: &[Key]) -> Option<usize> {
        kept.find(scope, keys, keys.len() - 1, false).map(|cache| cache.len())
    }

    #[test]
    fn the_longest_beginning_in_common_is_found_in_its_own_scope() {
        let mut kept = Prefixes::default();
        kept.keep(prefix(1, keys(7, &[1, 2]), None));
        kept.keep(prefix(1, keys(7, &[3]), None));
        assert_eq!(found(&mut kept, 1, &keys(7, &[1, 2, 9])), Some(22));
        assert_eq!(found(&mut kept, 1, &keys(7, &[3, 4])), Some(21));
        assert_eq!(found(&mut kept, 1, &keys(7, &[3])), Some(20), "one is left to compute");
        assert_eq!(found(&mut kept, 1, &[7, 7, 8]), None, "too short");
        assert_eq!(found(&mut kept, 2, &keys(7, &[3, 4])), None, "another scope");
        assert!(kept.find(1, &keys(7, &[3, 4]), 99, true).is_none(), "another rotary regime");
    }

    #[test]
    fn what_is_continued_is_replaced_and_the_least_recently_used_goes_first() {
        let mut kept = Prefixes::default();
        for rest in [&[1][..], &[1, 2], &[3]] {
            kept.keep(prefix(1, keys(7, rest), None));
        }
        assert_eq!(kept.kept.len(), 2);
        assert_eq!(found(&mut kept, 1, &keys(7, &[1, 2, 3])), Some(22));
        assert!(kept.evict());
        assert_eq!(found(&mut kept, 1, &keys(7, &[3, 3])), Some(20));
        assert!(kept.evict() && !kept.evict());
    }

    #[test]
    fn others_are_told_what_is_kept() {
        let beginnings = Arc::new(Beginnings::default());
        let mut kept = Prefixes::new(beginnings.clone());
        let seen = |scope, keys: &[Key]| (beginnings.any(scope), beginnings.common(scope, keys));
        assert_eq!(seen(1, &keys(7, &[1])), (false, 0));
        kept.keep(prefix(1, keys(7, &[1, 2]), None));
        assert_eq!(seen(1, &keys(7, &[1, 3])), (true, 21));
        assert_eq!(seen(1, &keys(7, &[1, 2])), (true, 21), "one is left to compute");
        assert_eq!(seen(1, &[7, 7, 8]), (true, 0), "too short");
        assert_eq!(seen(2, &keys(7, &[1, 3])), (false, 0), "another scope");
        kept.evict();
        assert_eq!(seen(1, &keys(7, &[1, 3])), (false, 0));
    }

    #[test]
    fn a_window_that_has_moved_on_is_no_beginning() {
        let mut kept = Prefixes::default();
        let mut long = prefix(1, vec![7; 500], Some(64));
        long.cache.forget_unseen();
        kept.keep(long);
        assert_eq!(found(&mut kept, 1, &[&[7; 100][..], &[8; 9]].concat()), None);
        assert_eq!(found(&mut kept, 1, &[&[7; 500][..], &[8; 9]].concat()), Some(500));
    }
}
