//! An expert's vocabulary as a trie of bytes, which grammars are held against.

use llguidance::toktrie::{TokEnv, TokRxInfo, TokTrie, TokenId, TokenizerEnv};

use crate::tokenizer::Tokenizer;

/// The trie. Grammars force no tokens here, so nothing is ever encoded the way the expert would.
struct Vocabulary(TokTrie);

impl TokenizerEnv for Vocabulary {
    fn tok_trie(&self) -> &TokTrie {
        &self.0
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        self.0.greedy_tokenize(bytes)
    }

    fn tokenize_is_canonical(&self) -> bool {
        false
    }
}

/// `vocab_size` tokens, of which `ends` end a reply. Control tokens are no text, and the rows of a model
/// beyond its tokenizer are nothing.
pub(super) fn environment(tokenizer: &Tokenizer, vocab_size: u32, ends: &[u32]) -> TokEnv {
    let word = |token: u32| match tokenizer.is_silent(token) || ends.contains(&token) {
        true => [&[TokTrie::SPECIAL_TOKEN_MARKER], &tokenizer.token_bytes(token)[..]].concat(),
        false => tokenizer.token_bytes(token),
    };
    let words: Vec<Vec<u8>> = (0..vocab_size).map(word).collect();
    let end = ends.first().copied().unwrap_or(0);
    let trie = TokTrie::from(&TokRxInfo::new(vocab_size, end), &words);
    std::sync::Arc::new(Vocabulary(trie.with_eos_tokens(ends)))
}
