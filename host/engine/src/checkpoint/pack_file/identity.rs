//! What a pack file is for: by what it is named in its header, and found stale or foreign.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use signalbox_kernels::Packing;

use crate::{
    checkpoint::{arrangement::Arrangement, plan::Plan},
    files::{Catalogue, CheckpointError, WeightFile},
};

/// Of a file's beginning, where its header is, so much is looked at.
const LOOKED_AT: usize = 1 << 16;

/// And of every tensor's middle so much.
const TENSOR_LOOKED_AT: usize = 1 << 12;

/// Two hashes: of how weights are packed, and of the weights.
#[derive(Debug)]
pub(in crate::checkpoint) struct Identity {
    pub(super) layout: [u8; 16],
    pub(super) source: [u8; 32],
}

impl Identity {
    /// Of a plan and the files that it is about.
    pub(in crate::checkpoint) fn of(
        plan: &Plan,
        arrangement: &Arrangement,
        catalogue: &Catalogue,
    ) -> Result<Self, CheckpointError> {
        let mut source = Sha256::new();
        for file in &catalogue.files {
            source.update(file.signature());
            source.update(beginning(file)?);
        }
        // Other weights may have the same names, shapes, and, where an image or an archive was unpacked, times.
        let tensors: BTreeMap<_, _> = catalogue.tensors.iter().collect();
        for entry in tensors.into_values() {
            let middle = entry.bytes / 2;
            let sample = TENSOR_LOOKED_AT.min(entry.bytes - middle);
            source.update(catalogue.files[entry.file].read(entry.offset + middle, sample)?);
        }
        source.update(format!("{plan:?}"));
        Ok(Self { layout: layout(arrangement), source: source.finalize().into() })
    }
}

fn beginning(file: &WeightFile) -> Result<Vec<u8>, CheckpointError> {
    file.read(0, file.bytes().min(LOOKED_AT))
}

/// Of the places of all matrices, of what packing makes of the formats among them, and of this version, which
/// says how files' numbers become rows of these formats.
fn layout(arrangement: &Arrangement) -> [u8; 16] {
    let mut layout = Sha256::new();
    layout.update(env!("CARGO_PKG_VERSION"));
    let forms = arrangement.matrices.iter().map(|place| format!("{place:?}"));
    forms.for_each(|form| layout.update(form));
    let packed = arrangement.matrices.iter().filter_map(|place| place.form.packed());
    let formats: BTreeMap<_, _> = packed.map(|format| (format!("{format:?}"), format)).collect();
    for (name, format) in formats {
        layout.update(name);
        layout.update(Packing::signature(format));
    }
    let hash: [u8; 32] = layout.finalize().into();
    std::array::from_fn(|i| hash[i])
}
