//! Tokenizers rebuilt from GGUF metadata, equal to the `tokenizer.json` they once came from.
//!
//! Two kinds are known: `gpt2` (byte-level BPE with a merge list, cut by a named pre-tokenizer) and
//! `llama` (SentencePiece BPE with scores and byte fallback). Names as in llama.cpp's
//! `llama-vocab.cpp`.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use tokenizers::{
    AddedToken, NormalizerWrapper, PreTokenizerWrapper, SplitDelimiterBehavior, Tokenizer,
    decoders::{
        DecoderWrapper, byte_fallback::ByteFallback, fuse::Fuse, sequence::Sequence as Decoders,
        strip::Strip,
    },
    models::bpe::{BPE, Merges, Vocab},
    normalizers::{NFC, Prepend, Replace, utils::Sequence as Normalizers},
    pre_tokenizers::{
        byte_level::ByteLevel,
        digits::Digits,
        sequence::Sequence as PreTokenizers,
        split::{Split, SplitPattern},
    },
};

use super::{
    lexicon::Lexicon,
    marks::{PICTURE_MARKS, is_control_by_name},
};
use crate::files::GgufMetadata;

/// `tokenizer.ggml.token_type` values.
const NORMAL: i64 = 1;
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;
/// Gemma's turns, which some converters file under `NORMAL`.
const TURN_MARKS: [&str; 2] = ["<start_of_turn>", "<end_of_turn>"];
/// SentencePiece's blank.
const BLANK: &str = "▁";
/// Longer pieces are never the result of a merge; keeps the search for merges from growing square.
const PIECE_CHARS_MAX: usize = 128;

/// Llama 3: words with one sign before them, numbers of up to three digits.
const LLAMA3: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
/// Qwen 2: the same, but every digit by itself.
const QWEN2: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
/// GPT-4o and Phi 4: words are also cut where lower case turns to upper case.
const O200K: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*",
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+",
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);
/// Mistral's Tekken: as GPT-4o, but without its contractions, and every digit by itself.
const TEKKEN: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);

/// How a byte-level BPE cuts text before merging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// GPT-2's own pattern.
    Gpt2,
    /// Every digit by itself, then GPT-2's pattern.
    Digits,
    /// Digits, behind Unicode composition.
    ComposedDigits,
    /// The pattern given; true composes first.
    Pattern(&'static str, bool),
}

impl Cut {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "default" | "gpt-2" | "gpt2" => Self::Gpt2,
            "smollm" | "starcoder" | "refact" => Self::Digits,
            "command-r" => Self::ComposedDigits,
            "llama-bpe" | "llama3" | "llama-v3" | "falcon3" | "smaug-bpe" | "dbrx" => {
                Self::Pattern(LLAMA3, false)
            }
            "qwen2" | "deepseek-r1-qwen" => Self::Pattern(QWEN2, true),
            "gpt-4o" | "llama4" => Self::Pattern(O200K, false),
            "tekken" => Self::Pattern(TEKKEN, false),
            _ => return None,
        })
    }

    fn composes(self) -> bool {
        matches!(self, Self::ComposedDigits | Self::Pattern(_, true))
    }

    fn pre_tokenizer(self) -> Result<PreTokenizerWrapper, String> {
        let bytes = |cuts: bool| PreTokenizerWrapper::from(ByteLevel::new(false, true, cuts));
        let steps = match self {
            Self::Gpt2 => vec![bytes(true)],
            Self::Digits | Self::ComposedDigits => vec![Digits::new(true).into(), bytes(true)],
            Self::Pattern(pattern, _) => {
                let pattern = SplitPattern::Regex(pattern.into());
                let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false);
                vec![split.map_err(|error| error.to_string())?.into(), bytes(false)]
            }
        };
        Ok(PreTokenizers::new(steps).into())
    }
}

/// Whether a word that is a token stays whole, whatever the merges would make of it.
fn keeps_whole_words(cut: &str) -> bool {
    matches!(cut, "llama-bpe" | "llama3" | "llama-v3" | "falcon3" | "tekken")
}

/// The metadata that makes a tokenizer.
#[derive(Debug)]
struct Parts<'a> {
    kind: &'a str,
    cut: &'a str,
    tokens: &'a [String],
    types: &'a [i64],
    merges: &'a [String],
    scores: &'a [f32],
    /// SentencePiece puts a blank before the text.
    leading_blank: bool,
    unknown: Option<u32>,
}

