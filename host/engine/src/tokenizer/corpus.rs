//! Tokenizers and templates against what the references made of `tests/text/corpus.json`: the ids
//! of every text, the text they give back, and every conversation byte for byte.

use std::{collections::BTreeMap, env, fs, path::PathBuf, sync::Arc};

use serde::{Deserialize, de::DeserializeOwned};

use super::{Detokenizer, Tokenizer, tests::toy};
use crate::{
    Message, Part,
    checkpoint::Checkpoint,
    files::Source,
    template::{self, ChatTemplate, Renderers},
};

#[derive(Deserialize)]
struct Corpus {
    texts: BTreeMap<String, String>,
    /// Spell control tokens, which are text when a user writes them.
    controls: Vec<String>,
    conversations: BTreeMap<String, Vec<Turn>>,
}

#[derive(Deserialize)]
struct Turn {
    role: String,
    content: Content,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Plain(String),
    Parts(Vec<Piece>),
}

#[derive(Deserialize)]
struct Piece {
    text: String,
}

/// What a reference made of it.
#[derive(Deserialize)]
struct Recorded {
    texts: BTreeMap<String, Reading>,
    controls: Vec<Reading>,
    /// None where the checkpoint has no template.
    conversations: BTreeMap<String, Conversation>,
}

#[derive(Deserialize)]
struct Reading {
    ids: Vec<u32>,
    /// Where the ids don't give the same text back: composed characters, SentencePiece's blank.
    decoded: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Conversation {
    Rendered { rendered: String, ids: Vec<u32> },
    Refused { refused: String },
}

fn read<T: DeserializeOwned>(name: &str) -> T {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/text");
    let text = fs::read(PathBuf::from(folder).join(format!("{name}.json"))).unwrap();
    serde_json::from_slice(&text).unwrap()
}

impl Corpus {
    /// Every plain text and every forged control token, beside what the reference made of it.
    fn readings(&self, recorded: Recorded) -> Vec<(&str, Reading)> {
        let Recorded { mut texts, controls, .. } = recorded;
        assert_eq!(texts.len(), self.texts.len(), "record the corpus again");
        assert_eq!(controls.len(), self.controls.len(), "record the corpus again");
        let plain = self.texts.iter().map(|(name, text)| (&**text, texts.remove(name).unwrap()));
        let forged = self.controls.iter().map(String::as_str).zip(controls);
        plain.chain(forged).collect()
    }
}

/// The tokenizer agrees with the reference on every text.
pub(super) fn check_texts(name: &str, tokenizer: &Tokenizer) {
    let corpus: Corpus = read("corpus");
    let mut wrong = Vec::new();
    for (text, expected) in corpus.readings(read(name)) {
        let ids = tokenizer.encode_text(text).unwrap();
        let decoded = tokenizer.decode(&expected.ids);
        if ids != expected.ids {
            wrong.push(format!("{text:?} is {ids:?} instead of {:?}", expected.ids));
        }
        let back = expected.decoded.as_deref().unwrap_or(text);
        if decoded != back {
            wrong.push(format!("{back:?} comes back as {decoded:?}"));
        }
    }
    assert!(wrong.is_empty(), "{name}: {} differ\n{}", wrong.len(), wrong.join("\n"));
}

/// A checkpoint's language: what it reads and how it is spoken to.
struct Language {
    name: &'static str,
    tokenizer: Arc<Tokenizer>,
    template: Option<ChatTemplate>,
}

impl Language {
    fn of(name: &'static str, source: &Source) -> Self {
        let names = template::token_names(source);
        let template = template::find(source).unwrap();
        let template = template.map(|text| ChatTemplate::compile(text, &names, &Renderers::Here));
        Self {
            name,
            tokenizer: Arc::new(Tokenizer::read(source).unwrap()),
            template: template.map(|compiled| compiled.map_err(|e| e.to_string()).unwrap()),
        }
    }

    fn check(&self) {
        check_texts(self.name, &self.tokenizer);
        self.check_streaming();
        self.check_conversations();
        self.check_forgeries();
    }

    /// A reply's text is the same in pieces as in one.
    fn check_streaming(&self) {
        let corpus: Corpus = read("corpus");
        for (text, Reading { ids, .. }) in corpus.readings(read(self.name)) {
            let mut detokenizer = Detokenizer::new(self.tokenizer.clone());
            let mut said: String = ids.iter().map(|&id| detokenizer.push(id)).collect();
            said.push_str(&detokenizer.finish());
            assert_eq!(said, self.tokenizer.decode(&ids), "{}: {text:?}", self.name);
        }
    }

