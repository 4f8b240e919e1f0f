//! A model is the same model whatever container, names and words its checkpoint has.

use std::fs;

use serde_json::json;

use super::{
    files::{Tensor, safetensors},
    logits,
    small::{Small, VOCAB},
};

fn apart(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    assert_eq!(a.len(), b.len());
    let pairs = a.iter().zip(b).flat_map(|(a, b)| a.iter().zip(b));
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Writes a model twice and compares what the two say.
fn check_same(name: &str, write: impl FnOnce(&std::path::Path), other: &Small) {
    let (folder, folder_of_other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(folder.path());
    other.write_folder(folder_of_other.path());
    let path = folder.path().join("model.gguf");
    let path = if path.exists() { path } else { folder.path().to_owned() };
    let (ours, theirs) = (logits(&path), logits(folder_of_other.path()));
    let apart = apart(&ours, &theirs);
    assert!(apart < 2e-5, "{name}: the two differ by {apart}");
    assert!(ours.iter().flatten().any(|logit| logit.abs() > 0.1), "{name} says nothing");
}

#[test]
fn all_six_architectures_are_the_same_in_a_folder_and_in_a_gguf_file() {
    let models = [
        ("llama", Small::llama()),
        ("mistral", Small::mistral()),
        ("qwen2", Small::qwen2()),
        ("phi3", Small::phi3()),
        ("gemma3", Small::gemma3()),
        ("command-r", Small::cohere()),
    ];
    for (name, model) in models {
        let gguf = |folder: &std::path::Path| {
            fs::write(folder.join("model.gguf"), model.gguf_bytes()).unwrap();
        };
        check_same(name, gguf, &model);
    }
}

/// Writes the tensors of a model under other names.
fn renamed(model: &Small, rename: impl Fn(&str) -> String) -> impl FnOnce(&std::path::Path) {
    let mut model = model.clone();
    model.tensors.iter_mut().for_each(|tensor| tensor.name = rename(&tensor.name));
    move |folder| model.write_folder(folder)
}

#[test]
fn a_decoder_is_found_under_each_of_its_names() {
    let gemma = Small::gemma3();
    let swap = |to: &'static str| move |name: &str| name.replacen("model.", to, 1);
    for prefix in ["language_model.model.", "model.language_model.", ""] {
        check_same(prefix, renamed(&gemma, swap(prefix)), &gemma);
    }
    let llama = Small::llama();
    check_same("nested head", renamed(&llama, |name| format!("language_model.{name}")), &llama);
}

#[test]
fn shards_are_one_model() {
    let model = Small::llama();
    let shards = |folder: &std::path::Path| {
        model.write_folder(folder);
        fs::remove_file(folder.join("model.safetensors")).unwrap();
        let mut map = serde_json::Map::new();
        for (index, tensors) in model.tensors.chunks(7).enumerate() {
            let shard = format!("model-{index}.safetensors");
            fs::write(folder.join(&shard), safetensors(tensors)).unwrap();
            map.extend(tensors.iter().map(|tensor| (tensor.name.clone(), json!(shard))));
        }
        let index = json!({ "metadata": { "total_size": 1 }, "weight_map": map });
        fs::write(folder.join("model.safetensors.index.json"), index.to_string()).unwrap();
    };
    check_same("shards", shards, &model);
}

#[test]
fn a_tied_head_is_the_embedding_whether_the_file_has_one_or_not() {
    let tied = |mut model: Small| {
        model.config["tie_word_embeddings"] = json!(true);
        model
    };
    let without = tied(Small::llama().without("lm_head.weight"));
    let with = tied(Small::llama());
    check_same("tied", |folder| with.write_folder(folder), &without);

    let mut copied = Small::llama();
    let embedding = copied.tensors[0].clone();
    let head = copied.tensors.iter_mut().find(|tensor| tensor.name == "lm_head.weight").unwrap();
    *head = Tensor { name: head.name.clone(), ..embedding };
    check_same("copied", |folder| copied.write_folder(folder), &without);

    let gguf = Small::llama().without("lm_head.weight");
    let write = |folder: &std::path::Path| {
        fs::write(folder.join("model.gguf"), gguf.gguf_bytes()).unwrap();
    };
    check_same("tied in GGUF", write, &without);
}

#[test]
fn words_of_transformers_4_and_5_are_the_same() {
    let moved = |mut model: Small, keys: &[&str], scaling: serde_json::Value| {
        let config = model.config.as_object_mut().unwrap();
        let mut rope = scaling.as_object().unwrap().clone();
        for key in keys {
            rope.insert((*key).to_owned(), config.remove(*key).unwrap());
        }
        config.remove("rope_scaling");
        config.insert("rope_parameters".to_owned(), rope.into());
        model
    };
    let llama = moved(Small::llama(), &["rope_theta"], json!({ "rope_type": "default" }));
    check_same("llama", |folder| llama.write_folder(folder), &Small::llama());

    let old = Small::phi3();
    let mut scaling = old.config["rope_scaling"].clone();
    scaling["rope_type"] = scaling.as_object_mut().unwrap().remove("type").unwrap();
    let phi = moved(Small::phi3(), &["rope_theta", "partial_rotary_factor"], scaling);
    check_same("phi3", |folder| phi.write_folder(folder), &old);

    let mut gemma = Small::gemma3();
    let config = gemma.config.as_object_mut().unwrap();
    config.remove("rope_scaling");
    config.remove("rope_theta");
    config.insert(
        "rope_parameters".to_owned(),
        json!({
            "full_attention": { "rope_type": "linear", "factor": 8.0, "rope_theta": 1e6 },
            "sliding_attention": { "rope_type": "default", "rope_theta": 1e4 },
        }),
    );
    check_same("gemma3", |folder| gemma.write_folder(folder), &Small::gemma3());
}

#[test]
fn logits_are_those_of_every_position() {
    let folder = tempfile::tempdir().unwrap();
    Small::qwen2().write_folder(folder.path());
    let logits = logits(folder.path());
    assert!(logits.len() > 8 && logits.iter().all(|row| row.len() == VOCAB));
}
