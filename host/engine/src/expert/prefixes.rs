//! Prefix reuse: the KV caches of sequences that ended, kept for those that begin alike. A conversation, a system
//! prompt or a document is computed once.

use crate::cache::KvCache;

/// Fewer tokens than this in common are computed as fast as they are found.
const SHORTEST: usize = 16;

/// What stands at a position of a sequence: a token, or a part of a picture.
pub(super) type Key = u64;

/// A sequence as far as it was computed.
pub(super) struct Prefix {
    /// Sequences share nothing across scopes: how fast an answer comes must not tell what others asked.
    pub(super) scope: u64,
    /// As many as the cache has tokens.
    pub(super) keys: Vec<Key>,
    pub(super) cache: KvCache,
}

/// Those that are kept, the least recently used first.
#[derive(Default)]
pub(super) struct Prefixes(Vec<Prefix>);

impl Prefix {
    /// What a sequence of `keys` has computed so far.
    pub(super) fn new(scope: u64, mut keys: Vec<Key>, mut cache: KvCache) -> Self {
        keys.truncate(cache.len());
        cache.truncate(keys.len());
        Self { scope, keys, cache }
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
    /// Keeps a sequence, in place of those that it continues.
    pub(super) fn keep(&mut self, new: Prefix) {
        let regime = new.cache.is_long();
        if new.keys.len() < SHORTEST {
            return;
        }
        self.0.retain(|old| {
            let continued = old.common(new.scope, &new.keys) == old.keys.len();
            !(continued && old.cache.is_long() == regime)
        });
        self.0.push(new);
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
        let of_regime = self.0.iter().enumerate().filter(|(_, kept)| kept.cache.is_long() == long);
        let mut alike: Vec<(usize, usize)> = of_regime.map(alike).collect();
        alike.retain(|(tokens, _)| *tokens >= SHORTEST);
        alike.sort_unstable();
        while let Some((tokens, at)) = alike.pop() {
            if let Some(found) = self.0[at].cache.prefix(tokens) {
                let used = self.0.remove(at);
                self.0.push(used);
                return Some(found);
            }
        }
        None
    }

    /// Lets go of the least recently used one; false when there is none.
    pub(super) fn evict(&mut self) -> bool {
        if self.0.is_empty() {
            return false;
        }
        self.0.remove(0);
        true
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
        Prefix { scope, keys, cache }
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
        assert_eq!(kept.0.len(), 2);
        assert_eq!(found(&mut kept, 1, &keys(7, &[1, 2, 3])), Some(22));
        assert!(kept.evict());
        assert_eq!(found(&mut kept, 1, &keys(7, &[3, 3])), Some(20));
        assert!(kept.evict() && !kept.evict());
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
