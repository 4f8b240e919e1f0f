//! A checkpoint opened once, for all that look at it before its weights are read: inspection, the prompt
//! format, the load.

use std::{path::Path, sync::Arc};

use crate::{
    checkpoint::Checkpoint,
    files::CheckpointError,
    settings::Bits,
    template::{DeclaredTemplate, Renderers},
};

/// What the headers and the small files of a checkpoint say. Holds no file open.
pub(crate) struct Opened {
    pub(crate) checkpoint: Checkpoint,
    /// Outlives this in the prompt format.
    pub(crate) template: Arc<DeclaredTemplate>,
}

impl Opened {
    /// Reads a folder or a `.gguf` file, of which plain linears become `bits` wide when they are loaded.
    pub(crate) fn open(
        path: &Path,
        bits: Option<Bits>,
        renderers: &Renderers,
    ) -> Result<Self, CheckpointError> {
        let mut checkpoint = Checkpoint::open(path)?.quantised(bits).with_narrow_head();
        checkpoint.close_files();
        let template = Arc::new(DeclaredTemplate::find(checkpoint.source(), renderers));
        Ok(Self { checkpoint, template })
    }
}
