//! Where everything of a checkpoint that is no weight comes from.

use std::path::{Path, PathBuf};

use super::GgufMetadata;

/// Where tokenizer, chat template and end tokens are.
#[derive(Debug)]
pub(crate) enum Source {
    /// A folder with `tokenizer.json`, `tokenizer_config.json`, `generation_config.json`, ...
    Folder(PathBuf),
    /// A GGUF file and its metadata.
    Gguf(PathBuf, GgufMetadata),
}

impl Source {
    /// The folder or the file.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Folder(path) | Self::Gguf(path, _) => path,
        }
    }
}
