//! Pack files: the matrices of a checkpoint as they are multiplied, packed once and then mapped, so that later
//! loads copy nothing and all processes share one copy.
//!
//! A file is of no use but for what its header names: the layout of packed weights and the checkpoint they are
//! of. Nothing in it is obeyed; where a matrix lies follows from the checkpoint. Every piece has a checksum that
//! is held against it before a file is used.

mod draft;
mod header;
mod identity;
mod places;
mod sound;
mod unusable;

pub(crate) use draft::Unsettled;
pub(super) use draft::{Draft, make_folder, not_kept};
pub(super) use identity::Identity;
pub use places::is_pack_file;
pub(super) use places::places;
pub(super) use sound::PackFile;
pub(super) use unusable::Unusable;
