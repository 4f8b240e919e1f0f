//! Where pack files lie: beside their checkpoint, or in a folder of ours where that can't be written.

use std::{
    ffi::OsStr,
    path::{self, Path, PathBuf},
};

use sha2::{Digest, Sha256};

/// What stands before the ending of a pack file.
const NAME: &str = "signalbox-weights";
const ENDING: &str = ".pack";

/// Whether a file of this name beside a checkpoint is a pack file, and no part of it.
pub fn is_pack_file(name: &str) -> bool {
    name.contains(NAME) && name.ends_with(ENDING)
}

/// The files that the weights of a checkpoint may be in, best first. One checkpoint has one of each
/// `variant`, which the next takes the place of.
pub(in crate::checkpoint) fn places(
    checkpoint: &Path,
    variant: &str,
    cache: Option<&Path>,
) -> Vec<PathBuf> {
    let ours = format!("{NAME}{variant}{ENDING}");
    // A bare name has no folder that could be opened.
    let checkpoint = &path::absolute(checkpoint).unwrap_or_else(|_| checkpoint.to_owned());
    let beside = match checkpoint.is_dir() {
        true => checkpoint.join(&ours),
        false => {
            let name = checkpoint.file_name().unwrap_or(OsStr::new("")).to_string_lossy();
            checkpoint.with_file_name(format!("{name}.{ours}"))
        }
    };
    let whole = checkpoint.canonicalize().unwrap_or_else(|_| checkpoint.to_owned());
    let hash = Sha256::digest(whole.as_os_str().as_encoded_bytes());
    let hash: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let cached = cache.map(|cache| cache.join("packs").join(format!("{hash}-{ours}")));
    [Some(beside), cached].into_iter().flatten().collect()
}
