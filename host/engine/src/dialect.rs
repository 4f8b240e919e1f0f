//! How one expert is spoken to: its tokenizer, chat template, end tokens and sampling defaults.
//! Needs no weights, so it stays when the weights go.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    EngineError, Message, Part, Prompt,
    checkpoint::Checkpoint,
    generation::Generation,
    template::{self, ChatTemplate},
    tokenizer::Tokenizer,
};

/// Turns one conversation may have.
const MESSAGES_MAX: usize = 8192;
/// No vocabulary spends more bytes on a token on average; longer text can't fit and isn't even
/// read.
const BYTES_PER_TOKEN_MAX: usize = 64;
/// Roles that templates know; anything else could spell a control token where a template shows
/// roles.
const ROLES: [&str; 4] = ["system", "user", "assistant", "tool"];

/// Everything about an expert's language.
pub(crate) struct Dialect {
    pub(crate) tokenizer: Arc<Tokenizer>,
    pub(crate) generation: Generation,
    /// `Err` says why there is none.
    template: Result<ChatTemplate, String>,
    vocab_size: u32,
    path: PathBuf,
}

impl Dialect {
    /// Opens a checkpoint's headers and reads its language. The error says what is wrong, with the
    /// mend.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let checkpoint = Checkpoint::open(path).map_err(|error| error.to_string())?;
        let source = checkpoint.source();
        let tokenizer = Tokenizer::read(&source)?;
        let names = template::token_names(&source);
        let mut generation = Generation::read(&source);
        generation.ends.extend(names.get("eos_token").and_then(|text| tokenizer.id(text)));
        let template = match template::find(&source) {
            Some(text) => ChatTemplate::compile(text, &names),
            None => {
                Err("the checkpoint has none; add chat_template.jinja, or use completions".into())
            }
        };
        let vocab_size = checkpoint.spec().vocab_size;
        let (tokenizer, path) = (Arc::new(tokenizer), path.to_owned());
        Ok(Self { tokenizer, generation, template, vocab_size, path })
    }

    /// The token ids of a prompt for an expert that holds `context` tokens.
    pub(crate) fn encode(
        &self,
        expert: &str,
        prompt: &Prompt,
        context: u32,
    ) -> Result<Vec<u32>, EngineError> {
        check_size(prompt, context)?;
        let ids = match prompt {
            Prompt::Text(text) => self.tokenizer.encode_text(text).map_err(invalid)?,
            Prompt::Chat(messages) => self.encode_chat(expert, messages)?,
        };
        self.check_ids(expert, &ids, context)?;
        Ok(ids)
    }

    fn encode_chat(&self, expert: &str, messages: &[Message]) -> Result<Vec<u32>, EngineError> {
        check_turns(messages)?;
        if messages.iter().flat_map(Message::images).next().is_some() {
            return Err(EngineError::Blind { expert: expert.into(), seeing: Vec::new() });
        }
        let refused = |message: String| EngineError::Template { expert: expert.into(), message };
        let template = self.template.as_ref().map_err(|why| refused(why.clone()))?;
        let defused: Vec<Message> =
            messages.iter().map(|message| self.defuse(message)).collect::<Result<_, _>>()?;
        let rendered = template.render(&defused).map_err(refused)?;
        self.tokenizer.encode_rendered(&rendered).map_err(invalid)
    }

    fn defuse(&self, message: &Message) -> Result<Message, EngineError> {
        let defuse = |part: &Part| match part {
            Part::Text(text) => {
                self.tokenizer.defuse(text).map(|text| Part::Text(text.into_owned()))
            }
            Part::Image(image) => Ok(Part::Image(image.clone())),
        };
        let content = message.content.iter().map(defuse).collect::<Result<_, _>>();
        Ok(Message { role: message.role.clone(), content: content.map_err(invalid)? })
    }

    fn check_ids(&self, expert: &str, ids: &[u32], context: u32) -> Result<(), EngineError> {
        if ids.is_empty() {
            return Err(invalid("the prompt is empty; write something"));
        }
        if let Some(id) = ids.iter().find(|&&id| id >= self.vocab_size) {
            let problem = format!(
                "its tokenizer makes token {id}, but the model knows {} tokens; put the tokenizer \
                 of this very checkpoint there",
                self.vocab_size
            );
            let path = self.path.clone();
            return Err(EngineError::Unloadable { expert: expert.into(), path, problem });
        }
        let prompt_tokens = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        if prompt_tokens >= context {
            return Err(EngineError::PromptTooLong {
                expert: expert.into(),
                prompt_tokens,
                context,
            });
        }
        Ok(())
    }
}

