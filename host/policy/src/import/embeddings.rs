//! Vectors of texts for policies, made by an expert of the host's.

use crate::{AskError, Texts, bindings::signalbox::policy::embeddings, store::State};

impl From<AskError> for embeddings::Error {
    fn from(error: AskError) -> Self {
        match error {
            AskError::UnknownExpert(id) => Self::UnknownExpert(id),
            AskError::NoEmbeddingExpert(why) => Self::NoEmbeddingExpert(why),
            AskError::TooLarge(why) => Self::TooLarge(why),
            AskError::OutOfBudget(why) | AskError::OutOfTime(why) => Self::OutOfBudget(why),
            AskError::Unavailable(why) => Self::Unavailable(why),
            AskError::Invalid(why) => Self::Other(why),
        }
    }
}

impl State {
    async fn embedded(&mut self, texts: Texts) -> Result<Vec<Vec<f32>>, AskError> {
        let delegate = self.delegate()?;
        let within = self.ask_budget.embed(&self.lent.limits, &texts.texts)?;
        let terms = self.terms(u64::MAX, within, None);
        let vectors = self.waiting(delegate.embed(texts, terms)).await?;
        Ok(vectors.into_iter().map(|vector| vector.to_vec()).collect())
    }
}

impl embeddings::Host for State {
    async fn embed(
        &mut self,
        texts: Vec<String>,
        words_of: embeddings::Owner,
        expert: Option<String>,
    ) -> wasmtime::Result<Result<Vec<Vec<f32>>, embeddings::Error>> {
        let shared = match words_of {
            embeddings::Owner::Caller => false,
            embeddings::Owner::Policy => true,
            embeddings::Owner::Other(owner) => {
                let message = format!("the owner '{owner}' is not known here");
                return Ok(Err(embeddings::Error::Other(message)));
            }
        };
        let tokens_max = u32::try_from(self.lent.limits.embedding_tokens).unwrap_or(u32::MAX);
        let texts = Texts { texts, shared, tokens_max, expert };
        Ok(self.embedded(texts).await.map_err(Into::into))
    }
}
