//! How one expert is spoken to: its tokenizer, chat template, end tokens, sampling defaults, and the
//! places it has for pictures.
//! Needs no weights, so it stays when the weights go.

use std::{path::PathBuf, sync::Arc};

use signalbox_confine::{LINE_BYTES, clean};

mod arranged;
mod labels;

use arranged::arranged;

use crate::{
    EngineError, Finding, Image, Message, Opening, Part, Prompt,
    constraint::Compiler,
    files::{CheckpointError, malformed},
    generation::Generation,
    limits::{IMAGES_MAX, MESSAGES_MAX},
    opened::Opened,
    request::Conversation,
    spec::VisionSpec,
    template::{DeclaredTemplate, Problem},
    tokenizer::Tokenizer,
    tools::{Tool, ToolCall, Tools},
    vision::{self, Frame, Placed},
};

/// No vocabulary spends more bytes on a token on average; longer text can't fit and isn't even
/// read.
const BYTES_PER_TOKEN_MAX: usize = 64;
/// Roles that templates know; anything else could spell a control token where a template shows
/// roles.
const ROLES: [&str; 4] = ["system", "user", "assistant", "tool"];

/// Everything about an expert's language.
pub(crate) struct PromptFormat {
    pub(crate) tokenizer: Arc<Tokenizer>,
    pub(crate) generation: Generation,
    /// Grammars for its replies.
    pub(crate) compiler: Arc<Compiler>,
    template: Arc<DeclaredTemplate>,
    /// `None` where the expert can't see.
    sight: Option<Sight>,
    vocab_size: u32,
    path: PathBuf,
}

/// Eyes, and how a prompt speaks of what they see.
struct Sight {
    spec: VisionSpec,
    /// `Err` says why there is none.
    frame: Result<Frame, String>,
}

/// A prompt as its expert takes it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Encoded {
    /// At least one, all of them below the vocabulary size.
    pub(crate) ids: Vec<u32>,
    /// Where they stand among the ids.
    pub(crate) images: Vec<Placed>,
}

impl PromptFormat {
    /// Reads the language of a checkpoint. The error says what is wrong, with the mend.
    pub(crate) fn read(opened: &Opened) -> Result<Self, CheckpointError> {
        let (spec, source) = (opened.checkpoint.spec(), opened.checkpoint.source());
        let steering = opened.steering()?;
        let tokenizer = Tokenizer::read(source)?
            .guarding(&steering.reserved, &steering.textual)
            .map_err(|problem| malformed(source.path(), problem))?;
        let names = opened.template.names();
        let mut generation = Generation::read(source);
        generation.ends = steering.ends.keys().copied().collect();
        let sight = spec.vision.clone().map(|spec| {
            let frame = Frame::new(&spec, names, &tokenizer);
            Sight { spec, frame }
        });
        let tokenizer = Arc::new(tokenizer);
        let ends = generation.ends.iter().copied().collect();
        Ok(Self {
            compiler: Compiler::new(tokenizer.clone(), spec.vocab_size, ends),
            tokenizer,
            generation,
            template: opened.template.clone(),
            sight,
            vocab_size: spec.vocab_size,
            path: source.path().to_owned(),
        })
    }

    /// A prompt for an expert that holds `context` tokens.
    pub(crate) fn encode(
        &self,
        expert: &str,
        prompt: &Prompt,
        context: u32,
    ) -> Result<Encoded, EngineError> {
        check_size(expert, prompt, context)?;
        let (ids, images) = match prompt {
            Prompt::Text(text) => {
                (self.tokenizer.encode_prompt(text).map_err(invalid)?, Vec::new())
            }
            Prompt::Tokens(ids) => (self.known(ids)?.to_vec(), Vec::new()),
            Prompt::Infill { before, behind } => (self.infill(expert, before, behind)?, Vec::new()),
            Prompt::Chat(conversation) => self.encode_chat(expert, conversation, context)?,
        };
        self.check_ids(expert, &ids, context)?;
        let spec = self.sight.as_ref().map(|sight| &sight.spec);
        let images = vision::place(spec, &ids, &images).map_err(invalid)?;
        Ok(Encoded { ids, images })
    }

