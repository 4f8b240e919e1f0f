//! A `vocab.txt`, as BERT was published with, written as the `tokenizer.json` that it stands for.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::{
    files::{CheckpointError, malformed, side},
    limits::VOCABULARY_BYTES_MAX,
};

const FILE: &str = "vocab.txt";
/// Tokens that are never text, of which the first three have to be there.
const SPECIAL: [&str; 5] = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"];
/// Longer words are unknown, as they are to transformers.
const WORD_CHARS_MAX: usize = 100;

/// The vocabulary of a folder; `None` where there is no `vocab.txt`.
pub(super) fn read(folder: &Path) -> Result<Option<(PathBuf, Vec<u8>)>, CheckpointError> {
    let file = folder.join(FILE);
    let Some(text) = side::text(&file, VOCABULARY_BYTES_MAX)? else { return Ok(None) };
    let config = side::object_or_empty(&folder.join("tokenizer_config.json"));
    let written = written(&text, &config).map_err(|problem| malformed(&file, problem))?;
    Ok(Some((file, written.to_string().into_bytes())))
}

fn written(text: &str, config: &Map<String, Value>) -> Result<Value, String> {
    let mut vocab = Map::new();
    for (id, piece) in text.lines().enumerate() {
        if vocab.insert(piece.to_owned(), id.into()).is_some() {
            return Err(format!("has '{piece}' twice"));
        }
    }
    let id = |piece: &str| vocab.get(piece).cloned();
    let need = |piece: &str| id(piece).ok_or_else(|| format!("lacks '{piece}'"));
    let [_, cls, sep] = [need(SPECIAL[0])?, need(SPECIAL[1])?, need(SPECIAL[2])?];
    let added = SPECIAL.into_iter().filter_map(|content| {
        let id = id(content)?;
        Some(json!({
            "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true
        }))
    });
    let flag = |key: &str| config.get(key).and_then(Value::as_bool);
    Ok(json!({
        "version": "1.0",
        "added_tokens": added.collect::<Vec<_>>(),
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": true,
            "handle_chinese_chars": flag("tokenize_chinese_chars").unwrap_or(true),
            "strip_accents": flag("strip_accents"),
            "lowercase": flag("do_lower_case").unwrap_or(true)
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": [SPECIAL[2], sep], "cls": [SPECIAL[1], cls]},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {
            "type": "WordPiece",
            "unk_token": SPECIAL[0],
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": WORD_CHARS_MAX,
            "vocab": vocab
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_no_vocabulary_is_refused() {
        let check = |text: &str, expect: &str| {
            assert_eq!(written(text, &Map::new()).unwrap_err(), expect, "{text}");
        };
        check("[UNK]\n[CLS]\nword\n", "lacks '[SEP]'");
        check("[UNK]\n[CLS]\n[SEP]\nword\nword\n", "has 'word' twice");
        check("", "lacks '[UNK]'");
    }
}
