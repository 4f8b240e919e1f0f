//! Where everything of a checkpoint that is no weight comes from.

use std::path::Path;

use super::GgufMetadata;

/// Where tokenizer, chat template and end tokens are.
pub(crate) enum Source<'a> {
    /// A folder with `tokenizer.json`, `tokenizer_config.json`, `generation_config.json`, ...
    Folder(&'a Path),
    /// The metadata of a GGUF file.
    Gguf(&'a GgufMetadata),
}
