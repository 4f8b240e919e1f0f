//! The decoder against what transformers recorded: every toy expert's answers, token by token.

use signalbox_kernels::Compute;
use std::{fs, path::PathBuf};

use serde::Deserialize;

use super::{Chunk, Model};
use crate::checkpoint::Checkpoint;

/// The part of `recorded.json` that concerns tokens.
#[derive(Deserialize)]
struct Recorded {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    prompt_ids: Vec<u32>,
    answer_ids: Vec<u32>,
}

fn folder(expert: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/models").join(expert)
}

fn load(expert: &str) -> (Model, Vec<Entry>) {
    let model = Checkpoint::open(&folder(expert)).unwrap().load(&Compute::serving()).unwrap();
    let recorded = fs::read(folder(expert).join("recorded.json")).unwrap();
    (model, serde_json::from_slice::<Recorded>(&recorded).unwrap().entries)
}

fn best(logits: &[f32]) -> u32 {
    let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
    best.0 as u32
}

/// `count` tokens after the prompt, each the most likely one.
fn greedy(model: &Model, prompt: &[u32], count: usize) -> Vec<u32> {
    let mut cache = model.new_cache(prompt.len() + count);
    let mut step = |tokens: &[u32]| {
        best(
            &model.forward(&mut [Chunk { cache: &mut cache, tokens, wanted: 1, pictures: &[] }])[0],
        )
    };
    let mut answer = vec![step(prompt)];
    while answer.len() < count {
        answer.push(step(&[answer[answer.len() - 1]]));
    }
    answer
}

fn check_answers(expert: &str) {
    let (model, entries) = load(expert);
    let answered = |entry: &&Entry| {
        greedy(&model, &entry.prompt_ids, entry.answer_ids.len()) == entry.answer_ids
    };
    let (exact, all) = (entries.iter().filter(answered).count(), entries.len());
    assert!(all >= 60 && exact * 100 >= all * 95, "{expert}: {exact} of {all} answers are exact");
}

#[test]
fn phi_answers_as_recorded() {
    check_answers("phi4_fast");
}

#[test]
fn mistral_answers_as_recorded() {
    check_answers("mistral_balanced");
}

#[test]
fn qwen_answers_as_recorded() {
    check_answers("qwen_coder");
}

#[test]
fn gemma_answers_as_recorded() {
    check_answers("gemma3_multimodal");
}

#[test]
fn aya_answers_as_recorded() {
    check_answers("aya_expanse_multilingual");
}

/// The same tokens in one piece, in two, and beside another sequence: bit for bit the same logits.
fn check_batching(expert: &str) {
    let (model, entries) = load(expert);
    let (a, b) = (&entries[0].prompt_ids, &entries[1].prompt_ids);
    let mut caches: Vec<_> = (0..3).map(|_| model.new_cache(a.len())).collect();
    let [whole, split, beside] = &mut caches[..] else { unreachable!() };
    let alone = model.forward(&mut [Chunk { cache: whole, tokens: a, wanted: 1, pictures: &[] }]);
    let (head, tail) = a.split_at(a.len() / 2);
    let mut other = model.new_cache(b.len());
    model.forward(&mut [Chunk { cache: split, tokens: head, wanted: 1, pictures: &[] }]);
    let together = model.forward(&mut [
        Chunk { cache: &mut other, tokens: b, wanted: 1, pictures: &[] },
        Chunk { cache: split, tokens: tail, wanted: 1, pictures: &[] },
        Chunk { cache: beside, tokens: a, wanted: 1, pictures: &[] },
    ]);
    assert_eq!(alone[0].len(), model.spec.vocab_size as usize, "{expert}");
    assert_eq!(alone[0], together[1], "{expert}: in two pieces");
    assert_eq!(alone[0], together[2], "{expert}: in one piece");
}

#[test]
fn a_sequence_does_not_notice_how_it_is_batched() {
    for expert in ["phi4_fast", "qwen_coder", "gemma3_multimodal", "aya_expanse_multilingual"] {
        check_batching(expert);
    }
}

#[test]
fn the_toys_are_what_they_say() {
    let check = |expert: &str, stored: &str, vision: bool| {
        let checkpoint = Checkpoint::open(&folder(expert)).unwrap();
        assert_eq!(checkpoint.stored().to_string(), stored, "{expert}");
        assert_eq!(checkpoint.spec().vision.is_some(), vision, "{expert}");
        assert_eq!(checkpoint.stored().is_awq(), stored.starts_with("awq"), "{expert}");
    };
    check("phi4_fast", "awq int4 g128", false);
    check("mistral_balanced", "awq int4 g128", false);
    check("qwen_coder", "awq int4 g128", false);
    check("gemma3_multimodal", "bf16", true);
    check("aya_expanse_multilingual", "awq int4 g128", false);
}
