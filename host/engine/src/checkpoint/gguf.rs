//! GGUF files: metadata and tensor list. candle reads the header: its parser holds every count and
//! length against the bytes that are left. What it can't bound is how much larger than the file its
//! values are in memory, so it is shown the beginning of the file only.

use std::{collections::HashMap, io::Cursor, path::Path};

use candle_core::quantized::gguf_file::{Content, TensorInfo, Value};

use super::{
    CheckpointError, Kind,
    catalogue::{Catalogue, Element, Entry},
    config::malformed,
    mmap,
};

/// A header longer than this is refused. The largest vocabularies take a quarter of it.
const HEADER_BYTES_MAX: usize = 64 << 20;

/// The key-value part of a GGUF file. Getters return `None` for an absent key and for another type.
#[derive(Debug, Default)]
pub(crate) struct GgufMetadata(HashMap<String, Datum>);

/// A value with its integer widths forgotten and its lists unboxed.
#[derive(Debug)]
enum Datum {
    Text(String),
    Integer(i64),
    Float(f32),
    Flag(bool),
    Texts(Vec<String>),
    Integers(Vec<i64>),
    Floats(Vec<f32>),
    /// Nothing a model or tokenizer keeps: nested lists, lists of bools.
    Unused,
}

impl GgufMetadata {
    /// A string, as `general.architecture` or `tokenizer.chat_template`.
    pub(crate) fn get_str(&self, key: &str) -> Option<&str> {
        match self.0.get(key)? {
            Datum::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number that fits, of whatever integer type the file chose.
    pub(crate) fn get_u32(&self, key: &str) -> Option<u32> {
        match self.0.get(key)? {
            Datum::Integer(integer) => u32::try_from(*integer).ok(),
            _ => None,
        }
    }

    /// A float.
    pub(crate) fn get_f32(&self, key: &str) -> Option<f32> {
        match self.0.get(key)? {
            Datum::Float(float) => Some(*float),
            _ => None,
        }
    }

    /// A bool, as `tokenizer.ggml.add_bos_token`.
    pub(crate) fn get_bool(&self, key: &str) -> Option<bool> {
        match self.0.get(key)? {
            Datum::Flag(flag) => Some(*flag),
            _ => None,
        }
    }

    /// An array of strings, as `tokenizer.ggml.tokens` and `tokenizer.ggml.merges`.
    pub(crate) fn get_strings(&self, key: &str) -> Option<&[String]> {
        match self.0.get(key)? {
            Datum::Texts(texts) => Some(texts),
            _ => None,
        }
    }

    /// An array of integers of any width, as `tokenizer.ggml.token_type`.
    pub(crate) fn get_integers(&self, key: &str) -> Option<&[i64]> {
        match self.0.get(key)? {
            Datum::Integers(integers) => Some(integers),
            _ => None,
        }
    }

    /// An array of floats, as `tokenizer.ggml.scores`.
    pub(crate) fn get_floats(&self, key: &str) -> Option<&[f32]> {
        match self.0.get(key)? {
            Datum::Floats(floats) => Some(floats),
            _ => None,
        }
    }
}

impl FromIterator<(String, Value)> for GgufMetadata {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(values: I) -> Self {
        Self(values.into_iter().map(|(key, value)| (key, value.into())).collect())
    }
}

impl From<Value> for Datum {
    fn from(value: Value) -> Self {
        match value {
            Value::String(text) => Self::Text(text),
            Value::Bool(flag) => Self::Flag(flag),
            Value::F32(float) => Self::Float(float),
            Value::F64(float) => Self::Float(float as f32),
            Value::Array(list) => unboxed(list),
            other => integer(&other).map_or(Self::Unused, Self::Integer),
        }
    }
}

/// A list by the type of its first value; the format lets a list have one type only.
fn unboxed(list: Vec<Value>) -> Datum {
    match list.first() {
        Some(Value::String(_)) => {
            let text = |value| if let Value::String(text) = value { Some(text) } else { None };
            Datum::Texts(list.into_iter().filter_map(text).collect())
        }
        Some(Value::F32(_)) => {
            Datum::Floats(list.iter().filter_map(|value| value.to_f32().ok()).collect())
        }
        _ => list.iter().map(integer).collect::<Option<_>>().map_or(Datum::Unused, Datum::Integers),
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::I8(v) => Some(i64::from(*v)),
        Value::I16(v) => Some(i64::from(*v)),
        Value::I32(v) => Some(i64::from(*v)),
        Value::I64(v) => Some(*v),
        Value::U8(_) | Value::U16(_) | Value::U32(_) | Value::U64(_) => {
            value.to_u64().ok().and_then(|v| i64::try_from(v).ok())
        }
        _ => None,
    }
}

/// Reads the header of `file`.
pub(super) fn read(file: &Path) -> Result<(GgufMetadata, Catalogue), CheckpointError> {
    let map = mmap::map(file)?;
    let head = &map[..map.len().min(HEADER_BYTES_MAX)];
    let content =
        Content::read(&mut Cursor::new(head)).map_err(|error| explain(file, head, &error))?;
    let mut catalogue = Catalogue { files: vec![file.into()], ..Catalogue::default() };
    for (name, info) in content.tensor_infos {
        let entry = entry(file, &name, &info, content.tensor_data_offset, map.len())?;
        catalogue.tensors.insert(name, entry);
    }
    Ok((content.metadata.into_iter().collect(), catalogue))
}

/// Checks a tensor's extent against the file.
fn entry(
    file: &Path,
    name: &str,
    info: &TensorInfo,
    data: u64,
    file_bytes: usize,
) -> Result<Entry, CheckpointError> {
    let shape = info.shape.dims().to_vec();
    let (weights, block_bytes) = (info.ggml_dtype.block_size(), info.ggml_dtype.type_size());
    let extent = || {
        let count = shape.iter().try_fold(1usize, |count, side| count.checked_mul(*side))?;
        let bytes = count.is_multiple_of(weights).then_some(count / weights)?;
        let bytes = bytes.checked_mul(block_bytes)?;
        let offset = usize::try_from(data.checked_add(info.offset)?).ok()?;
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
    Ok(Entry { file: 0, element: Element::from(info.ggml_dtype), shape, offset, bytes })
}

/// Turns the parser's error into what happened to the file.
fn explain(file: &Path, head: &[u8], error: &candle_core::Error) -> CheckpointError {
    let text = error.to_string();
    let text = text.lines().next().unwrap_or_default();
    if !head.starts_with(b"GGUF") {
        let mend = "point the expert at a GGUF file or a Hugging Face folder";
        return CheckpointError::new(Kind::Malformed, file, "is not a GGUF file", mend);
    }
    if text.contains("unknown dtype") || text.contains("unsupported magic/version") {
        let mend = "use a file of F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K or Q6_K";
        return CheckpointError::new(Kind::Unsupported, file, text, mend);
    }
    if head.len() == HEADER_BYTES_MAX {
        return malformed(
            file,
            format!("its header is broken or over {HEADER_BYTES_MAX} bytes: {text}"),
        );
    }
    let problem = format!("its header is broken or cut off: {text}");
    CheckpointError::new(Kind::Truncated, file, problem, "fetch the file again")
}