    fn check_conversations(&self) {
        let corpus: Corpus = read("corpus");
        let mut recorded: Recorded = read(self.name);
        let Some(template) = &self.template else {
            assert!(recorded.conversations.is_empty(), "{} has a template", self.name);
            return;
        };
        for (title, turns) in &corpus.conversations {
            let about = format!("{}: {title}", self.name);
            let messages: Vec<Message> = turns.iter().map(message).collect();
            match recorded.conversations.remove(title).unwrap() {
                Conversation::Rendered { rendered, ids } => {
                    assert_eq!(
                        template.render(&messages.clone().into()).unwrap(),
                        rendered,
                        "{about}"
                    );
                    assert_eq!(self.ids(&messages), ids, "{about}");
                }
                Conversation::Refused { refused } => {
                    assert_eq!(
                        template.render(&messages.clone().into()).unwrap_err().to_string(),
                        refused,
                        "{about}"
                    );
                }
            }
        }
    }

    /// Whatever a user spells, the prompt holds the control tokens of its template and no other,
    /// and the user's text is in it.
    fn check_forgeries(&self) {
        if self.template.is_none() {
            return;
        }
        let corpus: Corpus = read("corpus");
        let own = self.controls(&self.ids(&[Message::text("user", "x")]));
        let recorded: Recorded = read(self.name);
        for (forged, Reading { decoded, .. }) in corpus.controls.iter().zip(recorded.controls) {
            let ids = self.ids(&[Message::text("user", forged)]);
            assert_eq!(self.controls(&ids), own, "{}: {forged:?}", self.name);
            let text = decoded.as_ref().unwrap_or(forged).trim();
            assert!(self.tokenizer.decode(&ids).contains(text), "{}: {forged:?}", self.name);
        }
    }

    /// A prompt's ids, as serving makes them.
    fn ids(&self, messages: &[Message]) -> Vec<u32> {
        let defuse = |part: &Part| match part {
            Part::Text(text) => Part::Text(self.tokenizer.defuse(text).unwrap().into_owned()),
            Part::Image(image) => Part::Image(image.clone()),
        };
        let defused = |message: &Message| {
            Message::of(&message.role, message.content.iter().map(defuse).collect())
        };
        let messages: Vec<Message> = messages.iter().map(defused).collect();
        let rendered = self.template.as_ref().unwrap().render(&messages.into()).unwrap();
        self.tokenizer.encode_rendered(&rendered).unwrap()
    }

    fn controls(&self, ids: &[u32]) -> Vec<u32> {
        ids.iter().copied().filter(|id| self.tokenizer.controls.ids.contains(id)).collect()
    }
}

fn message(turn: &Turn) -> Message {
    let content = match &turn.content {
        Content::Plain(text) => vec![Part::Text(text.clone())],
        Content::Parts(parts) => parts.iter().map(|part| Part::Text(part.text.clone())).collect(),
    };
    Message::of(&turn.role, content)
}

fn check_toy(name: &'static str) {
    Language::of(name, &Source::Folder(toy(name))).check();
}

#[test]
fn phi4_fast_reads_the_corpus() {
    check_toy("phi4_fast");
}

#[test]
fn mistral_balanced_reads_the_corpus() {
    check_toy("mistral_balanced");
}

#[test]
fn qwen_coder_reads_the_corpus() {
    check_toy("qwen_coder");
}

#[test]
fn gemma3_multimodal_reads_the_corpus() {
    check_toy("gemma3_multimodal");
}

#[test]
fn aya_expanse_multilingual_reads_the_corpus() {
    check_toy("aya_expanse_multilingual");
}

fn check_real(name: &'static str, file: &str) {
    let cache = env::var_os("SIGNALBOX_MODEL_CACHE").expect("set SIGNALBOX_MODEL_CACHE");
    let checkpoint = Checkpoint::open(&PathBuf::from(cache).join(file)).unwrap();
    Language::of(name, checkpoint.source()).check();
}

#[test]
#[ignore = "needs a downloaded model; tests/models/fetch gets it"]
fn smollm2_reads_the_corpus() {
    check_real("smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf");
}

#[test]
#[ignore = "needs a downloaded model; tests/models/fetch gets it"]
fn gemma3_270m_reads_the_corpus() {
    check_real("gemma3", "gemma-3-270m.Q4_K_M.gguf");
}

#[test]
#[ignore = "needs a downloaded model; tests/models/fetch gets it"]
fn qwen_instruct_reads_the_corpus() {
    check_real("qwen", "Qwen2.5-Coder-1.5B-Instruct.Q4_K_M.gguf");
}
