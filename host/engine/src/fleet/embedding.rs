//! Vectors of texts: a call's way to an expert that makes them, beside that of replies.

use std::sync::{Arc, PoisonError, atomic::Ordering::Relaxed};

use tokio::sync::oneshot;

use super::{call::Ticket, handle::Handle};
use crate::{
    EngineError,
    checkpoint::EncoderCheckpoint,
    encoder::Tokens,
    expert::{Commands, Encoding},
    limits::EMBEDDED_TOKENS_MAX,
    request::{EmbedRequest, Embeddable, Embedded},
    tokenizer::Tokenizer,
    wording::Wording,
};

impl Handle {
    /// Whether it makes vectors of texts instead of replies.
    pub(super) fn encodes(&self) -> bool {
        self.inspection().vector_width.is_some()
    }

    /// The error of an expert that was asked for a reply and makes vectors.
    pub(super) fn no_replies(&self) -> EngineError {
        let replying = self.shared.able(|seen| seen.vector_width.is_none());
        EngineError::NoReplies { expert: self.id().to_owned(), replying }
    }

    /// The checkpoint of an encoder, its headers read anew.
    pub(super) fn encoder_checkpoint(&self) -> Result<EncoderCheckpoint, EngineError> {
        let settings = &self.member().settings;
        EncoderCheckpoint::open(&settings.path, settings.bits())
            .map_err(|error| self.refused(error))
    }

    /// How an encoder reads texts, read once. Blocks.
    pub(super) fn wording(&self) -> Result<Arc<Wording>, EngineError> {
        // Held while it is read, so that it is read once; a panic leaves nothing half done.
        let mut known = self.member().wording.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref() {
            return Ok(known.clone());
        }
        let read = Wording::read(&self.encoder_checkpoint()?).map(Arc::new);
        let read = read.map_err(|error| self.refused(error))?;
        Ok(known.insert(read).clone())
    }

    /// What its texts become tokens by, whatever it does with them. Blocks.
    pub(super) fn tokenizer(&self) -> Result<Arc<Tokenizer>, EngineError> {
        if self.encodes() {
            return Ok(self.wording()?.tokenizer.clone());
        }
        Ok(self.prompt_format()?.tokenizer.clone())
    }

    /// The vectors of texts. Mistakes in the request are found before anything is loaded.
    pub(super) async fn embed(
        &self,
        ticket: Ticket,
        request: EmbedRequest,
    ) -> Result<Embedded, EngineError> {
        let EmbedRequest { texts, truncate, tokens_max, priority, progress, .. } = request;
        let came = ticket.came();
        self.inspect_aside().await?;
        self.check_kind(texts.iter().any(|text| matches!(text, Embeddable::Pair(..))))?;
        let texts = self.aside(false, move |expert: &Handle| {
            let context = tokens_max.unwrap_or(u32::MAX).min(expert.context());
            expert.encoded(&texts, context, truncate)
        });
        let texts = texts.await?;
        let tokens: Vec<u32> = texts.iter().map(|text| text.ids.len() as u32).collect();
        check_tokens(&tokens)?;
        let (reply, vectors) = oneshot::channel();
        let mut job = Box::new(Encoding {
            texts,
            priority,
            progress: progress.clone(),
            reply,
            _hold: Box::new(ticket),
        });
        loop {
            let (commands, _) = self.resident(Some((came, &progress))).await?;
            let Commands::Vectors(inbox) = commands else { return Err(self.replaced()) };
            match inbox.submit(job) {
                Ok(()) => break,
                Err(back) => job = back,
            }
        }
        let counters = &self.member().counters;
        counters.requests.fetch_add(1, Relaxed);
        let all = tokens.iter().map(|tokens| u64::from(*tokens)).sum();
        counters.prompt_tokens.fetch_add(all, Relaxed);
        // An expert that ends answers all it was sent, unless its thread is torn away.
        let vectors = vectors.await.unwrap_or(Err(EngineError::ShuttingDown))?;
        Ok(Embedded { vectors, tokens })
    }

    /// Refuses an expert that does not do this: score pairs of texts, or make vectors.
    fn check_kind(&self, pairs: bool) -> Result<(), EngineError> {
        let (encodes, ranks) = (self.encodes(), self.inspection().ranks);
        if encodes && ranks == pairs {
            return Ok(());
        }
        if pairs {
            let expert = self.id();
            let message = format!("'{expert}' scores no pairs of texts; name a cross-encoder");
            return Err(EngineError::InvalidRequest { message });
        }
        let encoding = self.shared.able(|seen| seen.vector_width.is_some() && !seen.ranks);
        Err(EngineError::NoVectors { expert: Some(self.id().to_owned()), encoding })
    }

    fn encoded(
        &self,
        texts: &[Embeddable],
        context: u32,
        truncate: bool,
    ) -> Result<Vec<Tokens>, EngineError> {
        let wording = self.wording()?;
        texts.iter().map(|text| wording.encode(self.id(), text, context, truncate)).collect()
    }
}

fn check_tokens(tokens: &[u32]) -> Result<(), EngineError> {
    let all: u64 = tokens.iter().map(|tokens| u64::from(*tokens)).sum();
    if all <= u64::from(EMBEDDED_TOKENS_MAX) {
        return Ok(());
    }
    let message = format!(
        "the texts have {all} tokens together, and one call may have {EMBEDDED_TOKENS_MAX}; send them in several calls"
    );
    Err(EngineError::InvalidRequest { message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_a_number_of_tokens_together() {
        let half = EMBEDDED_TOKENS_MAX / 2;
        assert_eq!(check_tokens(&[half, half]), Ok(()));
        let problem = check_tokens(&[half, half, 1]).unwrap_err().to_string();
        assert!(problem.contains("300001 tokens together"), "{problem}");
    }
}
