//! The header of one safetensors file: eight bytes of length, then JSON that says of each tensor what it
//! holds and where. The types are those of the `safetensors` crate. The checks are ours: its parser lets
//! the later of two tensors of one name win, and adds offsets that can overflow.

use std::{collections::HashSet, fmt, path::Path};

use safetensors::tensor::TensorInfo;
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
};

use crate::files::{CheckpointError, Kind, malformed, weight_file::WeightFile};

/// A longer header is refused. The largest models published have a tenth of it.
const HEADER_BYTES_MAX: u64 = 16 << 20;
const LENGTH_BYTES: usize = size_of::<u64>();
/// Enough of a file to know the pointers that Git LFS leaves.
const POINTER_BYTES_MAX: usize = 64;

/// What a header says, held against the size of the file.
pub(super) struct Header {
    /// The tensors in the order of their bytes.
    pub(super) tensors: Vec<(String, TensorInfo)>,
    /// First byte of the first tensor.
    pub(super) data: usize,
}

/// Reads the header of `file`.
pub(super) fn read(file: &WeightFile) -> Result<Header, CheckpointError> {
    let most = LENGTH_BYTES + HEADER_BYTES_MAX as usize;
    let mut head = file.read(0, file.bytes().min(POINTER_BYTES_MAX))?;
    if let Some((length, _)) = head.split_first_chunk() {
        let wanted = u64::from_le_bytes(*length).saturating_add(LENGTH_BYTES as u64);
        let wanted = usize::try_from(wanted).map_or(most, |wanted| wanted.min(most));
        let wanted = wanted.clamp(head.len(), file.bytes());
        head.extend(file.read(head.len(), wanted - head.len())?);
    }
    parse(file.path(), &head, file.bytes())
}

/// Parses the beginning of a file of `file_bytes`.
fn parse(file: &Path, bytes: &[u8], file_bytes: usize) -> Result<Header, CheckpointError> {
    if bytes.starts_with(b"version https://git-lfs") {
        let mend = "run `git lfs pull` in the checkpoint's folder";
        let problem = "is a Git LFS pointer, not weights";
        return Err(CheckpointError::new(Kind::Missing, file, problem, mend));
    }
    let json = json(file, bytes, file_bytes)?;
    let Tensors(mut tensors) = serde_json::from_slice(json)
        .map_err(|error| malformed(file, format!("is not a safetensors file: {error}")))?;
    let data = LENGTH_BYTES + json.len();
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    refuse_gaps(file, &tensors)?;
    let promised = tensors.last().map_or(0, |(_, info)| info.data_offsets.1);
    let actual = file_bytes - data;
    if promised > actual {
        let promised = (data as u64).saturating_add(promised as u64);
        return Err(truncated(file, file_bytes, promised));
    }
    if promised < actual {
        let problem = format!("has {} bytes behind its last tensor", actual - promised);
        return Err(malformed(file, problem));
    }
    Ok(Header { tensors, data })
}

/// The JSON part.
fn json<'a>(file: &Path, bytes: &'a [u8], file_bytes: usize) -> Result<&'a [u8], CheckpointError> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
        let problem = format!("is not a safetensors file: it has {} bytes", bytes.len());
        return Err(malformed(file, problem));
    };
    let length = u64::from_le_bytes(*length);
    if length > HEADER_BYTES_MAX || !matches!(rest.first(), None | Some(b'{')) {
        let problem = format!(
            "is not a safetensors file: its header would have {length} bytes, and at most \
             {HEADER_BYTES_MAX} are read"
        );
        return Err(malformed(file, problem));
    }
    let header = rest.get(..length as usize);
    header.ok_or_else(|| truncated(file, file_bytes, length + LENGTH_BYTES as u64))
}

fn truncated(file: &Path, actual: usize, promised: u64) -> CheckpointError {
    let problem = format!("ends after {actual} bytes where its header promises {promised}");
    CheckpointError::new(Kind::Truncated, file, problem, "fetch the file again")
}

/// Tensors must follow one another without a gap, and be as long as their shapes say.
fn refuse_gaps(file: &Path, tensors: &[(String, TensorInfo)]) -> Result<(), CheckpointError> {
    let mut end = 0;
    for (name, info) in tensors {
        let (from, to) = info.data_offsets;
        if from != end || to < from {
            let problem = format!(
                "tensor '{name}' lies at bytes {from} to {to}, where {end} is the first that no other \
                 tensor has"
            );
            return Err(malformed(file, problem));
        }
        let count = info.shape.iter().try_fold(1usize, |count, side| count.checked_mul(*side));
        let bits = count.and_then(|count| count.checked_mul(info.dtype.bitsize()));
        if bits != (to - from).checked_mul(8) {
            let (shape, bytes) = (&info.shape, to - from);
            let problem = format!("tensor '{name}' has {bytes} bytes for the shape {shape:?}");
            return Err(malformed(file, problem));
        }
        end = to;
    }
    Ok(())
}

/// The entries of a header, none twice.
struct Tensors(Vec<(String, TensorInfo)>);

impl<'de> Deserialize<'de> for Tensors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries)
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Tensors;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tensors, A::Error> {
        let (mut names, mut tensors) = (HashSet::new(), Vec::new());
        while let Some(name) = map.next_key::<String>()? {
            if !names.insert(name.clone()) {
                return Err(A::Error::custom(format_args!("it has '{name}' twice")));
            }
            if name == "__metadata__" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let info = map
                .next_value()
                .map_err(|error| A::Error::custom(format_args!("tensor '{name}': {error}")))?;
            tensors.push((name, info));
        }
        Ok(Tensors(tensors))
    }
}
