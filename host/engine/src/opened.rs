//! A checkpoint opened once, for all that look at it before its weights are read: inspection, the prompt
//! format, the load.

use std::{path::Path, sync::Arc};

use crate::{
    checkpoint::Checkpoint,
    files::CheckpointError,
    generation::Generation,
    settings::{Bits, KvCacheDType},
    steering::Steering,
    template::{DeclaredTemplate, Problem, Renderers},
    tokenizer,
};

/// What the headers and the small files of a checkpoint say. Holds no file open.
pub(crate) struct Opened {
    pub(crate) checkpoint: Checkpoint,
    /// Outlives this in the prompt format.
    pub(crate) template: Arc<DeclaredTemplate>,
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
        Ok(Self { checkpoint, template })
    }

    /// Which tokens steer the expert. The error says what is wrong with its vocabulary, or that its
    /// template can't be tried now.
    pub(crate) fn steering(&self) -> Result<Steering, CheckpointError> {
        let source = self.checkpoint.source();
        let marks = match self.template.compiled() {
            Ok(template) => Some(template.marks()),
            Err(Problem::Unavailable(why)) => {
                let why = format!("its chat template can't be tried now: {why}");
                return Err(CheckpointError::lacking(source.path(), why));
            }
            Err(_) => None,
        };
        let (lexicon, generation) = (tokenizer::lexicon(source)?, Generation::read(source));
        let vocab_size = self.checkpoint.spec().vocab_size;
        let names = self.template.names();
        let template = (self.template.text().ok().flatten(), marks);
        Ok(Steering::of(&lexicon, &generation, names, template, vocab_size))
    }
}
