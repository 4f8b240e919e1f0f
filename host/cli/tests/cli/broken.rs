//! Toy experts, broken in the ways that checkpoints are broken, and the program under test.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// The program, with an empty environment.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_signalbox"));
    let variables =
        ["SIGNALBOX_ADMIN", "SIGNALBOX_ADMIN_TOKEN", "SIGNALBOX_URL", "SIGNALBOX_ISA", "RUST_LOG"];
    for variable in variables {
        command.env_remove(variable);
    }
    command.args(arguments);
    command
}

/// Runs the program to its end.
pub(crate) fn signalbox(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

/// A configuration with five broken experts and one good one.
pub(crate) struct Broken {
    #[expect(dead_code, reason = "keeps the folder until the test ends")]
    folder: TempDir,
    config: PathBuf,
}

impl Broken {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        copy("phi4_fast", &at("truncated"));
        truncate(&at("truncated/model.safetensors"));
        copy("qwen_coder", &at("unsupported"));
        edit(&at("unsupported/config.json"), |config| {
            config["architectures"] = json!(["MambaForCausalLM"]);
            config["model_type"] = json!("mamba");
        });
        copy("gemma3_multimodal", &at("gemma"));
        copy("phi4_fast", &at("good"));
        let experts = [
            expert("missing", "nowhere", "awq", "float16"),
            expert("truncated", "truncated", "awq", "float16"),
            expert("unsupported", "unsupported", "awq", "float16"),
            expert("plain", "gemma", "awq", "bfloat16"),
            expert("half", "gemma", "none", "float16"),
            expert("good", "good", "awq", "float16"),
        ];
        let config = at("host.json");
        fs::write(&config, json!({ "experts": experts }).to_string()).unwrap();
        Self { folder, config }
    }

    /// The configuration file.
    pub(crate) fn config(&self) -> &str {
        self.config.to_str().unwrap()
    }
}

pub(crate) fn expert(id: &str, path: &str, quantization: &str, dtype: &str) -> Value {
    json!({
        "expert_id": id,
        "model_path": path,
        "quantization": quantization,
        "dtype": dtype,
        "swap_space": 4,
    })
}

/// A toy's checkpoint.
pub(crate) fn toy(id: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/models").join(id)
}

/// Copies a toy's checkpoint.
pub(crate) fn copy(id: &str, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(toy(id)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Cuts a file's second half off, as a broken download does.
fn truncate(file: &Path) {
    let bytes = fs::read(file).unwrap();
    fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
}

pub(crate) fn edit(file: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    change(&mut value);
    fs::write(file, value.to_string()).unwrap();
}
