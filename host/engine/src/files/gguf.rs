//! GGUF files: metadata and tensor list.

mod header;
mod metadata;

use std::path::Path;

use super::{
    CheckpointError, Kind,
    catalogue::{Catalogue, Element, Entry},
    config::malformed,
    weight_file::WeightFile,
};
use header::{Fault, Header, Tensor};
pub(crate) use metadata::GgufMetadata;

/// A header longer than this is refused. The largest vocabularies take a quarter of it.
const HEADER_BYTES_MAX: usize = 64 << 20;
/// What is read of a header at first.
const HEADER_BYTES_FIRST: usize = 1 << 20;

/// Reads the header of `file`.
pub(crate) fn read(file: &Path) -> Result<(GgufMetadata, Catalogue), CheckpointError> {
    let weights = WeightFile::open(file)?;
    let header = header(&weights)?;
    refuse_parts(file, &header.metadata)?;
    let file_bytes = weights.bytes();
    let mut catalogue = Catalogue { files: vec![weights], ..Catalogue::default() };
    for tensor in header.tensors {
        let entry = entry(file, &tensor, header.data, file_bytes)?;
        catalogue.insert(tensor.name, entry)?;
    }
    catalogue.refuse_overlaps()?;
    Ok((header.metadata, catalogue))
}

/// Reads as much of a file as its header takes, which only parsing it shows.
fn header(file: &WeightFile) -> Result<Header, CheckpointError> {
    let most = file.bytes().min(HEADER_BYTES_MAX);
    let mut head = Vec::new();
    loop {
        let wanted = most.min(HEADER_BYTES_FIRST.max(4 * head.len()));
        head.extend(file.read(head.len(), wanted - head.len())?);
        match header::parse(&head) {
            Err(fault) if fault.kind == Kind::Truncated && head.len() < most => {}
            parsed => return parsed.map_err(|fault| explain(file.path(), &head, fault)),
        }
    }
}

/// A file that holds some of a model's tensors only.
fn refuse_parts(file: &Path, metadata: &GgufMetadata) -> Result<(), CheckpointError> {
    let parts = metadata.get_u32("split.count").unwrap_or(1);
    if parts < 2 {
        return Ok(());
    }
    let problem = format!("is one of {parts} parts of a model");
    let mend = "join the parts with llama.cpp's gguf-split --merge";
    Err(CheckpointError::new(Kind::Unsupported, file, problem, mend))
}

/// Checks a tensor's extent against the file. Tensors of types that this engine does not read may lie
/// anywhere: they are refused when one of them is needed.
fn entry(
    file: &Path,
    tensor: &Tensor,
    data: u64,
    file_bytes: usize,
) -> Result<Entry, CheckpointError> {
    let Tensor { name, shape, element, offset } = tensor;
    let format = match element {
        Element::Numbers(format) => *format,
        other => return Ok(Entry::unread(other.clone(), shape.clone())),
    };
    let (weights, block_bytes) = format.block();
    let extent = || {
        let count = shape.iter().try_fold(1usize, |count, side| count.checked_mul(*side))?;
        let bytes = count.is_multiple_of(weights).then_some(count / weights)?;
        let bytes = bytes.checked_mul(block_bytes)?;
        let offset = usize::try_from(data.checked_add(*offset)?).ok()?;
        Some((offset, bytes, offset.checked_add(bytes)?))
    };
    let Some((offset, bytes, end)) = extent() else {
        return Err(malformed(file, format!("tensor '{name}' has the absurd shape {shape:?}")));
    };
    if end > file_bytes {
        let problem =
            format!("ends after {file_bytes} bytes, but tensor '{name}' reaches to byte {end}");
        return Err(CheckpointError::new(Kind::Truncated, file, problem, "fetch the file again"));
    }
    Ok(Entry { file: 0, element: element.clone(), shape: shape.clone(), offset, bytes })
}

/// Turns the parser's fault into what happened to the file.
fn explain(file: &Path, head: &[u8], fault: Fault) -> CheckpointError {
    let Fault { kind, problem } = fault;
    if kind == Kind::Truncated && head.len() == HEADER_BYTES_MAX {
        return malformed(file, format!("its header is over {HEADER_BYTES_MAX} bytes"));
    }
    let mend = if !head.starts_with(b"GGUF") {
        "point the expert at a GGUF file or a Hugging Face folder"
    } else if kind == Kind::Unsupported {
        "convert the model again with a recent llama.cpp"
    } else {
        "fetch the file again"
    };
    CheckpointError::new(kind, file, problem, mend)
}
