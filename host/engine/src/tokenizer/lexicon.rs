//! The names that a vocabulary has for its tokens, read without building a tokenizer from it.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::marks::is_mark;

/// Which texts are tokens by themselves, and how many tokens there are.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Lexicon {
    /// Tokens that are found whole in a text before it is cut into pieces.
    added: BTreeMap<String, Added>,
    /// Other tokens that look like marks.
    unadded: BTreeMap<String, u32>,
    /// How many ids there are, and one more than the highest of the pieces.
    ids: usize,
    pieces_end: u32,
}

/// A token that is found whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Added {
    pub(crate) id: u32,
    /// Its publisher says that it steers.
    pub(crate) special: bool,
}

impl Lexicon {
    /// Reads the text of a `tokenizer.json`.
    pub(super) fn of_json(bytes: &[u8]) -> serde_json::Result<Self> {
        // A key that is given twice is read again by the looser way, of which the last one counts.
        let read = serde_json::from_slice::<File>(bytes).or_else(|_| {
            serde_json::from_value(serde_json::from_slice::<serde_json::Value>(bytes)?)
        });
        read.map(Self::from)
    }

    /// Takes one token after the other, in the order of their ids.
    pub(super) fn of_tokens<'a>(tokens: impl Iterator<Item = (&'a str, Option<bool>)>) -> Self {
        let mut lexicon = Self::default();
        for (id, (text, special)) in (0u32..).zip(tokens) {
            lexicon.ids += 1;
            match special {
                Some(special) => drop(lexicon.added.insert(text.into(), Added { id, special })),
                None => lexicon.pieces_end = id + 1,
            }
            if special.is_none() && is_mark(text) {
                lexicon.unadded.insert(text.into(), id);
            }
        }
        lexicon
    }

    /// Flags tokens that another file says steer.
    pub(super) fn flag<'a>(&mut self, texts: impl Iterator<Item = &'a str>) {
        for text in texts {
            if let Some(added) = self.added.get_mut(text) {
                added.special = true;
            }
        }
    }

    /// The token that a text is by itself.
    pub(crate) fn id(&self, text: &str) -> Option<u32> {
        let added = self.added.get(text).map(|added| added.id);
        added.or_else(|| self.unadded.get(text).copied())
    }

    /// What a token says, where it is a mark.
    pub(crate) fn text(&self, id: u32) -> Option<&str> {
        let added = self.added.iter().map(|(text, added)| (text, added.id));
        let all = added.chain(self.unadded.iter().map(|(text, id)| (text, *id)));
        all.into_iter().find(|(_, known)| *known == id).map(|(text, _)| text.as_str())
    }

    /// Tokens that are found whole.
    pub(crate) fn added(&self) -> impl Iterator<Item = (&str, Added)> {
        self.added.iter().map(|(text, added)| (text.as_str(), *added))
    }

    /// How many different tokens there are.
    pub(crate) fn len(&self) -> usize {
        self.ids
    }

    /// One more than the highest id that ordinary text can become.
    pub(crate) fn pieces_end(&self) -> u32 {
        self.pieces_end
    }
}

/// What is looked at of a `tokenizer.json`.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    added_tokens: Vec<Entry>,
    #[serde(default)]
    model: Model,
}

#[derive(Deserialize)]
struct Entry {
    id: u32,
    content: String,
    #[serde(default)]
    special: bool,
}

#[derive(Deserialize, Default)]
struct Model {
    #[serde(default)]
    vocab: Vocabulary,
}

/// The pieces: an object with their ids, or a list in the order of the ids.
#[derive(Default)]
struct Vocabulary {
    ids: Vec<u32>,
    marks: Vec<(String, u32)>,
}

impl From<File> for Lexicon {
    fn from(
        File { added_tokens, model: Model { vocab: Vocabulary { mut ids, marks } } }: File,
    ) -> Self {
        let added: BTreeMap<String, Added> = added_tokens
            .into_iter()
            .map(|Entry { id, content, special }| (content, Added { id, special }))
            .collect();
        let mut whole: Vec<u32> = added.values().map(|added| added.id).collect();
        whole.sort_unstable();
        let is_piece = |id: &&u32| whole.binary_search(id).is_err();
        let pieces_end = ids.iter().filter(is_piece).max().map_or(0, |id| id.saturating_add(1));
        ids.extend(&whole);
        ids.sort_unstable();
        ids.dedup();
        let unadded = marks.into_iter().filter(|(text, _)| !added.contains_key(text)).collect();
        Self { added, unadded, ids: ids.len(), pieces_end }
    }
}

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Vocabulary;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a vocabulary")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocabulary, A::Error> {
        let mut vocabulary = Vocabulary::default();
        while let Some((text, id)) = map.next_entry::<String, u32>()? {
            vocabulary.ids.push(id);
            if is_mark(&text) {
                vocabulary.marks.push((text, id));
            }
        }
        Ok(vocabulary)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pieces: A) -> Result<Vocabulary, A::Error> {
        let mut vocabulary = Vocabulary::default();
        for id in 0u32.. {
            if pieces.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
            vocabulary.ids.push(id);
        }
        Ok(vocabulary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_without_a_tokenizer() {
        let text = r#"{"added_tokens": [{"id": 3, "content": "<|end|>", "special": true},
            {"id": 5, "content": "<x>", "special": false}],
            "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "</s>": 2, "<|end|>": 3}}}"#;
        let lexicon = Lexicon::of_json(text.as_bytes()).unwrap();
        let ids = ["<|end|>", "<x>", "</s>", "a"].map(|text| lexicon.id(text));
        assert_eq!(ids, [Some(3), Some(5), Some(2), None]);
        assert_eq!((lexicon.len(), lexicon.pieces_end(), lexicon.text(2)), (5, 3, Some("</s>")));
        let doubled = text.replacen('{', "{\"model\": {}, ", 1);
        assert_eq!(Lexicon::of_json(doubled.as_bytes()).unwrap(), lexicon);
        let tokens = [("a", None), ("b", None), ("</s>", None), ("<|end|>", Some(true))];
        let listed = Lexicon::of_tokens(tokens.into_iter());
        assert_eq!((listed.id("<|end|>"), listed.id("</s>"), listed.len()), (Some(3), Some(2), 4));
    }
}
