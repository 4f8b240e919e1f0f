//! How texts become tokens of an encoder: its tokenizer, and how long a text may be. Needs no weights, so it stays when
//! the weights go.

use std::sync::Arc;

use crate::{
    EngineError, checkpoint::EncoderCheckpoint, encoder::Tokens, files::CheckpointError,
    request::Embeddable, tokenizer::Tokenizer,
};

/// No vocabulary spends more bytes on a token on average; a longer text isn't even read.
const BYTES_PER_TOKEN_MAX: usize = 64;

/// Everything about an encoder's language.
pub(crate) struct Wording {
    pub(crate) tokenizer: Arc<Tokenizer>,
    vocab_size: u32,
}

impl Wording {
    /// Reads the tokenizer of a checkpoint. The error says what is wrong, with the mend.
    pub(crate) fn read(checkpoint: &EncoderCheckpoint) -> Result<Self, CheckpointError> {
        let tokenizer = Arc::new(Tokenizer::read(&checkpoint.source())?);
        Ok(Self { tokenizer, vocab_size: checkpoint.spec().vocab_size })
    }

    /// The tokens of a text, for an encoder that holds `context` of them. One that is longer is refused, or with
    /// `truncate` loses its end; the token that ends every text stays. Of two texts the longer one loses more.
    pub(crate) fn encode(
        &self,
        expert: &str,
        text: &Embeddable,
        context: u32,
        truncate: bool,
    ) -> Result<Tokens, EngineError> {
        let ids = match text {
            Embeddable::Pair(first, second) => {
                return self.encode_pair(expert, (first, second), context, truncate);
            }
            Embeddable::Text(text) => {
                let readable = self.readable(expert, text, context, truncate)?;
                self.tokenizer.encode_text(readable).map_err(invalid)?
            }
            Embeddable::Tokens(ids) => self.known(ids)?.to_vec(),
        };
        within(expert, ids, context, truncate).map(Tokens::from)
    }

    fn encode_pair(
        &self,
        expert: &str,
        (first, second): (&str, &str),
        context: u32,
        truncate: bool,
    ) -> Result<Tokens, EngineError> {
        let first = self.readable(expert, first, context, truncate)?;
        let second = self.readable(expert, second, context, truncate)?;
        let most = truncate.then_some(context as usize);
        let (ids, kinds) = self.tokenizer.encode_pair(first, second, most).map_err(invalid)?;
        if ids.len() > context as usize {
            let tokens = u32::try_from(ids.len()).unwrap_or(u32::MAX);
            let expert = expert.to_owned();
            return Err(EngineError::TextTooLong { expert, tokens, context });
        }
        let second = kinds.iter().position(|kind| *kind == 1).unwrap_or(ids.len());
        Ok(Tokens { ids, second })
    }

    /// As much of a text as can matter.
    fn readable<'a>(
        &self,
        expert: &str,
        text: &'a str,
        context: u32,
        truncate: bool,
    ) -> Result<&'a str, EngineError> {
        let most = (context as usize).saturating_mul(BYTES_PER_TOKEN_MAX);
        if text.len() <= most {
            return Ok(text);
        }
        if truncate {
            return Ok(&text[..text.floor_char_boundary(most)]);
        }
        let problem = format!("a text has {} bytes, and no more than {most} can fit", text.len());
        Err(EngineError::TextOversized { expert: expert.to_owned(), problem })
    }

    /// These ids, if the vocabulary has them all.
    pub(crate) fn known<'a>(&self, ids: &'a [u32]) -> Result<&'a [u32], EngineError> {
        match ids.iter().find(|id| **id >= self.vocab_size) {
            None => Ok(ids),
            Some(id) => {
                let last = self.vocab_size - 1;
                Err(invalid(format!("there is no token {id}; the expert knows 0 to {last}")))
            }
        }
    }
}

/// The tokens of one text, as many as an encoder holds.
fn within(
    expert: &str,
    ids: Vec<u32>,
    context: u32,
    truncate: bool,
) -> Result<Vec<u32>, EngineError> {
    let most = context as usize;
    if ids.is_empty() {
        return Err(invalid("a text has no tokens; give at least one character".to_owned()));
    }
    if ids.len() <= most {
        return Ok(ids);
    }
    if !truncate {
        let tokens = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        let expert = expert.to_owned();
        return Err(EngineError::TextTooLong { expert, tokens, context });
    }
    let (beginning, end) = (&ids[..most - 1], &ids[ids.len() - 1..]);
    Ok([beginning, end].concat())
}

fn invalid(message: String) -> EngineError {
    EngineError::InvalidRequest { message }
}
