//! `pack_files`: whether packed weights are kept, and where.

use signalbox_engine::PackFiles;

use super::surroundings::{Environment, Places};
use crate::{cache::cache_dir, config::Section};

/// Weights of fewer bytes are packed in less time than a file of them is worth.
const BYTES_MIN: u64 = 32 << 20;

/// Beside the checkpoints or, where that can't be written, in a folder of the operator's or the user's cache.
pub(super) fn read(
    section: &Section<'_>,
    places: &Places<'_>,
    environment: Environment<'_>,
) -> PackFiles {
    let own = section.text("cache_dir").map(|path| places.find(path));
    match section.flag("enabled").unwrap_or(true) {
        true => {
            PackFiles::Kept { cache: own.or_else(|| cache_dir(environment)), bytes_min: BYTES_MIN }
        }
        false => PackFiles::Off,
    }
}
