//! What an expert's vocabulary makes of text, for whoever asks without wanting a reply: needs no weights.

use super::{Fleet, handle::Handle};
use crate::{EngineError, Prompt, expert::panic_words, prompt_format::check_bytes};

impl Fleet {
    /// How many tokens a prompt has as this expert takes it: rendered by its template, pictures included.
    ///
    /// # Errors
    /// An unknown expert, or a prompt that it would not answer.
    pub async fn prompt_tokens(&self, id: &str, prompt: Prompt) -> Result<u32, EngineError> {
        let expert = self.find(id)?;
        let turn = expert.turn(&prompt).await;
        let context = expert.context();
        let work = move |expert: &Handle| {
            let _turn = turn; // given back when the work is done, whoever still waits for it
            expert.prompt_format()?.encode(expert.id(), &prompt, context)
        };
        let encoded = aside(expert, work).await?;
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
        check_bytes(id, "the text", text.len(), expert.context())?;
        let work = move |expert: &Handle| {
            let pieces = expert.prompt_format()?.tokenizer.pieces(&text, begun);
            pieces.map_err(|message| EngineError::InvalidRequest { message })
        };
        aside(expert, work).await
    }

    /// The text of these ids, control tokens left out; half characters show as U+FFFD.
    ///
    /// # Errors
    /// An unknown expert, ids that it does not know, a tokenizer that can't be read.
    pub async fn detokenize(&self, id: &str, ids: Vec<u32>) -> Result<String, EngineError> {
        let work = move |expert: &Handle| {
            let format = expert.prompt_format()?;
            Ok(format.tokenizer.decode(format.known(&ids)?))
        };
        aside(self.find(id)?, work).await
    }
}

/// Tokenizers and templates take milliseconds, and the first use of one reads it from disk.
async fn aside<T: Send + 'static>(
    expert: Handle,
    work: impl FnOnce(&Handle) -> Result<T, EngineError> + Send + 'static,
) -> Result<T, EngineError> {
    let name = expert.id().to_owned();
    let working = tokio::task::spawn_blocking(move || {
        expert.ensure_inspected()?;
        work(&expert)
    });
    working.await.unwrap_or_else(|error| {
        let problem = match error.try_into_panic() {
            Ok(panic) => panic_words(&*panic),
            Err(error) => error.to_string(),
        };
        Err(EngineError::TemplateFailed { expert: name, problem })
    })
}
