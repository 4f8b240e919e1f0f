//! Vocabularies of GGUF files, cut as their reference tokenizers cut.

use std::fs;

use serde_json::Value;
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

use super::{
    super::{Tokenizer, corpus::check_texts, tests::toy},
    *,
};

/// A toy's tokenizer.json taken apart into what a GGUF file would carry.
struct Carried {
    tokens: Vec<String>,
    types: Vec<i64>,
    merges: Vec<String>,
    scores: Vec<f32>,
}

fn carry(json: &Value) -> Carried {
    let mut tokens: Vec<(u64, String)> = json["model"]["vocab"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(text, id)| (id.as_u64().unwrap(), text.clone()))
        .collect();
    let added = json["added_tokens"].as_array().unwrap();
    for token in added {
        tokens.push((token["id"].as_u64().unwrap(), token["content"].as_str().unwrap().into()));
    }
    tokens.sort();
    tokens.dedup();
    let mut types = vec![NORMAL; tokens.len()];
    for token in added {
        let special = token["special"].as_bool().unwrap();
        types[token["id"].as_u64().unwrap() as usize] =
            if special { CONTROL } else { USER_DEFINED };
    }
    let pair =
        |merge: &Value| format!("{} {}", merge[0].as_str().unwrap(), merge[1].as_str().unwrap());
    Carried {
        scores: (0..tokens.len()).map(|id| -(id as f32)).collect(),
        tokens: tokens.into_iter().map(|(_, text)| text).collect(),
        types,
        merges: json["model"]["merges"].as_array().unwrap().iter().map(pair).collect(),
    }
}

/// The rebuilt tokenizer agrees with the original on every recorded conversation and on the
/// corpus.
fn check(id: &str, kind: &str, cut: &str, leading_blank: bool) {
    let read = |name: &str| fs::read_to_string(toy(id).join(name)).unwrap();
    let json: Value = serde_json::from_str(&read("tokenizer.json")).unwrap();
    let carried = carry(&json);
    let unknown = carried.tokens.iter().position(|token| token == "<unk>");
    let parts = Parts {
        kind,
        cut,
        tokens: &carried.tokens,
        types: &carried.types,
        merges: &carried.merges,
        scores: &carried.scores,
        leading_blank,
        unknown: unknown.map(|id| id as u32),
    };
    let rebuilt = parts.build().unwrap();
    let recorded: Value = serde_json::from_str(&read("recorded.json")).unwrap();
    for entry in recorded["entries"].as_array().unwrap() {
        let rendered = entry["rendered"].as_str().unwrap();
        let ids = rebuilt.encode_fast(rendered, false).unwrap();
        assert_eq!(serde_json::json!(ids.get_ids()), entry["prompt_ids"], "{id}: {rendered:?}");
        let answer: Vec<u32> = serde_json::from_value(entry["answer_ids"].clone()).unwrap();
        assert_eq!(rebuilt.decode(&answer, true).unwrap(), entry["answer"].as_str().unwrap());
    }
    let opening = json["post_processor"]["single"][0]["SpecialToken"]["id"].as_str();
    let opening = opening.and_then(|text| rebuilt.token_to_id(text));
    check_texts(id, &Tokenizer::new(rebuilt, opening).unwrap());
}

#[test]
fn byte_level_vocabularies_are_rebuilt() {
    check("qwen_coder", "gpt2", "qwen2", true);
    check("phi4_fast", "gpt2", "gpt-4o", true);
    check("aya_expanse_multilingual", "gpt2", "command-r", true);
}

#[test]
fn sentencepiece_vocabularies_are_rebuilt() {
    check("mistral_balanced", "llama", "default", true);
    check("gemma3_multimodal", "llama", "default", false);
}

/// Where they cut a text, byte by byte, before anything is merged.
fn pieces(cut: &str, text: &str) -> Vec<String> {
    let mut text = PreTokenizedString::from(text);
    Cut::named(cut).unwrap().pre_tokenizer().unwrap().pre_tokenize(&mut text).unwrap();
    let splits = text.get_splits(OffsetReferential::Original, OffsetType::Byte);
    splits.into_iter().map(|(piece, ..)| piece.replace('Ġ', " ")).collect()
}

