//! Packing the weights of an expert ahead of its first load: what `signalbox prepack` does.

use std::path::Path;

use signalbox_kernels::Compute;

use crate::{
    EngineError, PackFiles, PackProgress, Prepacked, Quantization,
    checkpoint::{Checkpoint, Loading},
};

/// Packs the weights of a checkpoint into a file, as an expert of this `quantization` will want them, unless there is
/// one that is sound. `None` where nothing is kept.
///
/// # Errors
/// When the checkpoint can't be used, or no file can be written.
pub fn prepack(
    path: &Path,
    quantization: Option<Quantization>,
    kept: &PackFiles,
    report: &(dyn Fn(PackProgress) + Sync),
) -> Result<Option<Prepacked>, EngineError> {
    let refused = |error| EngineError::of_checkpoint(path, error);
    let checkpoint = Checkpoint::open(path).map_err(refused)?;
    let bits = quantization.and_then(Quantization::bits);
    let checkpoint = checkpoint.quantised(bits).with_narrow_head();
    let how = Loading { compute: &Compute::serving(), kept, anew: false, report };
    checkpoint.prepack(how).map_err(refused)
}
