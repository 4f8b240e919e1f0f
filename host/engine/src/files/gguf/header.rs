//! The header of a GGUF file, as `docs/gguf.md` in ggml lays it out: metadata, then the list of tensors.
//!
//! Every count and length is held against the bytes that are left before anything is allocated for it,
//! and values become what they are kept as at once, so a header never takes more than a few times its
//! own size in memory.

use std::collections::HashMap;

use signalbox_kernels::Format;

use super::metadata::{Datum, GgufMetadata};
use crate::files::{Kind, catalogue::Element};

/// Sides of a tensor.
const SIDES_MAX: u32 = 4;
/// Lists within lists.
const DEPTH_MAX: u32 = 4;
/// Bytes between which tensors begin, where the file does not say.
const ALIGNMENT: u64 = 32;
const ALIGNMENT_MAX: u64 = 1 << 20;
const BIG_ENDIAN: &str = "is big-endian; use a little-endian file";

/// What a header says.
pub(super) struct Header {
    /// The key-value part.
    pub(super) metadata: GgufMetadata,
    /// The tensors in the order of the file.
    pub(super) tensors: Vec<Tensor>,
    /// First byte behind the header where a tensor may begin.
    pub(super) data: u64,
}

/// One tensor as its header entry says.
pub(super) struct Tensor {
    /// Unique in the file.
    pub(super) name: String,
    /// Row-major, outermost first: the file's order turned round.
    pub(super) shape: Vec<usize>,
    /// What it holds.
    pub(super) element: Element,
    /// First byte, from [`Header::data`].
    pub(super) offset: u64,
}

/// What is wrong with a header.
#[derive(Debug)]
pub(super) struct Fault {
    /// The sort of fault.
    pub(super) kind: Kind,
    /// With names and numbers.
    pub(super) problem: String,
}

type Result<T> = std::result::Result<T, Fault>;

impl Fault {
    fn malformed(problem: impl Into<String>) -> Self {
        Self { kind: Kind::Malformed, problem: problem.into() }
    }

    fn unsupported(problem: impl Into<String>) -> Self {
        Self { kind: Kind::Unsupported, problem: problem.into() }
    }
}

/// Parses the beginning of a file.
pub(super) fn parse(bytes: &[u8]) -> Result<Header> {
    let mut reader = Reader { bytes, at: 0 };
    if reader.take(4).is_ok_and(|magic| magic != b"GGUF") || bytes.len() < 4 {
        return Err(Fault::malformed("is not a GGUF file"));
    }
    let version = u32::from_le_bytes(reader.array()?);
    match version {
        2 | 3 => {}
        _ if matches!(version.swap_bytes(), 1..=3) => return Err(Fault::unsupported(BIG_ENDIAN)),
        _ => return Err(Fault::unsupported(format!("has GGUF's version {version}, not 2 or 3"))),
    }
    let (tensors, values) = (reader.u64()?, reader.u64()?);
    let metadata = reader.metadata(values)?;
    let tensors = reader.tensors(tensors)?;
    let alignment = alignment(&metadata)?;
    let data = (reader.at as u64).next_multiple_of(alignment);
    Ok(Header { metadata, tensors, data })
}

