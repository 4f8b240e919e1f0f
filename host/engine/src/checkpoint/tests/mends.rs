//! What a checkpoint needs that can't be opened is said with it: a mend that helps.

use std::{fs, os::unix::fs::symlink, path::Path};

use serde_json::json;

use super::{super::Checkpoint, edit, small::Small};

/// Opens what `write` has made of a folder, or the GGUF file in it.
fn check(write: impl FnOnce(&Path), words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let gguf = folder.path().join("model.gguf");
    let path = if gguf.exists() { &gguf } else { folder.path() };
    let error = Checkpoint::open(path).err().unwrap().to_string();
    for word in words {
        assert!(error.contains(word), "{word} is not in: {error}");
    }
}

#[test]
fn an_untied_head_that_is_missing_may_be_the_embedding() {
    let headless = Small::llama().without("lm_head.weight");
    check(
        |folder| headless.write_folder(folder),
        &["'lm_head.weight' is missing", "set \"tie_word_embeddings\" to true"],
    );
}

#[test]
fn a_mixture_of_experts_is_called_one() {
    let mixed = Small::llama();
    let metadata = mixed.gguf.clone().count("llama.expert_count", 4);
    let mixed = mixed.with_gguf(metadata);
    check(
        |folder| fs::write(folder.join("model.gguf"), mixed.gguf_bytes()).unwrap(),
        &["'llama.expert_count' is 4, and mixtures of experts", "use a dense model"],
    );
}

#[test]
fn a_link_to_nothing_is_called_one() {
    check(
        |folder| {
            Small::llama().write_folder(folder);
            fs::remove_file(folder.join("model.safetensors")).unwrap();
            symlink("../../blobs/gone", folder.join("model.safetensors")).unwrap();
        },
        &["model.safetensors: is a link to a file that is not there", "fetch the checkpoint"],
    );
}

#[test]
fn a_pointer_of_git_lfs_is_called_one() {
    check(
        |folder| {
            Small::llama().write_folder(folder);
            let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
            fs::write(folder.join("config.json"), pointer).unwrap();
        },
        &["config.json: is a Git LFS pointer", "git lfs pull"],
    );
}

#[test]
fn shards_may_be_named_from_their_folder_on() {
    let folder = tempfile::tempdir().unwrap();
    let model = Small::llama();
    model.write_folder(folder.path());
    fs::rename(folder.path().join("model.safetensors"), folder.path().join("model-1.safetensors"))
        .unwrap();
    let names = model.tensors.iter().map(|tensor| tensor.name.clone());
    let map: serde_json::Map<_, _> =
        names.map(|name| (name, json!("./model-1.safetensors"))).collect();
    let index = json!({ "weight_map": map }).to_string();
    fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
    assert!(Checkpoint::open(folder.path()).is_ok());
}

#[test]
fn a_config_is_read_as_python_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    Small::llama().write_folder(folder.path());
    let file = folder.path().join("config.json");
    let text = fs::read_to_string(&file).unwrap();
    let odd = text.replacen('{', "\u{feff}{\"x_scale\": Infinity, \"hidden_size\": 1,", 1);
    fs::write(&file, odd).unwrap();
    assert!(Checkpoint::open(folder.path()).is_ok());
    fs::write(&file, text).unwrap();
    edit(folder.path(), "config.json", |config| config["rope_theta"] = json!("many"));
    check_refused(folder.path(), "'rope_theta' is \"many\"");
    let text = fs::read_to_string(&file).unwrap().replace("\"many\"", "NaN");
    fs::write(&file, text).unwrap();
    check_refused(folder.path(), "'rope_theta' is \"NaN\" where a number");
}

fn check_refused(folder: &Path, words: &str) {
    let error = Checkpoint::open(folder).err().unwrap().to_string();
    assert!(error.contains(words), "{error}");
}

#[test]
fn metadata_of_a_gguf_file_is_not_passed_over() {
    let model = Small::llama();
    for words in ["final_logit_softcapping", "attention.clamp_kqv"] {
        let key = format!("llama.{words}");
        let changed = model.clone().with_gguf(model.gguf.clone().float(&key, 30.0));
        check(
            |folder| fs::write(folder.join("model.gguf"), changed.gguf_bytes()).unwrap(),
            &[&key, "not supported"],
        );
    }
}
