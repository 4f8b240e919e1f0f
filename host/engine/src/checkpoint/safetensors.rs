//! The weight files of a Hugging Face folder: one `model.safetensors`, or shards and their index. Only
//! headers are read, and every promise of theirs is held against the size of the file.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path},
};

use safetensors::{SafeTensorError, SafeTensors, tensor::Metadata};
use serde::Deserialize;

use super::{
    CheckpointError, Kind,
    catalogue::{Catalogue, Entry},
    config::{malformed, read_bounded},
    mmap,
};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// The part of the index that says where tensors lie.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Reads the headers of a folder's weight files.
pub(super) fn catalogue(folder: &Path) -> Result<Catalogue, CheckpointError> {
    let mut catalogue = Catalogue::default();
    if folder.join(INDEX).is_file() {
        read_shards(folder, &mut catalogue)?;
    } else if folder.join(SINGLE).is_file() {
        read_header(&folder.join(SINGLE), &mut catalogue)?;
    } else {
        let problem = format!("holds neither {SINGLE} nor {INDEX}");
        let mend = "fetch the checkpoint's weights in safetensors format";
        return Err(CheckpointError::new(Kind::Missing, folder, problem, mend));
    }
    Ok(catalogue)
}

fn read_shards(folder: &Path, catalogue: &mut Catalogue) -> Result<(), CheckpointError> {
    let file = folder.join(INDEX);
    let index: Index = serde_json::from_slice(&read_bounded(&file)?)
        .map_err(|error| malformed(&file, format!("is not an index of shards: {error}")))?;
    let shards: BTreeSet<&String> = index.weight_map.values().collect();
    for shard in shards {
        let mut parts = Path::new(shard).components();
        if !matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) {
            return Err(malformed(
                &file,
                format!("names a shard outside of its folder: '{shard}'"),
            ));
        }
        read_shard(&file, &folder.join(shard), catalogue)?;
    }
    for (tensor, shard) in &index.weight_map {
        let entry = catalogue.tensors.get(tensor);
        if entry.is_none_or(|entry| !catalogue.files[entry.file].ends_with(shard)) {
            let problem = format!("promises tensor '{tensor}' in {shard}, but it is not there");
            return Err(malformed(&file, problem));
        }
    }
    Ok(())
}

fn read_shard(
    index: &Path,
    shard: &Path,
    catalogue: &mut Catalogue,
) -> Result<(), CheckpointError> {
    if !shard.exists() {
        let problem = format!("the shard is missing, though {} names it", index.display());
        let mend = "fetch the missing shard";
        return Err(CheckpointError::new(Kind::Missing, shard, problem, mend));
    }
    read_header(shard, catalogue)
}

fn read_header(file: &Path, catalogue: &mut Catalogue) -> Result<(), CheckpointError> {
    let map = mmap::map(file)?;
    let (header_bytes, metadata) =
        SafeTensors::read_metadata(&map).map_err(|error| explain(file, &map, &error))?;
    let data = size_of::<u64>() + header_bytes;
    for (name, info) in metadata.tensors() {
        let (start, end) = info.data_offsets;
        let entry = Entry {
            file: catalogue.files.len(),
            element: info.dtype.into(),
            shape: info.shape.clone(),
            offset: data + start,
            bytes: end - start,
        };
        catalogue.tensors.insert(name, entry);
    }
    catalogue.files.push(file.into());
    Ok(())
}

/// Turns the parser's error into what happened to the file.
fn explain(file: &Path, bytes: &[u8], error: &SafeTensorError) -> CheckpointError {
    if bytes.starts_with(b"version https://git-lfs") {
        let mend = "run `git lfs pull` in the checkpoint's folder";
        return CheckpointError::new(
            Kind::Missing,
            file,
            "is a Git LFS pointer, not weights",
            mend,
        );
    }
    let actual = bytes.len();
    match promised_bytes(bytes) {
        Some(promised) if promised > actual as u64 => {
            let problem = format!("ends after {actual} bytes where its header promises {promised}");
            CheckpointError::new(Kind::Truncated, file, problem, "fetch the file again")
        }
        _ => malformed(file, format!("is not a safetensors file: {error}")),
    }
}

/// The size the file should have, as far as what is there can tell.
fn promised_bytes(bytes: &[u8]) -> Option<u64> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = u64::from_le_bytes(*length);
    let data = length.checked_add(size_of::<u64>() as u64)?;
    let Some(header) = rest.get(..usize::try_from(length).ok()?) else {
        const HEADER_BYTES_MAX: u64 = 100_000_000; // the format's own bound
        return (length <= HEADER_BYTES_MAX && rest.first() == Some(&b'{')).then_some(data);
    };
    let metadata: Metadata = serde_json::from_slice(header).ok()?;
    data.checked_add(metadata.data_len() as u64)
}