fn alignment(metadata: &GgufMetadata) -> Result<u64> {
    let alignment = metadata.get_u32("general.alignment").map_or(ALIGNMENT, u64::from);
    if alignment.is_power_of_two() && alignment <= ALIGNMENT_MAX {
        return Ok(alignment);
    }
    Err(Fault::malformed(format!("'general.alignment' is {alignment}, not a power of two")))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let taken = self.bytes[self.at..].get(..count).ok_or_else(|| {
            let problem = format!("its header is cut off at byte {}", self.bytes.len());
            Fault { kind: Kind::Truncated, problem }
        })?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Result<&'a [u8]> {
        let length = self.u64()?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// A key or a tensor's name.
    fn name(&mut self) -> Result<String> {
        let at = self.at;
        let text = str::from_utf8(self.text()?).map(str::to_owned);
        text.map_err(|_| Fault::malformed(format!("its header has a name that is no text at {at}")))
    }

    fn metadata(&mut self, count: u64) -> Result<GgufMetadata> {
        let mut values = HashMap::new();
        for _ in 0..count {
            let key = self.name()?;
            let kind = self.u32()?;
            let value = self.datum(kind, &key)?;
            if values.contains_key(&key) {
                return Err(Fault::malformed(format!("its header has the key '{key}' twice")));
            }
            values.insert(key, value);
        }
        Ok(GgufMetadata(values))
    }

    fn datum(&mut self, kind: u32, key: &str) -> Result<Datum> {
        Ok(match kind {
            6 => Datum::Float(f32::from_le_bytes(self.array()?)),
            7 => Datum::Flag(self.array::<1>()? != [0]),
            8 => Datum::Text(String::from_utf8_lossy(self.text()?).into_owned()),
            9 => self.list(key, DEPTH_MAX)?,
            12 => Datum::Float(f64::from_le_bytes(self.array()?) as f32),
            _ => self.integer(kind, key)?,
        })
    }

    fn integer(&mut self, kind: u32, key: &str) -> Result<Datum> {
        let integer = match kind {
            0 => i64::from(self.array::<1>()?[0]),
            1 => i64::from(i8::from_le_bytes(self.array()?)),
            2 => i64::from(u16::from_le_bytes(self.array()?)),
            3 => i64::from(i16::from_le_bytes(self.array()?)),
            4 => i64::from(self.u32()?),
            5 => i64::from(i32::from_le_bytes(self.array()?)),
            // A number beyond i64 is beyond all that is asked of it, too.
            10 => i64::try_from(self.u64()?).unwrap_or(i64::MAX),
            11 => i64::from_le_bytes(self.array()?),
            _ => return Err(Fault::malformed(format!("the key '{key}' has the type {kind}"))),
        };
        Ok(Datum::Integer(integer))
    }

    /// A list of one type. Lists of bytes and flags, and lists of lists, are nothing a model or a
    /// tokenizer keeps.
    fn list(&mut self, key: &str, depth: u32) -> Result<Datum> {
        let kind = self.u32()?;
        let count = usize::try_from(self.u64()?).unwrap_or(usize::MAX);
        match kind {
            4 => self.numbers(count, |b| i64::from(u32::from_le_bytes(b))).map(Datum::Integers),
            5 => self.numbers(count, |b| i64::from(i32::from_le_bytes(b))).map(Datum::Integers),
            6 => self.numbers(count, f32::from_le_bytes).map(Datum::Floats),
            8 => self.texts(count).map(Datum::Texts),
            9 => self.lists(key, count, depth),
            10 | 11 => self.numbers(count, i64::from_le_bytes).map(Datum::Integers),
            12 => self.numbers(count, |b| f64::from_le_bytes(b) as f32).map(Datum::Floats),
            7 => self.numbers(count, |[flag]| i64::from(flag != 0)).map(Datum::Integers),
            0 | 1 => self.take(count).map(|_| Datum::Unused),
            2 | 3 => self.take(count.saturating_mul(2)).map(|_| Datum::Unused),
            _ => Err(Fault::malformed(format!("the key '{key}' has a list of the type {kind}"))),
        }
    }

    fn numbers<const N: usize, T>(
        &mut self,
        count: usize,
        number: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>> {
        let bytes = self.take(count.saturating_mul(N))?;
        Ok(bytes.as_chunks().0.iter().map(|bytes| number(*bytes)).collect())
    }

    fn texts(&mut self, count: usize) -> Result<Vec<String>> {
        // Every text has a length of eight bytes.
        let mut texts = Vec::with_capacity(count.min(self.left() / size_of::<u64>()));
        for _ in 0..count {
            texts.push(String::from_utf8_lossy(self.text()?).into_owned());
        }
        Ok(texts)
    }

    fn lists(&mut self, key: &str, count: usize, depth: u32) -> Result<Datum> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(Fault::malformed(format!("the key '{key}' has lists nested too deeply")));
        };
        for _ in 0..count {
            self.list(key, depth)?;
        }
        Ok(Datum::Unused)
    }

    fn tensors(&mut self, count: u64) -> Result<Vec<Tensor>> {
        let mut tensors = Vec::new();
        for _ in 0..count {
            tensors.push(self.tensor()?);
        }
        Ok(tensors)
    }

    fn tensor(&mut self) -> Result<Tensor> {
        let name = self.name()?;
        let sides = self.u32()?;
        if sides > SIDES_MAX {
            return Err(Fault::malformed(format!("tensor '{name}' has {sides} sides")));
        }
        let mut shape = Vec::new();
        for _ in 0..sides {
            shape.push(usize::try_from(self.u64()?).unwrap_or(usize::MAX));
        }
        shape.reverse();
        Ok(Tensor { name, shape, element: element(self.u32()?), offset: self.u64()? })
    }
}

/// ggml's number of a type, in `enum ggml_type`.
fn element(kind: u32) -> Element {
    Element::Numbers(match kind {
        0 => Format::F32,
        1 => Format::F16,
        2 => Format::Q4_0,
        3 => Format::Q4_1,
        6 => Format::Q5_0,
        7 => Format::Q5_1,
        8 => Format::Q8_0,
        12 => Format::Q4K,
        13 => Format::Q5K,
        14 => Format::Q6K,
        30 => Format::Bf16,
        other => return Element::Other(unread(other)),
    })
}

/// The name of a type that this engine does not read.
fn unread(kind: u32) -> String {
    const NAMES: &[(u32, &str)] = &[
        (9, "Q8_1"),
        (10, "Q2_K"),
        (11, "Q3_K"),
        (15, "Q8_K"),
        (16, "IQ2_XXS"),
        (17, "IQ2_XS"),
        (18, "IQ3_XXS"),
        (19, "IQ1_S"),
        (20, "IQ4_NL"),
        (21, "IQ3_S"),
        (22, "IQ2_S"),
        (23, "IQ4_XS"),
        (24, "I8"),
        (25, "I16"),
        (26, "I32"),
        (27, "I64"),
        (28, "F64"),
        (29, "IQ1_M"),
        (34, "TQ1_0"),
        (35, "TQ2_0"),
        (39, "MXFP4"),
        (40, "NVFP4"),
    ];
    let known = NAMES.iter().find(|(number, _)| *number == kind);
    known.map_or_else(|| format!("ggml's type {kind}"), |(_, name)| (*name).to_owned())
}
