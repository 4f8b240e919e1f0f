//! How fast one checkpoint computes, outside of any fleet, and what the machine allows: what `signalbox
//! bench` and `signalbox roofline` measure.

mod cpu;
mod roofline;
mod synthetic;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use signalbox_kernels::{Compute, Isa};

use crate::{
    EngineError, PackFiles,
    checkpoint::{Checkpoint, Loading, Ready},
    files::CheckpointError,
    model::{Chunk, Model, PREFILL_CHUNK_ALONE, TokenCost},
};

pub use cpu::cpu_name;
pub use roofline::Roofline;
pub use synthetic::{Synthetic, SyntheticError};

/// A checkpoint loaded for timing.
pub struct Bench {
    model: Model,
    stored: String,
    load: Duration,
    packed_load: Option<Duration>,
}

impl Bench {
    /// Loads a Hugging Face folder or a GGUF file for `threads` threads: once as if its weights had never been
    /// packed, and once more out of its pack file, which is made where there is none yet.
    ///
    /// # Errors
    /// When the checkpoint can't be used.
    pub fn open(path: &Path, threads: usize, kept: &PackFiles) -> Result<Self, EngineError> {
        let refused = |error| EngineError::of_checkpoint(path, error);
        let compute = Compute::new(Isa::best(), threads).unwrap_or_else(Compute::scalar);
        let load = |anew| timed(path, Loading { compute: &compute, kept, anew, report: &|_| {} });
        let (checkpoint, ready, cold) = load(true).map_err(refused)?;
        let stored = checkpoint.stored().to_string();
        let how = Loading { compute: &compute, kept, anew: false, report: &|_| {} };
        let is_kept = checkpoint.is_kept(how).map_err(refused)?
            || ready.unsettled.is_some_and(|unsettled| unsettled.settle().is_ok());
        if !is_kept {
            return Ok(Self { model: ready.model, stored, load: cold, packed_load: None });
        }
        drop(ready.model);
        let (_, ready, packed) = load(false).map_err(refused)?;
        Ok(Self { model: ready.model, stored, load: cold, packed_load: Some(packed) })
    }

    /// From the first byte read to ready, weights packed on the way.
    pub fn load(&self) -> Duration {
        self.load
    }

    /// The same with weights that were packed before; `None` where they can't be kept.
    pub fn packed_load(&self) -> Option<Duration> {
        self.packed_load
    }

    /// How most of the weights are stored, as in `gguf q4_k`.
    pub fn stored(&self) -> &str {
        &self.stored
    }

    /// Longest prompt plus reply, in tokens.
    pub fn context_length(&self) -> usize {
        self.model.spec().context_length as usize
    }

    /// What one decoded token costs.
    pub fn token_cost(&self) -> TokenCost {
        self.model.token_cost()
    }

    /// Feeds a prompt of `tokens` as serving does, chunk by chunk.
    pub fn prefill(&self, tokens: usize) -> Duration {
        let ids = self.ids(tokens);
        let mut cache = self.model.new_cache(tokens);
        let began = Instant::now();
        for tokens in ids.chunks(PREFILL_CHUNK_ALONE) {
            self.model.forward(&mut [Chunk {
                cache: &mut cache,
                tokens,
                wanted: 1,
                pictures: &[],
            }]);
        }
        began.elapsed()
    }

    /// Decodes `tokens` of each of `batch` sequences, behind `context` tokens each.
    pub fn decode(&self, context: usize, batch: usize, tokens: usize) -> Duration {
        let ids = self.ids(context.max(1) + tokens);
        let (prompt, rest) = ids.split_at(context.max(1));
        let caches = (0..batch).map(|_| self.model.new_cache(ids.len()));
        let mut caches: Vec<_> = caches.collect();
        for cache in &mut caches {
            for tokens in prompt.chunks(PREFILL_CHUNK_ALONE) {
                self.model.forward(&mut [Chunk { cache, tokens, wanted: 1, pictures: &[] }]);
            }
        }
        let began = Instant::now();
        for token in rest.chunks(1) {
            let chunk = |cache| Chunk { cache, tokens: token, wanted: 1, pictures: &[] };
            let mut chunks: Vec<_> = caches.iter_mut().map(chunk).collect();
            self.model.forward(&mut chunks);
        }
        began.elapsed()
    }

    /// Token ids all over the vocabulary. What they say costs nothing.
    fn ids(&self, count: usize) -> Vec<u32> {
        let vocab = u64::from(self.model.spec().vocab_size);
        (1..=count as u64).map(|at| (at * 7919 % vocab) as u32).collect()
    }
}

fn timed(path: &Path, how: Loading<'_>) -> Result<(Checkpoint, Ready, Duration), CheckpointError> {
    let began = Instant::now();
    let checkpoint = Checkpoint::open(path)?.with_narrow_head();
    let ready = checkpoint.load_with(how)?;
    Ok((checkpoint, ready, began.elapsed()))
}