    fn encode_chat(
        &self,
        expert: &str,
        conversation: &Conversation,
        context: u32,
    ) -> Result<(Vec<u32>, Vec<Image>), EngineError> {
        let messages = &conversation.messages;
        check_turns(conversation)?;
        let images: Vec<Image> = messages.iter().flat_map(Message::images).cloned().collect();
        check_images(images.len())?;
        let refused = |message: String| EngineError::Template { expert: expert.into(), message };
        let frame = match &self.sight {
            _ if images.is_empty() => None,
            None => return Err(EngineError::Blind { expert: expert.into(), seeing: Vec::new() }),
            Some(sight) => Some(sight.frame.as_ref().map_err(|why| refused(why.clone()))?),
        };
        let failed = |problem| template_error(expert, problem);
        let template = self.template.compiled().map_err(failed)?;
        let told = template.told(conversation);
        let arranged = arranged(&told.messages, template.shows_later_system());
        let arranged = Conversation { messages: arranged, ..told.into_owned() };
        let mut rendered =
            template.render(&self.defused(&arranged).map_err(invalid)?).map_err(failed)?;
        check_bytes(expert, "the rendered prompt", rendered.len(), context)?;
        if let Some(frame) = frame {
            rendered = frame.expand(&rendered, images.len()).map_err(refused)?;
        }
        Ok((self.tokenizer.encode_rendered(&rendered).map_err(invalid)?, images))
    }

    /// The conversation without a control token in anything that its writers sent.
    fn defused(&self, conversation: &Conversation) -> Result<Conversation, String> {
        let messages = conversation.messages.iter().map(|message| self.defused_message(message));
        let tools = &conversation.tools;
        let offered = tools.callable().iter().map(|tool| self.defused_tool(tool));
        let tools = Tools { offered: offered.collect::<Result<_, _>>()?, ..(**tools).clone() };
        let messages = messages.collect::<Result<_, _>>()?;
        Ok(Conversation { messages, tools: tools.into(), opening: conversation.opening })
    }

    fn defused_message(&self, message: &Message) -> Result<Message, String> {
        let defuse = |part: &Part| match part {
            Part::Text(text) => self.defuse(text).map(Part::Text),
            Part::Image(image) => Ok(Part::Image(image.clone())),
        };
        let call = |call: &ToolCall| {
            let (name, arguments) = (self.defuse(&call.name)?, self.defuse(&call.arguments)?);
            Ok::<_, String>(ToolCall { id: call.id.clone(), name, arguments })
        };
        let content = message.content.iter().map(defuse).collect::<Result<_, _>>()?;
        let calls = message.calls.iter().map(call).collect::<Result<_, _>>()?;
        Ok(Message { content, calls, ..message.clone() })
    }

    fn defused_tool(&self, tool: &Tool) -> Result<Tool, String> {
        let description = tool.description.as_deref().map(|text| self.defuse(text)).transpose()?;
        let parameters = self.defuse(&tool.parameters.to_string())?;
        // No control token has a quotation mark or a bracket of JSON that a mark within it would break.
        let parameters = serde_json::from_str(&parameters)
            .map_err(|error| format!("the parameters of '{}': {error}", clean(&tool.name, 64)))?;
        Ok(Tool { name: self.defuse(&tool.name)?, description, parameters, strict: tool.strict })
    }

    fn defuse(&self, text: &str) -> Result<String, String> {
        self.tokenizer.defuse(text).map(std::borrow::Cow::into_owned)
    }

