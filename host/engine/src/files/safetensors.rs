//! The weight files of a Hugging Face folder: one `model.safetensors`, or shards and their index. Only
//! headers are read, and every promise of theirs is held against the size of the file.

mod header;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path},
};

use serde::Deserialize;

use super::{
    CheckpointError, Kind,
    catalogue::{Catalogue, Entry},
    config::{malformed, read_bounded},
    json,
    weight_file::WeightFile,
};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// An index longer than this is not read. The largest models published have half of it.
const INDEX_BYTES_MAX: u64 = 16 << 20;
/// More shards than this are not read: all are open while an expert loads. The largest models published
/// have 163.
const SHARDS_MAX: usize = 256;

/// The part of the index that says where tensors lie.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Reads the headers of a folder's weight files.
pub(crate) fn catalogue(folder: &Path) -> Result<Catalogue, CheckpointError> {
    let mut catalogue = Catalogue::default();
    // A link that leads nowhere is a file that is missing, and is named as such.
    let there = |name: &str| folder.join(name).symlink_metadata().is_ok();
    // Where there are both, transformers reads the single file, too.
    if there(SINGLE) {
        read_header(&folder.join(SINGLE), &mut catalogue)?;
    } else if there(INDEX) {
        read_shards(folder, &mut catalogue)?;
    } else {
        let problem = format!("holds neither {SINGLE} nor {INDEX}");
        let mend = "fetch the checkpoint's weights in safetensors format";
        return Err(CheckpointError::new(Kind::Missing, folder, problem, mend));
    }
    Ok(catalogue)
}

fn read_shards(folder: &Path, catalogue: &mut Catalogue) -> Result<(), CheckpointError> {
    let file = folder.join(INDEX);
    let bytes = read_bounded(&file, INDEX_BYTES_MAX)?;
    let mut index: Index = json::parse(&String::from_utf8_lossy(&bytes))
        .and_then(serde_json::from_value)
        .map_err(|error| malformed(&file, format!("is not an index of shards: {error}")))?;
    // `./model.safetensors` is the same file.
    for shard in index.weight_map.values_mut() {
        if let Some(plain) = shard.strip_prefix("./") {
            *shard = plain.to_owned();
        }
    }
    let shards: BTreeSet<&String> = index.weight_map.values().collect();
    if shards.is_empty() {
        return Err(malformed(&file, "names no shards"));
    }
    if shards.len() > SHARDS_MAX {
        let problem = format!("names {} shards, and at most {SHARDS_MAX} are read", shards.len());
        return Err(malformed(&file, problem));
    }
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
        if entry.is_none_or(|entry| !catalogue.file(entry).ends_with(shard)) {
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
    if shard.symlink_metadata().is_err() {
        let problem = format!("the shard is missing, though {} names it", index.display());
        let mend = "fetch the missing shard";
        return Err(CheckpointError::new(Kind::Missing, shard, problem, mend));
    }
    read_header(shard, catalogue)
}

fn read_header(file: &Path, catalogue: &mut Catalogue) -> Result<(), CheckpointError> {
    let file = WeightFile::open(file)?;
    let header = header::read(&file)?;
    catalogue.files.push(file);
    for (name, info) in header.tensors {
        let (start, end) = info.data_offsets;
        let entry = Entry {
            file: catalogue.files.len() - 1,
            element: info.dtype.into(),
            shape: info.shape,
            offset: header.data + start,
            bytes: end - start,
        };
        catalogue.insert(name, entry)?;
    }
    Ok(())
}
