//! What a sequence has computed: shared with those that begin alike, given up for others, gone on with, and how much
//! memory it takes.

use super::Sequence;
use crate::{
    Priority,
    cache::KvCache,
    expert::prefixes::{Key, Prefix, keys},
    model::Model,
    vision::chunk_end,
};

impl Sequence {
    /// What stands at every position: a token, or a part of a picture.
    pub(in crate::expert) fn keys(&self) -> Vec<Key> {
        keys(&self.tokens, self.fingerprints.iter().map(|(span, print)| (span, *print)))
    }

    /// The most of it that may be somebody else's beginning: all but the last token, whose logits are
    /// wanted, and no part of a picture.
    pub(in crate::expert) fn most_shared(&self) -> usize {
        self.whole_pictures(self.tokens.len() - 1)
    }

    /// At most `tokens`, so that no picture is split.
    fn whole_pictures(&self, tokens: usize) -> usize {
        let end = chunk_end(self.fingerprints.iter().map(|(span, _)| span), 0, tokens);
        if end > tokens { 0 } else { end }
    }

    /// Goes on behind a beginning that was computed already. Its pictures are looked at no more, so it can't give the
    /// beginning back where there are some.
    pub(in crate::expert) fn adopt(&mut self, beginning: KvCache) {
        self.fed = beginning.len();
        self.cache = beginning;
        self.unseen.retain(|placed| placed.span.start >= self.fed);
        self.tell_prefill();
    }

    /// What it has computed, for those that begin alike. Empty when it failed.
    pub(in crate::expert) fn into_prefix(self) -> Prefix {
        let keys = self.keys();
        Prefix::new(self.job.scope, keys, self.cache)
    }

    /// The cache of its first `tokens`, for a sequence that begins alike.
    pub(in crate::expert) fn beginning(&self, tokens: usize) -> Option<KvCache> {
        self.cache.prefix(tokens)
    }

    /// How many of its tokens are computed.
    pub(in crate::expert) fn computed(&self) -> usize {
        self.cache.len()
    }

    /// Gives its memory to others, and what was in it to whoever wants it. It goes on where it was if that is kept until
    /// then; what is not is computed anew, with the same result; not where pictures are in it, which are gone.
    pub(in crate::expert) fn yield_memory(&mut self, model: &Model) -> Prefix {
        let keys = self.keys();
        let empty = model.new_cache(self.job.most_tokens());
        self.fed = 0;
        self.begun = false;
        Prefix::new(self.job.scope, keys, std::mem::replace(&mut self.cache, empty))
    }

    pub(in crate::expert) fn priority(&self) -> Priority {
        self.job.priority
    }

    /// Whether it may be asked to.
    pub(in crate::expert) fn may_yield(&self) -> bool {
        self.fingerprints.is_empty()
    }

    /// Lets go of what it sees no more. Where texts are weighed, each goes back to the end of the prompt.
    pub(in crate::expert) fn forget_unseen(&mut self) {
        if self.job.weighing.is_none() {
            self.cache.forget_unseen();
        }
    }

    /// Blocks of the KV cache that it takes for `tokens` more, beyond those it has.
    pub(in crate::expert) fn needs(&self, tokens: usize) -> usize {
        self.cache.needs(tokens)
    }

    /// Blocks that it takes beyond those of a beginning, or of what it has: for its tokens and one more, or for all
    /// that may come where it can't give them back.
    pub(in crate::expert) fn takes(&self, beginning: Option<&KvCache>) -> usize {
        let cache = beginning.unwrap_or(&self.cache);
        let yields = self.may_yield();
        let end = if yields { self.tokens.len() + 1 } else { self.job.most_tokens() };
        cache.needs(end - cache.len())
    }
}
