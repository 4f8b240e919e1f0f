//! What an expert's vocabulary makes of text, for whoever asks without wanting a reply: needs no weights.

use super::Fleet;
use crate::{EngineError, Prompt, prompt_format::check_bytes};

impl Fleet {
    /// How many tokens a prompt has as this expert takes it: rendered by its template, pictures included.
    ///
    /// # Errors
    /// An unknown expert, or a prompt that it would not answer.
    pub async fn prompt_tokens(&self, id: &str, prompt: Prompt) -> Result<u32, EngineError> {
        let expert = self.find(id)?;
        expert.inspect_aside().await?;
        if expert.encodes() {
            return Err(expert.no_replies());
        }
        let (chat, context) = (matches!(prompt, Prompt::Chat(_)), expert.context());
        let encoding = expert.aside(chat, move |expert| {
            expert.prompt_format()?.encode(expert.id(), &prompt, context)
        });
        let encoded = encoding.await?;
        Ok(u32::try_from(encoded.ids.len()).unwrap_or(u32::MAX))
    }

    /// The ids of a text, each with the bytes it stands for; `begun` puts the beginning before them that
    /// prompts have.
    ///
    /// # Errors
    /// An unknown expert, a text that is longer than any prompt, a tokenizer that can't be read.
    pub async fn tokenize(
        &self,
        id: &str,
        text: String,
        begun: bool,
    ) -> Result<Vec<(u32, Vec<u8>)>, EngineError> {
        let expert = self.find(id)?;
        expert.inspect_aside().await?;
        check_bytes(id, "the text", text.len(), expert.context())?;
        let pieces = expert.aside(false, move |expert| {
            let pieces = expert.tokenizer()?.pieces(&text, begun);
            pieces.map_err(|message| EngineError::InvalidRequest { message })
        });
        pieces.await
    }

    /// The text of these ids, control tokens left out; half characters show as U+FFFD.
    ///
    /// # Errors
    /// An unknown expert, ids that it does not know, a tokenizer that can't be read.
    pub async fn detokenize(&self, id: &str, ids: Vec<u32>) -> Result<String, EngineError> {
        let expert = self.find(id)?;
        expert.inspect_aside().await?;
        let text = expert.aside(false, move |expert| {
            if expert.encodes() {
                let wording = expert.wording()?;
                return Ok(wording.tokenizer.decode(wording.known(&ids)?));
            }
            let format = expert.prompt_format()?;
            Ok(format.tokenizer.decode(format.known(&ids)?))
        });
        text.await
    }
}
