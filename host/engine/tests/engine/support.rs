//! What the engine's integration tests share: toy experts, a fleet of them, and a reply read to its
//! end.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};
use signalbox_engine::{
    EngineError, Event, ExpertSettings, Finish, Fleet, FleetLimits, FleetSettings, LazyLoading,
    Message, PackFiles, Prompt, Request, Sampling, Templates, Timings, TokenStream, Usage,
};
use tempfile::TempDir;

pub(crate) const TOYS: [&str; 5] = [
    "phi4_fast",
    "mistral_balanced",
    "qwen_coder",
    "gemma3_multimodal",
    "aya_expanse_multilingual",
];

pub(crate) fn folder(id: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/models")).join(id)
}

/// A toy as an operator would declare it. Earlier in the list is of higher priority.
pub(crate) fn toy(id: &str) -> ExpertSettings {
    let rank = TOYS.iter().position(|toy| *toy == id).unwrap_or(TOYS.len());
    ExpertSettings {
        priority: -(rank as i32),
        max_num_seqs: 8,
        ..ExpertSettings::new(id, folder(id))
    }
}

/// Lazy loading with nothing warm and room for all.
pub(crate) fn settings(ids: &[&str]) -> FleetSettings {
    FleetSettings {
        experts: ids.iter().map(|id| toy(id)).collect(),
        lazy_loading: LazyLoading {
            enabled: true,
            warmup_pool_size: 0,
            max_loaded_experts: ids.len(),
            auto_unload_after: None,
            prefetch: false,
        },
        memory_bytes_max: 4 << 30,
        limits: FleetLimits { queue_max: 4096 },
        templates: Templates::InProcess,
        pack_files: PackFiles::Off,
    }
}

pub(crate) fn fleet(ids: &[&str]) -> Fleet {
    Fleet::start(settings(ids))
}

/// Settings whose experts never end a reply by themselves, and the folders they live in: toys with
/// every end token taken out of their files, and with other names for what is known to be one.
pub(crate) fn endless(ids: &[&str]) -> (Vec<TempDir>, FleetSettings) {
    let mut settings = settings(ids);
    let folders = ids.iter().map(|id| copy(id)).collect::<Vec<_>>();
    for (expert, folder) in settings.experts.iter_mut().zip(&folders) {
        for file in ["generation_config.json", "config.json"] {
            put(&folder.path().join(file), "eos_token_id", json!([]));
        }
        for file in ["tokenizer_config.json", "special_tokens_map.json"] {
            put(&folder.path().join(file), "eos_token", Value::Null);
        }
        rename_ends(&folder.path().join("tokenizer.json"));
        expert.path = folder.path().into();
    }
    (folders, settings)
}

fn rename_ends(file: &Path) {
    let ends = ["<|end|>", "<|endoftext|>", "</s>", "<|im_end|>", "<eos>", "<end_of_turn>"];
    let text = fs::read_to_string(file).unwrap();
    let rename =
        |text: String, end: &&str| text.replace(&format!("\"{end}\""), &format!("\"{end}~\""));
    fs::write(file, ends.iter().fold(text, rename)).unwrap();
}

fn put(file: &Path, key: &str, value: Value) {
    let mut json: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    json[key] = value;
    fs::write(file, json.to_string()).unwrap();
}

/// A toy's folder copied, to be spoilt.
pub(crate) fn copy(id: &str) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in fs::read_dir(folder(id)).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    copy
}

pub(crate) fn recorded(id: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder(id).join("recorded.json")).unwrap();
    let mut recorded: Value = serde_json::from_str(&text).unwrap();
    serde_json::from_value(recorded["entries"].take()).unwrap()
}

/// A greedy chat call of one user turn.
pub(crate) fn chat(content: &str) -> Request {
    let prompt = vec![Message::text("user", content)];
    Request { max_tokens: Some(64), ..Request::new(prompt) }
}

/// Free text, hot; for [`endless`] experts.
pub(crate) fn ramble(max_tokens: u32) -> Request {
    Request {
        sampling: Sampling {
            temperature: Some(2.0),
            top_p: Some(1.0),
            seed: Some(1),
            ..Sampling::default()
        },
        max_tokens: Some(max_tokens),
        ..Request::new(Prompt::Text("Once".into()))
    }
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) text: String,
    pub(crate) pieces: usize,
    pub(crate) reason: Finish,
    pub(crate) usage: Usage,
    pub(crate) timings: Timings,
}

pub(crate) async fn read(mut stream: TokenStream) -> Result<Reply, EngineError> {
    let (mut text, mut pieces) = (String::new(), 0);
    while let Some(event) = stream.next().await {
        match event {
            Event::Text(piece) => {
                assert!(!piece.is_empty());
                text.push_str(&piece);
                pieces += 1;
            }
            Event::Finished { reason, usage, timings } => {
                return Ok(Reply { text, pieces, reason, usage, timings });
            }
            Event::Logprobs(_) | Event::Weighed(_) => {}
            Event::Failed(error) => return Err(error),
        }
    }
    panic!("a reply ended without saying why")
}

/// What the same call costs once more: its prompt is known but for the last token, whose logits are wanted. A few
/// tokens are not worth it.
pub(crate) fn again(usage: Usage) -> Usage {
    let known = usage.prompt_tokens - 1;
    Usage { cached_tokens: if known < 16 { 0 } else { known }, ..usage }
}

pub(crate) async fn ask(fleet: &Fleet, id: &str, request: Request) -> Result<Reply, EngineError> {
    read(fleet.generate(id, request).await?).await
}

/// Waits until something holds; a test that waits too long has failed.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("waited in vain until {what}")
}
