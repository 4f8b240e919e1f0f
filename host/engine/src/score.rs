//! Teacher-forced scoring: what a model would have said at every position of a given text. This is how
//! an engine is compared with a reference, so it runs the very path that serving runs.

mod agreement;

use std::path::{Path, PathBuf};

use signalbox_kernels::{Compute, Isa};

use crate::{
    EngineError, Image, KvCacheDType,
    checkpoint::{Checkpoint, Loading},
    model::{Chunk, Model},
    settings::PackFiles,
    tokenizer::Tokenizer,
    vision::{self, Picture},
};

pub use agreement::Agreement;

/// A checkpoint loaded for scoring, outside of any fleet.
pub struct Scorer {
    path: PathBuf,
    checkpoint: Checkpoint,
    model: Model,
    how: Scoring,
}

/// How to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scoring {
    /// The scalar f32 reference path instead of the one that serving runs.
    pub exact: bool,
    /// Threads that share the work.
    pub threads: usize,
    /// Tokens fed in one step; `None` feeds all at once. An image is never split, so the chunk it is in
    /// may be longer.
    pub chunk: Option<usize>,
    /// What the KV cache keeps keys and values as.
    pub kv_cache_dtype: KvCacheDType,
}

impl Scorer {
    /// Loads a Hugging Face folder or a GGUF file.
    ///
    /// # Errors
    /// When the checkpoint can't be used.
    pub fn open(path: &Path, how: Scoring) -> Result<Self, EngineError> {
        let checkpoint =
            Checkpoint::open(path).map_err(|error| EngineError::of_checkpoint(path, error))?;
        let checkpoint = checkpoint.with_kv(how.kv_cache_dtype);
        let checkpoint = if how.exact { checkpoint } else { checkpoint.with_narrow_head() };
        let isa = if how.exact { Isa::Scalar } else { Isa::best() };
        let compute = Compute::new(isa, how.threads).unwrap_or_else(Compute::scalar);
        let loading =
            Loading { compute: &compute, kept: &PackFiles::Off, anew: false, report: &|_| {} };
        let ready = checkpoint
            .load_with(loading)
            .map_err(|error| EngineError::of_checkpoint(path, error))?;
        Ok(Self { path: path.to_owned(), checkpoint, model: ready.model, how })
    }

    /// Tokens the model knows.
    pub fn vocab_size(&self) -> usize {
        self.model.spec().vocab_size as usize
    }

    /// The ids of plain text, behind the beginning-of-sequence token where the checkpoint has one.
    ///
    /// # Errors
    /// When the checkpoint has no tokenizer that can be read.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, EngineError> {
        let tokenizer = Tokenizer::read(self.checkpoint.source())
            .map_err(|error| EngineError::of_checkpoint(&self.path, error))?;
        tokenizer.encode_text(text).map_err(|message| EngineError::InvalidRequest { message })
    }

    /// Calls `see` with the logits `(vocab)` of every position, first to last. `ids` hold the
    /// placeholders of `images` already.
    ///
    /// # Errors
    /// When an id is not in the vocabulary, or there are none, or more than the model can hold, or the
    /// images and their places do not match.
    pub fn score(
        &self,
        ids: &[u32],
        images: &[Image],
        see: &mut dyn FnMut(&[f32]),
    ) -> Result<(), EngineError> {
        self.check(ids)?;
        let pictures = self.look(ids, images)?;
        let spans: Vec<_> = pictures.iter().map(|picture| picture.span.clone()).collect();
        let chunk = self.how.chunk.unwrap_or(ids.len()).max(1);
        let mut cache = self.model.new_cache(ids.len());
        while cache.len() < ids.len() {
            let from = cache.len();
            let end = vision::chunk_end(&spans, from, from.saturating_add(chunk).min(ids.len()));
            let (tokens, pictures) = (&ids[from..end], &pictures[..]);
            self.model.score(Chunk { cache: &mut cache, tokens, wanted: 1, pictures }, see);
        }
        Ok(())
    }

    /// Encodes the images and finds their places.
    fn look(&self, ids: &[u32], images: &[Image]) -> Result<Vec<Picture>, EngineError> {
        let spec = self.model.spec().vision.as_ref();
        if spec.is_none() && !images.is_empty() {
            return Err(EngineError::Blind { expert: self.name(), seeing: Vec::new() });
        }
        let placed = vision::place(spec, ids, images)
            .map_err(|message| EngineError::InvalidRequest { message })?;
        let crashed = |problem: String| EngineError::Crashed { expert: self.name(), problem };
        placed.iter().map(|placed| self.model.see(placed).map_err(crashed)).collect()
    }

    fn check(&self, ids: &[u32]) -> Result<(), EngineError> {
        let invalid = |message: String| Err(EngineError::InvalidRequest { message });
        if ids.is_empty() {
            return invalid("there are no tokens to score; give at least one".into());
        }
        let vocab = self.vocab_size();
        if let Some(id) = ids.iter().find(|id| **id as usize >= vocab) {
            return invalid(format!("there is no token {id}; the model knows 0 to {}", vocab - 1));
        }
        let context = self.model.spec().context_length;
        if ids.len() > context as usize {
            let prompt_tokens = u32::try_from(ids.len()).unwrap_or(u32::MAX);
            return Err(EngineError::PromptTooLong { expert: self.name(), prompt_tokens, context });
        }
        Ok(())
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

/// Negative log likelihood of token `next` under `logits`, in nats. Not finite where they are not.
pub fn nll(logits: &[f32], next: u32) -> f64 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from(logit - most).exp()).sum();
    logits.get(next as usize).map_or(f64::NAN, |logit| sum.ln() - f64::from(logit - most))
}

/// The most likely token; the first of equals.
pub fn top1(logits: &[f32]) -> u32 {
    let first = (0u32, f32::NEG_INFINITY);
    let better = |best: (u32, f32), next: (u32, f32)| if next.1 > best.1 { next } else { best };
    (0..).zip(logits.iter().copied()).fold(first, better).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likelihoods_are_those_of_the_softmax() {
        let logits = [1000.0, 999.0, f32::NEG_INFINITY];
        assert!((nll(&logits, 0) - (1.0 + (-1.0f64).exp()).ln()).abs() < 1e-12);
        assert!((nll(&logits, 1) - nll(&logits, 0) - 1.0).abs() < 1e-12);
        assert_eq!(nll(&logits, 2), f64::INFINITY);
        assert!(nll(&logits, 3).is_nan());
        assert_eq!([top1(&logits), top1(&[1.0, 2.0, 2.0]), top1(&[])], [0, 1, 0]);
    }
}
