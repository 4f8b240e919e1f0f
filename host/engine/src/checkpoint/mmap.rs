//! The one unsafe line of the engine: mapping a weight file into memory, for as long as its headers are
//! read or its weights are copied out. A loaded model keeps no mapping, so that replacing or truncating
//! the files of a running expert can't hurt it.

use std::path::Path;

use memmap2::Mmap;

use super::{CheckpointError, config::open};

/// Maps `file` read-only.
pub(super) fn map(file: &Path) -> Result<Mmap, CheckpointError> {
    let opened = open(file)?;
    #[expect(unsafe_code, reason = "a mapping of a file that others could change")]
    // SAFETY: the bytes are only ever read as numbers, for which any value is valid. A file that
    // shrinks meanwhile ends the process with SIGBUS; it can't corrupt memory.
    let mapped = unsafe { Mmap::map(&opened) };
    mapped.map_err(|error| CheckpointError::unreadable(file, &error))
}
