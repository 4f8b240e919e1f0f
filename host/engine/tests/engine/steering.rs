//! Which tokens end a reply and which nobody types, whatever the publisher named and flagged.

use std::{fs, path::Path};

use serde_json::{Value, json};
use signalbox_engine::{
    ExpertSettings, Finish, Fleet, FleetSettings, Message, Prompt, Request, Severity, Templates,
    inspect,
};
use tempfile::TempDir;

use crate::support::{Reply, TOYS, ask, chat, copy, settings, toy};

/// A toy with some of its files rewritten.
struct Changed {
    id: &'static str,
    folder: TempDir,
}

impl Changed {
    fn of(id: &'static str) -> Self {
        Self { id, folder: copy(id) }
    }

    fn edit(self, file: &str, change: impl FnOnce(&mut Value)) -> Self {
        let path = self.folder.path().join(file);
        let mut value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        change(&mut value);
        fs::write(path, value.to_string()).unwrap();
        self
    }

    /// No token is flagged as one that steers.
    fn unflagged(self) -> Self {
        self.edit("tokenizer.json", |tokenizer| {
            for token in tokenizer["added_tokens"].as_array_mut().unwrap() {
                token["special"] = json!(false);
            }
        })
    }

    fn settings(&self) -> ExpertSettings {
        ExpertSettings { path: self.folder.path().into(), ..toy(self.id) }
    }

    fn fleet(&self) -> Fleet {
        Fleet::start(FleetSettings { experts: vec![self.settings()], ..settings(&[self.id]) })
    }

    async fn ask(&self, request: Request) -> Reply {
        ask(&self.fleet(), self.id, request).await.unwrap()
    }

    fn findings(&self) -> Vec<(Severity, &'static str, String)> {
        let seen = inspect(&self.settings(), &Templates::InProcess);
        seen.findings.into_iter().map(|f| (f.severity, f.code, f.message)).collect()
    }
}

/// Takes every end token but one out of a toy's keys.
fn naming_only(id: &'static str, end: u32, text: &str) -> Changed {
    Changed::of(id)
        .edit("generation_config.json", |config| config["eos_token_id"] = json!(end))
        .edit("config.json", |config| config["eos_token_id"] = json!(end))
        .edit("tokenizer_config.json", |config| config["eos_token"] = json!(text))
        .edit("special_tokens_map.json", |config| config["eos_token"] = json!(text))
}

async fn check_ends(changed: Changed) {
    let reply = changed.ask(chat("Hello")).await;
    let expected = Changed::of(changed.id).ask(chat("Hello")).await;
    assert_eq!((reply.text, reply.reason), (expected.text, Finish::Stop), "{}", changed.id);
}

#[tokio::test]
async fn replies_end_where_the_template_ends_turns() {
    check_ends(naming_only("phi4_fast", 1073, "<|endoftext|>")).await;
    check_ends(naming_only("gemma3_multimodal", 1, "<eos>")).await;
    check_ends(naming_only("qwen_coder", 1357, "<|endoftext|>")).await;
    check_ends(naming_only("phi4_fast", 1073, "<|endoftext|>").unflagged()).await;
}

#[test]
fn check_shows_what_ends_a_reply() {
    let said = |changed: Changed| {
        let found = changed.findings().into_iter().find(|(_, code, _)| *code == "end-tokens");
        found.unwrap().2
    };
    let ends = "a reply ends with <|endoftext|> (1073), <|end|> (1075)";
    assert_eq!(said(Changed::of("phi4_fast")), ends);
    assert_eq!(said(naming_only("phi4_fast", 1073, "<|endoftext|>")), ends);
    let unknown = Changed::of("phi4_fast")
        .edit("generation_config.json", |config| config["eos_token_id"] = json!([1075, 99_999]));
    let (severity, _, message) =
        unknown.findings().into_iter().find(|(_, code, _)| *code == "end-token-unknown").unwrap();
    assert_eq!(severity, Severity::Warning);
    assert!(message.contains("99999"), "{message}");
}

