//! The mistakes that people really make with checkpoints, each reported with its code, the thing and the mend.

use std::{fs, path::Path};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::broken::{copy, edit, expert, signalbox};

/// Does something wrong to a copy of a toy.
type Damage = fn(&Path);

/// One mistake: the toy it is made with, what is done to it, and how the expert is declared.
struct Mistake {
    toy: &'static str,
    damage: Damage,
    quantization: &'static str,
    dtype: &'static str,
    severity: &'static str,
    code: &'static str,
    /// Words of the message.
    names: &'static [&'static str],
    /// Words of the mend.
    mend: &'static str,
}

const SOUND: Mistake = Mistake {
    toy: "phi4_fast",
    damage: |_| (),
    quantization: "none",
    dtype: "auto",
    severity: "error",
    code: "",
    names: &[],
    mend: "",
};

const MISTAKES: [Mistake; 7] = [
    Mistake {
        toy: "gemma3_multimodal",
        dtype: "float16",
        severity: "warning",
        code: "dtype-overflow",
        names: &["float16", "Gemma 3"],
        mend: "set dtype to \"bfloat16\"",
        ..SOUND
    },
    Mistake {
        toy: "gemma3_multimodal",
        quantization: "awq",
        severity: "warning",
        code: "quantization-mismatch",
        names: &["declared as \"awq\"", "bf16"],
        mend: "remove \"quantization\"",
        ..SOUND
    },
    Mistake {
        damage: |folder| {
            let unknown = json!({ "quant_method": "bitnet", "bits": 4 });
            edit(&folder.join("config.json"), |c| c["quantization_config"] = unknown);
        },
        code: "checkpoint-unsupported",
        names: &["config.json", "bitnet"],
        mend: "use ",
        ..SOUND
    },
    Mistake {
        toy: "mistral_balanced",
        damage: |folder| fs::remove_file(folder.join("model-00002-of-00002.safetensors")).unwrap(),
        code: "checkpoint-incomplete",
        names: &["model-00002-of-00002.safetensors", "is missing"],
        mend: "fetch the missing shard",
        ..SOUND
    },
    Mistake {
        damage: |folder| {
            fs::remove_dir_all(folder).unwrap();
            fs::write(folder, torn_gguf()).unwrap();
        },
        code: "checkpoint-truncated",
        names: &["mistake4", "token_embd.weight"],
        mend: "fetch the file again",
        ..SOUND
    },
    Mistake {
        damage: |folder| fs::remove_file(folder.join("tokenizer.json")).unwrap(),
        code: "tokenizer-missing",
        names: &["tokenizer.json is missing"],
        mend: "download it",
        ..SOUND
    },
    Mistake {
        damage: without_template,
        severity: "warning",
        code: "chat-template-missing",
        names: &["no chat template"],
        mend: "add chat_template.jinja",
        ..SOUND
    },
];

/// A GGUF file that ends where its one tensor should begin.
fn torn_gguf() -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    [
        &b"GGUF"[..],
        &3u32.to_le_bytes(),
        &1u64.to_le_bytes(), // tensors
        &1u64.to_le_bytes(), // values
        &text("general.architecture"),
        &8u32.to_le_bytes(), // a string
        &text("llama"),
        &text("token_embd.weight"),
        &2u32.to_le_bytes(), // dimensions
        &64u64.to_le_bytes(),
        &32u64.to_le_bytes(),
        &0u32.to_le_bytes(), // F32
        &0u64.to_le_bytes(), // offset
    ]
    .concat()
}

fn without_template(folder: &Path) {
    let file = folder.join("chat_template.jinja");
    if file.exists() {
        fs::remove_file(file).unwrap();
    }
    edit(&folder.join("tokenizer_config.json"), |config| {
        config.as_object_mut().unwrap().remove("chat_template");
    });
}

/// A configuration that makes them all.
fn configuration(folder: &TempDir) -> String {
    let experts = MISTAKES.iter().enumerate().map(|(at, mistake)| {
        let id = format!("mistake{at}");
        copy(mistake.toy, &folder.path().join(&id));
        (mistake.damage)(&folder.path().join(&id));
        expert(&id, &id, mistake.quantization, mistake.dtype)
    });
    let config = json!({ "experts": experts.collect::<Vec<_>>() });
    let file = folder.path().join("host.json");
    fs::write(&file, config.to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn mistakes_are_reported_with_the_thing_and_the_mend() {
    let folder = tempfile::tempdir().unwrap();
    let output = signalbox(&["check", "--json", "--config", &configuration(&folder)]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    for (mistake, expert) in MISTAKES.iter().zip(report["experts"].as_array().unwrap()) {
        let findings = expert["findings"].as_array().unwrap();
        let found = findings.iter().find(|finding| finding["code"] == mistake.code);
        let found = found.unwrap_or_else(|| panic!("no {}: {expert:#}", mistake.code));
        assert_eq!(found["severity"], mistake.severity, "{found:#}");
        for name in mistake.names {
            assert!(found["message"].as_str().unwrap().contains(name), "{name}: {found:#}");
        }
        assert!(found["mend"].as_str().unwrap().contains(mistake.mend), "{found:#}");
    }
}

#[test]
fn a_quantisation_that_nobody_knows_is_a_mistake_in_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("host.json");
    let config = json!({ "experts": [expert("odd", "odd", "int5", "auto")] });
    fs::write(&file, config.to_string()).unwrap();
    let output = signalbox(&["check", "--config", file.to_str().unwrap()]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    let expect =
        "experts[0].quantization: \"int5\" is not known (did you mean \"int8\"?); use one of awq, ";
    assert!(message.contains(expect), "{message}");
}