#[test]
fn each_cut_has_its_own_idea_of_a_word() {
    let check = |names: &[&str], expected: &[&str]| {
        for name in names {
            assert_eq!(pieces(name, "don't 2024 parseXML"), expected, "{name}");
        }
    };
    check(&["default", "gpt-2"], &["don", "'t", " 2024", " parseXML"]);
    let digits = ["don", "'t", " ", "2", "0", "2", "4", " parseXML"];
    check(&["smollm", "starcoder", "command-r", "qwen2", "deepseek-r1-qwen"], &digits);
    let threes = ["don", "'t", " ", "202", "4", " parseXML"];
    check(&["llama-bpe", "falcon3", "smaug-bpe", "dbrx"], &threes);
    check(&["gpt-4o", "llama4"], &["don't", " ", "202", "4", " parse", "XML"]);
    check(&["tekken"], &["don", "'t", " ", "2", "0", "2", "4", " parse", "XML"]);
}

#[test]
fn runs_of_blanks_that_were_given_come_before_what_was_learnt() {
    let tokens = ["<unk>", "▁", "a", "  ", "   ", "▁a"].map(str::to_owned);
    let parts = Parts {
        kind: "llama",
        cut: "default",
        tokens: &tokens,
        types: &[2, NORMAL, NORMAL, USER_DEFINED, USER_DEFINED, NORMAL],
        merges: &[],
        scores: &[0.0, -3.0, -1.0, -1000.0, -1000.0, -2.0],
        leading_blank: false,
        unknown: Some(0),
    };
    let tokenizer = Tokenizer::new(parts.build().unwrap(), None).unwrap();
    for (text, ids) in [("a   a", vec![2, 4, 2]), ("a a", vec![2, 5]), ("     ", vec![4, 3])] {
        assert_eq!(tokenizer.encode_text(text).unwrap(), ids, "{text:?}");
        assert_eq!(tokenizer.decode(&ids), text);
    }
    assert_eq!(tokenizer.encode_text("▁▁").unwrap(), [3], "as the published tokenizer has it");
}

#[test]
fn nobody_types_an_image_mark() {
    let tokens = ["<unk>", "<", "<start_of_image>"].map(str::to_owned);
    let parts = Parts {
        kind: "llama",
        cut: "default",
        tokens: &tokens,
        types: &[2, NORMAL, USER_DEFINED],
        merges: &[],
        scores: &[],
        leading_blank: false,
        unknown: Some(0),
    };
    let tokenizer = Tokenizer::new(parts.build().unwrap(), None).unwrap();
    assert_eq!(tokenizer.encode_text("<start_of_image>").unwrap(), [1, 0]);
    assert_eq!(tokenizer.encode_rendered("<start_of_image>").unwrap(), [2]);
}

#[test]
fn unknown_kinds_are_refused_by_name() {
    let tokens = ["a".to_owned()];
    let refusal = |kind, cut| {
        let (types, merges, scores) = (&[], &[], &[]);
        let (leading_blank, unknown) = (true, None);
        let parts =
            Parts { kind, cut, tokens: &tokens, types, merges, scores, leading_blank, unknown };
        parts.build().unwrap_err()
    };
    assert!(refusal("bert", "default").contains("'bert'"));
    assert!(refusal("gpt2", "klingon").contains("'klingon'"));
    assert!(Parts::of(&GgufMetadata::default()).build().is_err());
}

#[test]
fn marks_are_control_tokens_whatever_type_they_are_filed_under() {
    let tokens = ["a", "<|im_end|>", "<start_of_turn>", "<div>", "<end_of_turn>"];
    let metadata = GgufMetadata::default().with_strings("tokenizer.ggml.tokens", &tokens);
    let lexicon = lexicon(&metadata);
    let added: Vec<&str> = lexicon.added().map(|(text, _)| text).collect();
    assert_eq!(added, ["<end_of_turn>", "<start_of_turn>", "<|im_end|>"]);
    assert_eq!((lexicon.id("<div>"), lexicon.len(), lexicon.pieces_end()), (Some(3), 5, 4));
}