/// Every text that is a token by itself.
fn added_tokens(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("tokenizer.json")).unwrap();
    let tokenizer: Value = serde_json::from_str(&text).unwrap();
    let added = tokenizer["added_tokens"].as_array().unwrap().iter();
    added.map(|token| token["content"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn nobody_types_a_turn_whatever_the_flags_say() {
    for id in TOYS {
        let (flagged, unflagged) = (Changed::of(id), Changed::of(id).unflagged());
        let marks = added_tokens(flagged.folder.path());
        let forged = format!("x{}\n{}model", marks.join("y"), marks.join("\n"));
        let one = |text: &str| Request { max_tokens: Some(1), ..chat(text) };
        let [true_one, false_one] =
            [flagged.ask(one(&forged)).await, unflagged.ask(one(&forged)).await];
        assert_eq!(true_one.usage.prompt_tokens, false_one.usage.prompt_tokens, "{id}");
        let plain = flagged.ask(one("x")).await.usage.prompt_tokens;
        assert!(false_one.usage.prompt_tokens > plain + 3 * marks.len() as u32, "{id}");
    }
}

#[tokio::test]
async fn tokens_beyond_the_embedding_are_ordinary_text() {
    let changed = Changed::of("phi4_fast").edit("tokenizer.json", |tokenizer| {
        let added = tokenizer["added_tokens"].as_array_mut().unwrap();
        for (id, number) in (1083..).zip(0..12) {
            added.push(json!({
                "id": id, "content": format!("<extra_{number}>"), "special": false,
                "lstrip": false, "rstrip": false, "single_word": false, "normalized": false,
            }));
        }
    });
    let text = "Hello <extra_9>";
    let whole = changed.ask(chat(text)).await.usage.prompt_tokens;
    assert_eq!(whole, Changed::of("phi4_fast").ask(chat(text)).await.usage.prompt_tokens);
    let prompt = Request { prompt: Prompt::Text(text.into()), ..chat("") };
    assert!(changed.ask(prompt).await.usage.prompt_tokens > 5);
    let known = Message::text("user", "Hello <extra_1>");
    changed.ask(Request { prompt: vec![known].into(), ..chat("") }).await;
    let codes: Vec<&str> = changed.findings().into_iter().map(|(_, code, _)| code).collect();
    assert!(codes.contains(&"tokens-beyond-the-embedding"), "{codes:?}");
}

/// What `check` says of a toy's tokenizer.
fn check_tokenizer(changed: &Changed, code: &str, words: &str) {
    let found = changed.findings();
    let finding =
        found.iter().find(|(severity, known, _)| *severity == Severity::Error && *known == code);
    assert!(finding.is_some_and(|(.., message)| message.contains(words)), "{code}: {found:?}");
}

#[test]
fn tokenizers_of_other_models_are_seen() {
    let phi = Changed::of("phi4_fast");
    let small = phi.edit("tokenizer.json", |tokenizer| {
        let vocabulary = tokenizer["model"]["vocab"].as_object_mut().unwrap();
        vocabulary.retain(|_, id| id.as_u64().unwrap() < 300);
        tokenizer["model"]["merges"] = json!([]);
    });
    check_tokenizer(&small, "tokenizer-mismatch", "but the model knows 1088");
    let large = Changed::of("phi4_fast");
    fs::copy(
        toy("qwen_coder").path.join("tokenizer.json"),
        large.folder.path().join("tokenizer.json"),
    )
    .unwrap();
    check_tokenizer(&large, "tokenizer-mismatch", "but the model knows 1088 tokens");
    let pointer = Changed::of("phi4_fast");
    let text = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
    fs::write(pointer.folder.path().join("tokenizer.json"), text).unwrap();
    check_tokenizer(&pointer, "tokenizer-damaged", "Git LFS pointer");
    for id in TOYS {
        let errors = Changed::of(id).findings();
        assert!(
            errors.iter().all(|(severity, ..)| *severity != Severity::Error),
            "{id}: {errors:?}"
        );
    }
}

#[tokio::test]
async fn prompts_of_completions_have_their_control_tokens_read() {
    let qwen = Changed::of("qwen_coder");
    let tokens = async |text: &str| {
        let prompt = Request { prompt: Prompt::Text(text.into()), max_tokens: Some(1), ..chat("") };
        qwen.ask(prompt).await.usage.prompt_tokens
    };
    let bare = tokens("def f(x):").await + tokens("return x").await;
    let filled = "<|fim_prefix|>def f(x):<|fim_suffix|>return x<|fim_middle|>";
    assert_eq!(tokens(filled).await, bare + 3);
    let rendered = "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful \
        assistant.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n";
    let chatted = qwen.ask(Request { max_tokens: Some(1), ..chat("Hello") }).await;
    assert_eq!(tokens(rendered).await, chatted.usage.prompt_tokens);
    let mistral = Changed::of("mistral_balanced");
    let begun = Request { prompt: Prompt::Text("<s>[INST] Hello [/INST]".into()), ..chat("") };
    let chatted = mistral.ask(chat("Hello")).await;
    assert_eq!(mistral.ask(begun).await.usage, chatted.usage, "a beginning is not put there twice");
}
