//! The files of a checkpoint: containers of tensors (safetensors, GGUF), what they say of themselves, and
//! the small files beside them. Everything is bounded, and nothing here knows a model.
//!
//! A checkpoint is input from strangers: what a header promises is held against the size of its file
//! before anything is allocated for it.

mod catalogue;
mod config;
mod error;
pub(crate) mod gguf;
mod json;
pub(crate) mod safetensors;
pub(crate) mod side;
mod source;
mod stamp;
mod weight_file;

pub(crate) use catalogue::{Catalogue, Element, Entry};
pub(crate) use config::{Config, malformed, open_plain};
pub(crate) use error::{CheckpointError, Kind};
pub(crate) use gguf::GgufMetadata;
pub(crate) use source::Source;
pub(crate) use stamp::Stamps;
pub(crate) use weight_file::WeightFile;