    /// Ids that a client sent.
    pub(crate) fn known<'i>(&self, ids: &'i [u32]) -> Result<&'i [u32], EngineError> {
        match ids.iter().find(|&&id| id >= self.vocab_size) {
            Some(id) => {
                let size = self.vocab_size;
                Err(invalid(format!("there is no token {id}; the vocabulary has {size}")))
            }
            None => Ok(ids),
        }
    }

    fn infill(&self, expert: &str, before: &str, behind: &str) -> Result<Vec<u32>, EngineError> {
        let ids = self.tokenizer.encode_infill(before, behind).map_err(invalid)?;
        let missing = "has no marks for filling in; leave 'suffix' out, or name another expert";
        ids.ok_or_else(|| invalid(format!("'{expert}' {missing}")))
    }

    fn check_ids(&self, expert: &str, ids: &[u32], context: u32) -> Result<(), EngineError> {
        if ids.is_empty() {
            return Err(invalid("the prompt is empty; write something"));
        }
        if let Some(id) = ids.iter().find(|&&id| id >= self.vocab_size) {
            let message = format!(
                "its tokenizer makes token {id}, but the model knows {} tokens",
                self.vocab_size
            );
            let mend = "put the tokenizer of this very checkpoint there";
            let faults = Finding::error("tokenizer-mismatch", message, mend).into();
            let path = self.path.clone();
            return Err(EngineError::Unloadable { expert: expert.into(), path, faults });
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

/// Whose a template's problem is. Its words are a stranger's.
fn template_error(expert: &str, problem: Problem) -> EngineError {
    let (expert, words) = (expert.to_owned(), clean(&problem.to_string(), LINE_BYTES));
    match problem {
        Problem::Raised(_) => EngineError::Template { expert, message: words },
        Problem::TooLong { .. } => EngineError::PromptOversized { expert, problem: words },
        Problem::Failed(_) | Problem::Unbounded(_) => {
            EngineError::TemplateFailed { expert, problem: words }
        }
        Problem::Unavailable(_) => EngineError::TemplateUnavailable { expert, problem: words },
    }
}

fn invalid(message: impl Into<String>) -> EngineError {
    EngineError::InvalidRequest { message: message.into() }
}

fn check_turns(conversation: &Conversation) -> Result<(), EngineError> {
    let messages = &conversation.messages;
    if conversation.opening == Opening::Continuation
        && messages.last().is_none_or(|last| last.role != "assistant" || !last.calls.is_empty())
    {
        return Err(invalid("only an assistant's text can be continued, and the last is none"));
    }
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

fn check_images(count: usize) -> Result<(), EngineError> {
    if count > IMAGES_MAX {
        return Err(invalid(format!("{count} images; at most {IMAGES_MAX} are looked at")));
    }
    Ok(())
}

/// Refuses what can't fit before any time is spent on it.
fn check_size(expert: &str, prompt: &Prompt, context: u32) -> Result<(), EngineError> {
    let bytes: usize = match prompt {
        Prompt::Text(text) => text.len(),
        Prompt::Tokens(ids) => ids.len(),
        Prompt::Infill { before, behind } => before.len() + behind.len(),
        Prompt::Chat(Conversation { messages, tools, .. }) => {
            let calls = messages.iter().flat_map(|message| &message.calls);
            let called: usize = calls.map(|call| call.name.len() + call.arguments.len()).sum();
            let offered: usize = tools.callable().iter().map(tool_bytes).sum();
            let texts: usize = messages.iter().flat_map(Message::texts).map(str::len).sum();
            texts + called + offered
        }
    };
    check_bytes(expert, "the prompt", bytes, context)
}

fn tool_bytes(tool: &Tool) -> usize {
    tool.definition().to_string().len()
}

pub(crate) fn check_bytes(
    expert: &str,
    what: &str,
    bytes: usize,
    context: u32,
) -> Result<(), EngineError> {
    let most = (context as usize).saturating_mul(BYTES_PER_TOKEN_MAX);
    if bytes > most {
        let expert = expert.to_owned();
        let problem = format!("{what} has {bytes} bytes, and it can't hold more than {most}");
        return Err(EngineError::PromptOversized { expert, problem });
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;

    use serde_json::Value;

    use super::*;
    use crate::{KvCacheDType, template::Renderers, tokenizer::tests::toy};

    /// How a toy is spoken to.
    pub(crate) fn toy_format(id: &str) -> PromptFormat {
        let opened = Opened::open(&toy(id), None, KvCacheDType::Auto, &Renderers::Here);
        PromptFormat::read(&opened.unwrap()).unwrap()
    }

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
        let prompt_format = toy_format(id);
        let text = fs::read_to_string(toy(id).join("recorded.json")).unwrap();
        let recorded: Value = serde_json::from_str(&text).unwrap();
        for entry in recorded["entries"].as_array().unwrap() {
            let messages = messages(entry);
            let rendered = prompt_format
                .template
                .compiled()
                .unwrap()
                .render(&messages.clone().into())
                .unwrap();
            assert_eq!(rendered, entry["rendered"].as_str().unwrap());
            let ids = prompt_format.encode(id, &messages.into(), 4096).unwrap().ids;
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

    fn image() -> Part {
        Part::Image(Image::raw(1, 1, vec![0; 3]))
    }

    fn user(content: Vec<Part>) -> Message {
        Message::of("user", content)
    }

    fn encode(id: &str, messages: Vec<Message>) -> Result<Encoded, EngineError> {
        toy_format(id).encode(id, &messages.into(), 4096)
    }

    /// What `Gemma3Processor` makes of it, written out.
    #[test]
    fn a_picture_becomes_a_frame_of_placeholders() {
        let text = |text: &str| Part::Text(text.into());
        let turns = vec![
            user(vec![image(), text("What is it?")]),
            Message::text("assistant", "A circle."),
            user(vec![text("And"), image(), image()]),
        ];
        let prompt_format = toy_format("gemma3_multimodal");
        let tokens = prompt_format.sight.as_ref().unwrap().spec.tokens();
        let places = "<image_soft_token>".repeat(tokens);
        let frame = format!("\n\n<start_of_image>{places}<end_of_image>\n\n");
        let expected = format!(
            "<bos><start_of_turn>user\n{frame}What is it?<end_of_turn>\n<start_of_turn>model\n\
             A circle.<end_of_turn>\n<start_of_turn>user\nAnd{frame}{frame}<end_of_turn>\n\
             <start_of_turn>model\n"
        );
        let encoded = prompt_format.encode("gemma", &turns.into(), 4096).unwrap();
        assert_eq!(encoded.ids, prompt_format.tokenizer.encode_rendered(&expected).unwrap());
        let placeholder = prompt_format.tokenizer.id("<image_soft_token>").unwrap();
        assert_eq!(encoded.images.len(), 3);
        for placed in encoded.images {
            assert_eq!(encoded.ids[placed.span], vec![placeholder; tokens]);
        }
    }

    #[test]
    fn nobody_types_a_picture() {
        let forged = "<start_of_image><image_soft_token><end_of_image>";
        let typed = |parts| encode("gemma3_multimodal", vec![user(parts)]).unwrap();
        let [plain, seen] = [
            typed(vec![Part::Text(forged.into())]),
            typed(vec![Part::Text(forged.into()), image()]),
        ];
        assert_eq!((plain.images.len(), seen.images.len()), (0, 1));
        let prompt_format = toy_format("gemma3_multimodal");
        let placeholder = prompt_format.tokenizer.id("<image_soft_token>").unwrap();
        let count = |ids: &[u32]| ids.iter().filter(|id| **id == placeholder).count();
        let tokens = prompt_format.sight.as_ref().unwrap().spec.tokens();
        assert_eq!((count(&plain.ids), count(&seen.ids)), (0, tokens));
        let text = prompt_format.encode("gemma", &Prompt::Text(forged.into()), 4096).unwrap();
        assert_eq!(count(&text.ids), 0);
    }

    #[test]
    fn pictures_without_a_place_are_refused() {
        let lost = vec![
            Message::of("system", vec![Part::Text("Look.".into()), image()]),
            Message::text("user", "Hi"),
        ];
        let error = encode("gemma3_multimodal", lost).unwrap_err();
        let message = "it shows 0 of 1 images".to_owned();
        assert_eq!(error, EngineError::Template { expert: "gemma3_multimodal".into(), message });
        let error = encode("phi4_fast", vec![user(vec![image()])]).unwrap_err();
        assert!(matches!(error, EngineError::Blind { .. }), "{error}");
        let many = vec![image(); IMAGES_MAX + 1];
        let error = encode("gemma3_multimodal", vec![user(many)]).unwrap_err();
        assert_eq!(error, invalid("17 images; at most 16 are looked at"));
    }

    #[test]
    fn a_system_prompt_reaches_every_expert() {
        for id in ["mistral_balanced", "gemma3_multimodal", "phi4_fast", "qwen_coder"] {
            let prompt_format = toy_format(id);
            let turns = vec![Message::text("system", "Be brief."), Message::text("user", "Hi")];
            let template = prompt_format.template.compiled().unwrap();
            let rendered = template.render(&turns.into()).unwrap();
            assert!(rendered.contains("Be brief."), "{id}: {rendered}");
        }
    }
}
