//! A checkpoint opened once, for all that look at it before its weights are read: inspection, the prompt
//! format, the load.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use crate::{
    checkpoint::Checkpoint,
    files::CheckpointError,
    generation::Generation,
    settings::{Bits, KvCacheDType},
    steering::Steering,
    template::{DeclaredTemplate, Problem, Renderers},
    tokenizer::{self, Lexicon},
};

/// What the headers and the small files of a checkpoint say. Holds no file open.
pub(crate) struct Opened {
    pub(crate) checkpoint: Checkpoint,
    /// Outlives this in the prompt format.
    pub(crate) template: Arc<DeclaredTemplate>,
    steering: OnceLock<Steering>,
}

impl Opened {
    /// Reads a folder or a `.gguf` file, of which plain linears become `bits` wide when they are loaded, and
    /// whose KV caches keep numbers as `kv` says.
    pub(crate) fn open(
        path: &Path,
        bits: Option<Bits>,
        kv: KvCacheDType,
        renderers: &Renderers,
    ) -> Result<Self, CheckpointError> {
        let mut checkpoint = Checkpoint::open(path)?.quantised(bits).with_narrow_head().with_kv(kv);
        checkpoint.close_files();
        let template = Arc::new(DeclaredTemplate::find(checkpoint.source(), renderers));
        Ok(Self { checkpoint, template, steering: OnceLock::new() })
    }

    /// Which tokens steer the expert, found once. The error says what is wrong with its vocabulary, or that
    /// its template can't be tried now.
    pub(crate) fn steering(&self) -> Result<&Steering, CheckpointError> {
        match self.steering.get() {
            Some(steering) => Ok(steering),
            None => self.steering_by(&tokenizer::lexicon(self.checkpoint.source())?),
        }
    }

    /// The same, by a vocabulary's names that were read already.
    pub(crate) fn steering_by(&self, lexicon: &Lexicon) -> Result<&Steering, CheckpointError> {
        let source = self.checkpoint.source();
        let marks = match self.template.compiled() {
            Ok(template) => Some(template.marks()),
            Err(Problem::Unavailable(why)) => {
                let why = format!("its chat template can't be tried now: {why}");
                return Err(CheckpointError::lacking(source.path(), why));
            }
            Err(_) => None,
        };
        let generation = Generation::read(source);
        let vocab_size = self.checkpoint.spec().vocab_size;
        let names = self.template.names();
        let template = (self.template.text().ok().flatten(), marks);
        let steering = Steering::of(lexicon, &generation, names, template, vocab_size);
        Ok(self.steering.get_or_init(|| steering))
    }
}
