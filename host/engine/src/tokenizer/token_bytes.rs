//! What single tokens stand for, as bytes: whole characters need several tokens in some vocabularies.

use super::Tokenizer;

/// Stands for a blank in vocabularies of SentencePiece.
const BLANK: char = '▁';

impl Tokenizer {
    /// How many tokens there are.
    #[cfg(test)]
    pub(crate) fn tokens(&self) -> u32 {
        u32::try_from(self.armed.get_vocab_size(true)).unwrap_or(u32::MAX)
    }

    /// Whether a token is left out of replies.
    pub(crate) fn is_silent(&self, token: u32) -> bool {
        self.controls.ids.contains(&token) || self.added(token).is_some_and(|added| added.special)
    }

    /// What a token stands for; nothing where there is no such token.
    pub(crate) fn token_bytes(&self, token: u32) -> Vec<u8> {
        let Some(text) = self.armed.id_to_token(token) else { return Vec::new() };
        if self.added(token).is_some() {
            return text.into_bytes();
        }
        if self.writes_letters() {
            return text.chars().flat_map(byte_of_letter).collect();
        }
        match byte_of_piece(&text) {
            Some(byte) => vec![byte],
            None => text.replace(BLANK, " ").into_bytes(),
        }
    }

    fn added(&self, token: u32) -> Option<&tokenizers::AddedToken> {
        self.armed.get_added_vocabulary().get_added_tokens_decoder().get(&token)
    }

    /// Whether the vocabulary writes a letter for each byte, as GPT-2 has it; or else text, with `▁` for blanks and
    /// `<0x0A>` for bytes.
    fn writes_letters(&self) -> bool {
        *self.letters.get_or_init(|| {
            let decoder = self.armed.get_decoder().map(serde_json::to_string);
            decoder.is_some_and(|json| json.is_ok_and(|json| json.contains("ByteLevel")))
        })
    }
}

/// GPT-2's letters: printable bytes stand for themselves, the others for letters from U+0100 on.
fn byte_of_letter(letter: char) -> Vec<u8> {
    let code = u32::from(letter);
    let plain = |byte: u32| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let hidden = || (0..=0xff).filter(|byte| !plain(*byte)).nth(code.checked_sub(0x100)? as usize);
    let byte = if plain(code) { Some(code) } else { hidden() };
    match byte.and_then(|byte| u8::try_from(byte).ok()) {
        Some(byte) => vec![byte],
        None => letter.to_string().into_bytes(),
    }
}

fn byte_of_piece(text: &str) -> Option<u8> {
    let hex = text.strip_prefix("<0x")?.strip_suffix('>')?;
    (hex.len() == 2).then(|| u8::from_str_radix(hex, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::{super::tests::toy_tokenizer, *};

    #[test]
    fn letters_are_bytes() {
        let check = |letter, byte: u8| assert_eq!(byte_of_letter(letter), [byte], "{letter}");
        check('a', b'a');
        check('Ġ', b' ');
        check('Ċ', b'\n');
        check('Ã', 0xc3);
        check('Ń', 0xad);
    }

    #[test]
    fn tokens_of_a_text_spell_it() {
        for id in ["phi4_fast", "mistral_balanced", "qwen_coder", "gemma3_multimodal"] {
            let tokenizer = toy_tokenizer(id);
            let text = "Añadir {\"a\": [1, 2]}\n\tñandú 🦀";
            let ids = tokenizer.encode_rendered(text).unwrap();
            let bytes: Vec<u8> = ids.iter().flat_map(|id| tokenizer.token_bytes(*id)).collect();
            assert_eq!(String::from_utf8(bytes).unwrap().trim_start(), text, "{id}");
        }
    }
}
