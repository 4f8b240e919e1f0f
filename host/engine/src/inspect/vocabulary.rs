//! Whether the vocabulary beside the weights is the one they were trained with, as far as its names tell,
//! and which of its tokens end a reply.

use super::finding::{
    Inspection,
    Severity::{Error, Note, Warning},
};
use crate::{
    files::{CheckpointError, Kind, Source},
    opened::Opened,
    tokenizer::{self, Lexicon, check_vocabulary},
};

/// Embeddings have more rows than there are tokens: up to so many, or so large a part of all.
const SPARE_ROWS: usize = 256;
const SPARE_PART: usize = 32;

pub(super) fn survey(opened: &Opened, inspection: &mut Inspection) {
    let source = opened.checkpoint.source();
    if let Source::Gguf(_, metadata) = source
        && let Err(problem) = check_vocabulary(metadata)
    {
        let mend = "use the Hugging Face folder of this model instead";
        return inspection.add(Error, "tokenizer-unsupported", problem, mend);
    }
    match tokenizer::lexicon(source) {
        Ok(lexicon) => {
            compare(&lexicon, opened.checkpoint.spec().vocab_size, inspection);
            ends(opened, &lexicon, inspection);
        }
        Err(damage) if damage.kind == Kind::Missing => {
            inspection.add(Error, "tokenizer-missing", damage.message(), damage.mend);
        }
        Err(damage) => damaged(damage, inspection),
    }
}

fn damaged(damage: CheckpointError, inspection: &mut Inspection) {
    if damage.kind.passes() {
        return inspection.push(damage.into());
    }
    inspection.add(Error, "tokenizer-damaged", damage.message(), "download it again");
}

/// Holds the ids of the vocabulary against the rows of the embedding.
fn compare(lexicon: &Lexicon, rows: u32, inspection: &mut Inspection) {
    let mend = "put the tokenizer of this very checkpoint there";
    if lexicon.pieces_end() > rows {
        let last = lexicon.pieces_end() - 1;
        let message =
            format!("its tokenizer makes token {last}, but the model knows {rows} tokens");
        return inspection.add(Error, "tokenizer-mismatch", message, mend);
    }
    let spare = (rows as usize).saturating_sub(lexicon.len());
    if spare > SPARE_ROWS.max(rows as usize / SPARE_PART) {
        let known = lexicon.len();
        let message = format!("its tokenizer has {known} tokens, but the model knows {rows}");
        return inspection.add(Error, "tokenizer-mismatch", message, mend);
    }
    let beyond: Vec<&str> =
        lexicon.added().filter(|(_, token)| token.id >= rows).map(|(text, _)| text).collect();
    if let [first, ..] = beyond[..] {
        let message = format!(
            "{} of the tokenizer's added tokens, '{first}' for one, are beyond the {rows} that the \
             model knows; they are read as ordinary text",
            beyond.len()
        );
        inspection.add(Note, "tokens-beyond-the-embedding", message, "");
    }
}

fn ends(opened: &Opened, lexicon: &Lexicon, inspection: &mut Inspection) {
    let steering = match opened.steering_by(lexicon) {
        Ok(steering) => steering,
        Err(lack) if lack.kind.passes() => return, // said of the template already
        Err(damage) => return damaged(damage, inspection),
    };
    for unknown in &steering.unknown_ends {
        let message = format!("the end token {unknown} is none that the model knows");
        let mend = "correct eos_token_id and eos_token, or fetch the tokenizer again";
        inspection.add(Warning, "end-token-unknown", message, mend);
    }
    if steering.ends.is_empty() {
        let message = "no file names an end token, so replies end at max_tokens only";
        let mend = "add generation_config.json with eos_token_id";
        return inspection.add(Warning, "end-token-missing", message, mend);
    }
    let shown = |(id, text): (&u32, &String)| match text.as_str() {
        "" => id.to_string(),
        text => format!("{text} ({id})"),
    };
    let ends: Vec<String> = steering.ends.iter().map(shown).collect();
    inspection.add(Note, "end-tokens", format!("a reply ends with {}", ends.join(", ")), "");
}
