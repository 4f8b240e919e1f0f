//! Token ids to text as they come: whole characters only, and the blanks that the whole text would
//! have.

use std::sync::Arc;

use super::Tokenizer;

/// Tokens held back while they may still be half a character. The longest UTF-8 character has four
/// bytes, and vocabularies with one token per byte can string a few such characters together.
const HELD_TOKENS_MAX: usize = 16;
/// What an incomplete character decodes to.
const HALF: char = '\u{FFFD}';

/// The text of one reply, token by token.
///
/// A token's text depends on its neighbours (a leading blank is dropped at the very beginning,
/// bytes join into characters), so each new text is the difference between decoding a short window
/// with and without the new tokens. The window begins one piece before what is new.
pub(crate) struct Detokenizer {
    tokenizer: Arc<Tokenizer>,
    window: Vec<u32>,
    /// Tokens at the window's beginning whose text is out.
    settled: usize,
    /// The text of those.
    before: String,
}

impl Detokenizer {
    pub(crate) fn new(tokenizer: Arc<Tokenizer>) -> Self {
        Self { tokenizer, window: Vec::new(), settled: 0, before: String::new() }
    }

    /// Takes a token and returns the text that is now certain, possibly none.
    pub(crate) fn push(&mut self, token: u32) -> String {
        self.window.push(token);
        let held = self.window.len() - self.settled;
        let after = self.tokenizer.decode(&self.window);
        if after.ends_with(HALF) && held < HELD_TOKENS_MAX {
            return String::new();
        }
        let fresh = match after.strip_prefix(&self.before) {
            Some("") if held < HELD_TOKENS_MAX => return String::new(),
            Some(fresh) => fresh.to_owned(),
            None if held < HELD_TOKENS_MAX => return String::new(),
            None => self.tokenizer.decode(&self.window[self.settled..]),
        };
        self.settle();
        fresh
    }

    /// What was held back, at the end of a reply.
    pub(crate) fn finish(&mut self) -> String {
        let after = self.tokenizer.decode(&self.window);
        let rest = after.strip_prefix(&self.before).unwrap_or_default().to_owned();
        self.settle();
        rest
    }

    fn settle(&mut self) {
        self.window.drain(..self.settled);
        self.settled = self.window.len();
        self.before = self.tokenizer.decode(&self.window);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::toy_tokenizer, *};

    const TOYS: [&str; 5] = [
        "phi4_fast",
        "mistral_balanced",
        "qwen_coder",
        "gemma3_multimodal",
        "aya_expanse_multilingual",
    ];

    fn pieces(tokenizer: &Arc<Tokenizer>, ids: &[u32]) -> Vec<String> {
        let mut detokenizer = Detokenizer::new(tokenizer.clone());
        let mut pieces: Vec<_> = ids.iter().map(|&id| detokenizer.push(id)).collect();
        pieces.push(detokenizer.finish());
        pieces
    }

    fn check(text: &str) {
        for toy in TOYS {
            let tokenizer = Arc::new(toy_tokenizer(toy));
            let ids = tokenizer.armed.encode_fast(text, false).unwrap().get_ids().to_vec();
            let pieces = pieces(&tokenizer, &ids);
            assert_eq!(pieces.concat(), tokenizer.decode(&ids), "{toy}: {pieces:?}");
            assert!(pieces.iter().all(|piece| !piece.contains(HALF)), "{toy}: {pieces:?}");
        }
    }

    #[test]
    fn pieces_make_up_the_whole() {
        check("Hello, world!  Two  blanks.\n\n\tA tab.");
        check(" leading blank");
        check("¿Dónde está el baño? Schön. 你好,世界 — こんにちは 👩‍👩‍👧‍👦🇪🇸 مرحبا");
    }

    #[test]
    fn half_a_character_is_held_and_shown_at_the_end() {
        let tokenizer = Arc::new(toy_tokenizer("qwen_coder"));
        let mut ids = tokenizer.armed.encode_fast("a€", false).unwrap().get_ids().to_vec();
        assert!(ids.len() > 2, "the toy has no token for the euro sign");
        ids.pop();
        let pieces = pieces(&tokenizer, &ids);
        assert_eq!(pieces.first().unwrap(), "a");
        assert_eq!(pieces.last().unwrap(), "\u{FFFD}");
        assert!(pieces[1..pieces.len() - 1].iter().all(String::is_empty));
    }

    #[test]
    fn endless_broken_bytes_are_not_held_for_ever() {
        let tokenizer = Arc::new(toy_tokenizer("mistral_balanced"));
        let byte = tokenizer.id("<0xE2>").unwrap();
        let pieces = pieces(&tokenizer, &[byte; 3 * HELD_TOKENS_MAX]);
        assert!(pieces[..2 * HELD_TOKENS_MAX].iter().any(|piece| !piece.is_empty()));
    }
}