fn invalid(message: impl Into<String>) -> EngineError {
    EngineError::InvalidRequest { message: message.into() }
}

fn check_turns(messages: &[Message]) -> Result<(), EngineError> {
    if messages.is_empty() {
        return Err(invalid("there are no messages; send at least one"));
    }
    if messages.len() > MESSAGES_MAX {
        let turns = messages.len();
        return Err(invalid(format!("{turns} messages; at most {MESSAGES_MAX} are read")));
    }
    match messages.iter().find(|message| !ROLES.contains(&message.role.as_str())) {
        Some(odd) => {
            Err(invalid(format!("'{}' is not a role; use one of {}", odd.role, ROLES.join(", "))))
        }
        None => Ok(()),
    }
}

/// Refuses what can't fit before any time is spent on it.
fn check_size(prompt: &Prompt, context: u32) -> Result<(), EngineError> {
    let bytes: usize = match prompt {
        Prompt::Text(text) => text.len(),
        Prompt::Chat(messages) => messages.iter().flat_map(Message::texts).map(str::len).sum(),
    };
    let most = (context as usize).saturating_mul(BYTES_PER_TOKEN_MAX);
    if bytes > most {
        let message =
            format!("the prompt has {bytes} bytes; this expert can't hold more than {most}");
        return Err(invalid(message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::Value;

    use super::*;
    use crate::tokenizer::tests::toy;

    fn messages(entry: &Value) -> Vec<Message> {
        let turn = |role: &Value, content: &Value| {
            Message::text(role.as_str().unwrap(), content.as_str().unwrap())
        };
        match entry["messages"].as_array() {
            Some(turns) => turns.iter().map(|t| turn(&t["role"], &t["content"])).collect(),
            None => vec![turn(&"user".into(), &entry["prompt"])],
        }
    }

    /// Every recorded conversation: the template byte for byte, then the ids.
    fn check(id: &str) {
        let dialect = Dialect::open(&toy(id)).unwrap();
        let text = fs::read_to_string(toy(id).join("recorded.json")).unwrap();
        let recorded: Value = serde_json::from_str(&text).unwrap();
        for entry in recorded["entries"].as_array().unwrap() {
            let messages = messages(entry);
            let rendered = dialect.template.as_ref().unwrap().render(&messages).unwrap();
            assert_eq!(rendered, entry["rendered"].as_str().unwrap());
            let ids = dialect.encode(id, &Prompt::Chat(messages), 4096).unwrap();
            assert_eq!(serde_json::json!(ids), entry["prompt_ids"], "{id}: {rendered:?}");
        }
    }

    #[test]
    fn recorded_conversations_are_encoded_as_transformers_does() {
        check("phi4_fast");
        check("mistral_balanced");
        check("qwen_coder");
        check("gemma3_multimodal");
        check("aya_expanse_multilingual");
    }

    #[test]
    fn a_system_prompt_reaches_every_expert() {
        for id in ["mistral_balanced", "gemma3_multimodal", "phi4_fast", "qwen_coder"] {
            let dialect = Dialect::open(&toy(id)).unwrap();
            let turns = [Message::text("system", "Be brief."), Message::text("user", "Hi")];
            let rendered = dialect.template.as_ref().unwrap().render(&turns).unwrap();
            assert!(rendered.contains("Be brief."), "{id}: {rendered}");
        }
    }
}
