//! Vectors of texts for policies: those that are known, and those that an expert makes.

use std::sync::Arc;

use signalbox_engine::{EmbedRequest, Embeddable};
use signalbox_policy::{AskError, Terms, Texts};

use super::{Asking, ForCaller, What, ask_error};
use crate::pipeline::{
    ask_cache::{Key, Said},
    choose,
};

/// In place of a caller's number, for what is the same for all of them. Numbers of callers are hashes.
const EVERYBODY: u64 = 0;

/// By text, in their order: its key, and its vector where that is known.
type Found = Vec<(Key, Option<Arc<[f32]>>)>;

impl ForCaller {
    pub(super) async fn embedded(
        &self,
        texts: Texts,
        terms: Terms,
    ) -> Result<Vec<Arc<[f32]>>, AskError> {
        let expert = self.encoder(texts.expert.clone())?;
        let mut found = self.found(&expert, &texts);
        let missing: Vec<usize> = (0..found.len()).filter(|at| found[*at].1.is_none()).collect();
        if !missing.is_empty() {
            self.check_quota(terms.aside)?;
            let (named, within) = (texts.expert.as_deref(), terms.within);
            let (import, operation) = ("embeddings", "embeddings");
            let asking = self.asking(What { import, operation, named, expert: &expert }, terms);
            let wanted = missing.iter().map(|at| texts.texts[*at].clone()).collect();
            let making = asking.embed(expert, wanted, texts.tokens_max);
            let made = self.within(within, making).await?;
            for (at, vector) in missing.into_iter().zip(made) {
                let (key, place) = &mut found[at];
                let vector: Arc<[f32]> = vector.into();
                let said = Said::Vector(vector.clone());
                self.cache.keep(*key, said, self.bounds.ask_cache_bytes_max);
                *place = Some(vector);
            }
        }
        let vectors = found.into_iter().map(|(_, vector)| vector);
        let missing =
            || AskError::Unavailable("the expert made fewer vectors than texts".to_owned());
        vectors.collect::<Option<_>>().ok_or_else(missing)
    }

    /// Who makes vectors, of those whom the caller may ask.
    fn encoder(&self, named: Option<String>) -> Result<String, AskError> {
        if named.is_some() {
            return self.whom(named);
        }
        let chosen = choose::encoder(&self.menu(), None);
        let none =
            |refusal: crate::pipeline::Refusal| AskError::NoEmbeddingExpert(refusal.to_string());
        chosen.map(|(expert, _)| expert).map_err(none)
    }

    fn found(&self, expert: &str, texts: &Texts) -> Found {
        let scope = if texts.shared { EVERYBODY } else { self.caller.number() };
        let edition = self.experts.edition(expert).unwrap_or_default();
        let most = texts.tokens_max.to_string();
        let found = |text: &String| {
            let key = Key::new(expert, edition, scope, &["vector", &most, text]);
            match self.cache.find(&key) {
                Some(Said::Vector(vector)) => (key, Some(vector)),
                _ => (key, None),
            }
        };
        texts.texts.iter().map(found).collect()
    }
}

impl Asking {
    async fn embed(
        self,
        expert: String,
        texts: Vec<String>,
        tokens_max: u32,
    ) -> Result<Vec<Vec<f32>>, AskError> {
        let request = EmbedRequest {
            texts: texts.into_iter().map(Embeddable::Text).collect(),
            truncate: true,
            tokens_max: Some(tokens_max),
            priority: self.priority,
            keep_alive: None,
            progress: self.spending.progress.clone(),
        };
        let embedded = self.experts.embed(&expert, request).await.map_err(ask_error)?;
        Ok(self.spending.answered(embedded.vectors))
    }
}
