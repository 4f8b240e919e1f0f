//! The tokens that steer an expert, from everything that its checkpoint says of them: keys, names, and
//! what its chat template writes. Publishers forget to flag some and to name others, so no one place is
//! believed alone.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    generation::Generation,
    template::{TokenNames, TurnMarks},
    tokenizer::{Lexicon, PICTURE_MARKS, is_control_by_name, is_mark},
};

/// Names that tokens which end a turn or a text have in published vocabularies.
const KNOWN_ENDS: &[&str] = &[
    "<|END_OF_TURN_TOKEN|>",
    "<|end_of_sentence|>",
    "<|end_of_text|>",
    "<|end_of_turn|>",
    "<|endoftext|>",
    "<|endofturn|>",
    "<|end|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|eot|>",
    "<|im_end|>",
    "<EOT>",
    "<end_of_turn>",
    "<end_of_utterance>",
    "<eos>",
    "<｜end▁of▁sentence｜>",
    "[EOS]",
    "[EOT]",
    "_<EOT>",
];
/// An end in most vocabularies, and a piece of HTML in some; the flag tells.
const KNOWN_END_OR_HTML: &str = "</s>";
/// Keys of names that end a reply.
const END_NAMES: [&str; 3] = ["eos_token", "eot_token", "eom_token"];

/// Which tokens do what, whatever they are flagged as.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Steering {
    /// Any of these ends a reply, and what it says.
    pub(crate) ends: BTreeMap<u32, String>,
    /// Nobody types these in a conversation.
    pub(crate) reserved: BTreeSet<String>,
    /// Nor are they tokens in a prompt that a client wrote itself.
    pub(crate) textual: BTreeSet<String>,
    /// Ends that the model does not know.
    pub(crate) unknown_ends: Vec<String>,
}

impl Steering {
    /// From the names of a vocabulary, what the checkpoint says of generating, and the source of its template
    /// with what that writes.
    pub(crate) fn of(
        lexicon: &Lexicon,
        generation: &Generation,
        names: &TokenNames,
        (template, marks): (Option<&str>, Option<&TurnMarks>),
        vocab_size: u32,
    ) -> Self {
        let mut steering = Self::default();
        steering.find_ends(lexicon, generation, names, marks, vocab_size);
        for (text, token) in lexicon.added() {
            let beyond = token.id >= vocab_size;
            let written = marks.is_some_and(|marks| marks.write(text))
                || (is_mark(text) && template.is_some_and(|source| source.contains(text)));
            let ends = steering.ends.contains_key(&token.id);
            let named = names.values().any(|name| name == text);
            let picture = PICTURE_MARKS.contains(&text);
            if named
                || picture
                || token.special
                || beyond
                || written
                || ends
                || is_control_by_name(text)
            {
                steering.reserved.insert(text.to_owned());
            }
            if beyond || picture {
                steering.textual.insert(text.to_owned());
            }
        }
        steering
    }

    fn find_ends(
        &mut self,
        lexicon: &Lexicon,
        generation: &Generation,
        names: &TokenNames,
        marks: Option<&TurnMarks>,
        vocab_size: u32,
    ) {
        for &id in &generation.ends {
            self.add_end(id, lexicon.text(id).unwrap_or_default(), vocab_size);
        }
        for name in END_NAMES.into_iter().filter_map(|key| names.get(key)) {
            match lexicon.id(name) {
                Some(id) => self.add_end(id, name, vocab_size),
                None => self.unknown_ends.push(format!("'{name}'")),
            }
        }
        for (text, token) in lexicon.added() {
            let flagged = text == KNOWN_END_OR_HTML && token.special;
            if flagged || KNOWN_ENDS.contains(&text) {
                self.add_end(token.id, text, vocab_size);
            }
        }
        let behind = marks.and_then(|marks| marks.behind_reply(lexicon.added().map(|(t, _)| t)));
        if let Some((text, id)) = behind.and_then(|text| Some((text, lexicon.id(text)?))) {
            self.add_end(id, text, vocab_size);
        }
    }

    fn add_end(&mut self, id: u32, text: &str, vocab_size: u32) {
        match id < vocab_size {
            true => drop(self.ends.entry(id).or_insert_with(|| text.to_owned())),
            false => self.unknown_ends.push(format!("{id}")),
        }
    }
}