impl<'a> Parts<'a> {
    fn of(metadata: &'a GgufMetadata) -> Self {
        let key = |name: &str| format!("tokenizer.ggml.{name}");
        Self {
            kind: metadata.get_str(&key("model")).unwrap_or_default(),
            cut: metadata.get_str(&key("pre")).unwrap_or("default"),
            tokens: metadata.get_strings(&key("tokens")).unwrap_or_default(),
            types: metadata.get_integers(&key("token_type")).unwrap_or_default(),
            merges: metadata.get_strings(&key("merges")).unwrap_or_default(),
            scores: metadata.get_floats(&key("scores")).unwrap_or_default(),
            leading_blank: metadata.get_bool(&key("add_space_prefix")).unwrap_or(true),
            unknown: metadata.get_u32(&key("unknown_token_id")),
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.tokens.is_empty() {
            return Err("the file carries no tokenizer (tokenizer.ggml.tokens)".into());
        }
        match self.kind {
            "gpt2" if Cut::named(self.cut).is_none() => {
                Err(format!("the pre-tokenizer '{}' is not known", self.cut))
            }
            "gpt2" | "llama" => Ok(()),
            other => Err(format!("the tokenizer kind '{other}' is not known")),
        }
    }

    fn build(&self) -> Result<Tokenizer, String> {
        self.check()?;
        let mut tokenizer = match self.kind {
            "llama" => self.sentencepiece()?,
            _ => self.byte_level()?,
        };
        self.add_special(&mut tokenizer)?;
        Ok(tokenizer)
    }

    fn byte_level(&self) -> Result<Tokenizer, String> {
        let Some(cut) = Cut::named(self.cut) else {
            return Err(format!("the pre-tokenizer '{}' is not known", self.cut));
        };
        let pairs = self.merges.iter().filter_map(|merge| merge.split_once(' '));
        let merges = pairs.map(|(left, right)| (left.to_owned(), right.to_owned())).collect();
        let model = BPE::builder()
            .vocab_and_merges(self.vocabulary(), merges)
            .ignore_merges(keeps_whole_words(self.cut));
        let mut tokenizer = Tokenizer::new(model.build().map_err(|error| error.to_string())?);
        if cut.composes() {
            tokenizer.with_normalizer(Some(NFC)).map_err(|error| error.to_string())?;
        }
        tokenizer.with_pre_tokenizer(Some(cut.pre_tokenizer()?));
        tokenizer.with_decoder(Some(ByteLevel::default()));
        Ok(tokenizer)
    }

    fn sentencepiece(&self) -> Result<Tokenizer, String> {
        let mut model = BPE::builder()
            .vocab_and_merges(self.vocabulary(), self.merges_by_score())
            .fuse_unk(true)
            .byte_fallback(true);
        if let Some(unknown) = self.unknown.and_then(|id| self.tokens.get(id as usize)) {
            model = model.unk_token(unknown.clone());
        }
        let mut tokenizer = Tokenizer::new(model.build().map_err(|error| error.to_string())?);
        let blanks = Replace::new(" ", BLANK).map_err(|error| error.to_string())?;
        let normalizer: NormalizerWrapper = if self.leading_blank {
            Normalizers::new(vec![Prepend::new(BLANK.into()).into(), blanks.into()]).into()
        } else {
            blanks.into()
        };
        tokenizer.with_normalizer(Some(normalizer)).map_err(|error| error.to_string())?;
        tokenizer.with_decoder(Some(self.sentencepiece_decoder()?));
        Ok(tokenizer)
    }

    fn sentencepiece_decoder(&self) -> Result<DecoderWrapper, String> {
        let blanks = Replace::new(BLANK, " ").map_err(|error| error.to_string())?;
        let mut steps: Vec<DecoderWrapper> =
            vec![blanks.into(), ByteFallback::new().into(), Fuse::new().into()];
        if self.leading_blank {
            steps.push(Strip::new(' ', 1, 0).into());
        }
        Ok(Decoders::new(steps).into())
    }

    fn vocabulary(&self) -> Vocab {
        self.texts().map(|(id, text)| (text.into_owned(), id)).collect()
    }

    /// Every token as the tokenizer knows it.
    fn texts(&self) -> impl Iterator<Item = (u32, Cow<'a, str>)> {
        (0u32..).zip(self.tokens).map(|(id, text)| (id, self.text_of(id, text)))
    }

    /// The converter writes the runs of blanks among the tokens that SentencePiece was given as
    /// plain blanks; there they are pieces like others.
    fn text_of(&self, id: u32, text: &'a str) -> Cow<'a, str> {
        let given = self.kind == "llama" && self.type_of(id) == USER_DEFINED;
        let blanks = given && !text.is_empty() && text.bytes().all(|byte| byte == b' ');
        if blanks { BLANK.repeat(text.len()).into() } else { text.into() }
    }

    /// SentencePiece stores no merges: every way to cut a piece into two known pieces is one, and a
    /// higher score merges earlier, then the longer left side, then the longer right one. Pieces
    /// that were given to it and not learnt come before all. This is the reconstruction that the
    /// published `tokenizer.json` files come from, the same list in the same order.
    fn merges_by_score(&self) -> Merges {
        let ids = self.vocabulary();
        let mut merges = Vec::new();
        for (id, piece) in self.texts() {
            let score = match self.type_of(id) {
                NORMAL => self.scores.get(id as usize).copied().unwrap_or(0.0),
                USER_DEFINED => 0.0,
                _ => continue,
            };
            if piece.chars().count() > PIECE_CHARS_MAX {
                continue;
            }
            for (at, _) in piece.char_indices().skip(1) {
                let (left, right) = piece.split_at(at);
                if ids.contains_key(left) && ids.contains_key(right) {
                    let lengths = (left.chars().count(), right.chars().count());
                    merges.push((score, lengths, (left.to_owned(), right.to_owned())));
                }
            }
        }
        merges.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
        merges.into_iter().map(|(.., pair)| pair).collect()
    }

    fn add_special(&self, tokenizer: &mut Tokenizer) -> Result<(), String> {
        let of_type = |wanted: i64, special: bool| {
            let texts = self.texts().filter(move |(id, _)| self.type_of(*id) == wanted);
            texts.map(move |(_, text)| AddedToken::from(text, special).normalized(false))
        };
        tokenizer.add_special_tokens(of_type(CONTROL, true)).map_err(|error| error.to_string())?;
        tokenizer.add_tokens(of_type(USER_DEFINED, false)).map_err(|error| error.to_string())?;
        Ok(())
    }

    fn type_of(&self, id: u32) -> i64 {
        match self.types.get(id as usize).copied().unwrap_or(NORMAL) {
            USER_DEFINED if self.is_among(id, |text| PICTURE_MARKS.contains(&text)) => CONTROL,
            // No text that people write is a piece of these names.
            NORMAL if self.is_among(id, is_steering) => CONTROL,
            filed => filed,
        }
    }

    fn is_among(&self, id: u32, these: impl Fn(&str) -> bool) -> bool {
        self.tokens.get(id as usize).is_some_and(|text| these(text))
    }
}

fn is_steering(text: &str) -> bool {
    TURN_MARKS.contains(&text) || is_control_by_name(text)
}

/// The names that a file has for its tokens.
pub(super) fn lexicon(metadata: &GgufMetadata) -> Lexicon {
    let parts = Parts::of(metadata);
    let flag = |id: u32| match parts.type_of(id) {
        CONTROL => Some(true),
        USER_DEFINED => Some(false),
        _ => None,
    };
    Lexicon::of_tokens((0..).zip(parts.tokens).map(|(id, text)| (text.as_str(), flag(id))))
}

/// Says what keeps a file's tokenizer from being rebuilt, without the work of rebuilding it.
pub(crate) fn check_vocabulary(metadata: &GgufMetadata) -> Result<(), String> {
    Parts::of(metadata).check()
}

/// The tokenizer, and the token that goes before plain text where the file asks for one.
pub(super) fn rebuild(metadata: &GgufMetadata) -> Result<(Tokenizer, Option<u32>), String> {
    let parts = Parts::of(metadata);
    let tokenizer = parts.build()?;
    // Older files leave it to whoever knows the kind.
    let usual = parts.kind == "llama" || keeps_whole_words(parts.cut);
    let asked = metadata.get_bool("tokenizer.ggml.add_bos_token").unwrap_or(usual);
    let opening = metadata.get_u32("tokenizer.ggml.bos_token_id").filter(|_| asked);
    Ok((tokenizer, opening))
}
