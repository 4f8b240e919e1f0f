//! The small files of a checkpoint, each damaged in every way that files are: it is always a finding that
//! names the file, and nothing is ever waited for.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use serde_json::{Value, json};

use crate::broken::{copy, expert, signalbox};

/// Does something to a file that is there.
type Damage = fn(&Path);

const DAMAGES: [(&str, Damage, &str); 7] = [
    ("half", |file| fs::write(file, &fs::read(file).unwrap()[..20]).unwrap(), "is not "),
    ("binary", |file| fs::write(file, b"{\"a\": \"\xff\xfe\"}").unwrap(), "is not "),
    ("huge", |file| fs::File::create(file).unwrap().set_len(1 << 30).unwrap(), "is larger than"),
    (
        "fifo",
        |file| assert!(Command::new("mkfifo").arg(file).status().unwrap().success()),
        "is not a file",
    ),
    ("folder", |file| fs::create_dir(file).unwrap(), "is not a file"),
    ("device", |file| symlink("/dev/zero", file).unwrap(), "is not a file"),
    ("dangling", |file| symlink("gone", file).unwrap(), "link to a file that is not there"),
];

/// A file of a toy, and the worst of what its damage means.
const FILES: [(&str, &str, &str); 9] = [
    ("phi4_fast", "generation_config.json", "warning"),
    ("phi4_fast", "special_tokens_map.json", "warning"),
    ("phi4_fast", "tokenizer_config.json", "warning"),
    ("phi4_fast", "chat_template.json", "warning"),
    ("phi4_fast", "chat_template.jinja", "warning"),
    ("phi4_fast", "processor_config.json", "warning"),
    ("phi4_fast", "config.json", "error"),
    ("phi4_fast", "tokenizer.json", "error"),
    ("phi4_fast", "model.safetensors.index.json", "warning"),
];

/// The findings of a toy of which one file was damaged.
fn findings(folder: &Path, file: &str, damages: &[(&str, Damage, &str)], toy: &str) -> Vec<Value> {
    let experts = damages.iter().map(|(name, damage, _)| {
        let id = format!("{file}.{name}");
        let at = folder.join(&id);
        copy(toy, &at);
        let path = at.join(file);
        match *name {
            "half" | "binary" | "huge" if !path.exists() => {
                fs::write(&path, "{".repeat(40)).unwrap()
            }
            "half" | "binary" | "huge" | "pointer" => {}
            _ if path.exists() => fs::remove_file(&path).unwrap(),
            _ => {}
        }
        damage(&path);
        expert(&id, &id, "none", "auto")
    });
    let config = folder.join(format!("{file}.host.json"));
    let settings = json!({ "experts": experts.collect::<Vec<_>>() });
    fs::write(&config, settings.to_string()).unwrap();
    let output = signalbox(&["check", "--json", "--config", config.to_str().unwrap()]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    report["experts"].as_array().unwrap().clone()
}

#[test]
fn damage_is_a_finding_that_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for (toy, file, severity) in FILES {
        // Anything that is text is a template, even half of one.
        let kept =
            |(name, ..): &&(&str, Damage, &str)| file != "chat_template.jinja" || *name != "half";
        let damages: Vec<_> = DAMAGES.iter().filter(kept).copied().collect();
        let experts = findings(folder.path(), file, &damages, toy);
        for ((name, _, words), expert) in damages.iter().zip(experts) {
            let named = |finding: &&Value| {
                let message = finding["message"].as_str().unwrap();
                message.contains(file) && message.contains(words)
            };
            match expert["findings"].as_array().unwrap().iter().find(named) {
                Some(found) if found["severity"] == severity => {}
                _ => wrong.push(format!("{file}, {name}: {}", expert["findings"])),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_pointer_is_no_tokenizer() {
    let folder = tempfile::tempdir().unwrap();
    let pointer: Damage = |file| {
        fs::write(file, "version https://git-lfs.github.com/spec/v1\noid sha256:0\n").unwrap()
    };
    let damages = [("pointer", pointer, "")];
    let experts = findings(folder.path(), "tokenizer.json", &damages, "phi4_fast");
    let found = &experts[0]["findings"][0];
    assert_eq!(
        (&found["severity"], &found["code"]),
        (&json!("error"), &json!("tokenizer-damaged"))
    );
    assert!(found["message"].as_str().unwrap().contains("Git LFS pointer"), "{found}");
}
