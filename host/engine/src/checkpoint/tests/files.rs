//! Weight files as bytes, so that tests can write what no library would.

use serde_json::{Map, Value, json};

/// A tensor of a file.
#[derive(Debug, Clone)]
pub(super) struct Tensor {
    pub(super) name: String,
    /// As the safetensors header spells it.
    pub(super) dtype: &'static str,
    /// Outermost first.
    pub(super) shape: Vec<usize>,
    pub(super) bytes: Vec<u8>,
}

impl Tensor {
    pub(super) fn f32(name: &str, shape: &[usize], numbers: &[f32]) -> Self {
        let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        Self { name: name.to_owned(), dtype: "F32", shape: shape.to_vec(), bytes }
    }

    /// The f32 numbers of it.
    pub(super) fn numbers(&self) -> Vec<f32> {
        assert_eq!(self.dtype, "F32");
        self.bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    }
}

/// The header of a safetensors file with these tensors one behind the other.
pub(super) fn header(tensors: &[Tensor]) -> Map<String, Value> {
    let mut end = 0;
    let mut entry = |tensor: &Tensor| {
        let start = end;
        end += tensor.bytes.len();
        let (dtype, shape) = (tensor.dtype, &tensor.shape);
        let entry = json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] });
        (tensor.name.clone(), entry)
    };
    tensors.iter().map(&mut entry).collect()
}

/// A file with any header, its length in front.
pub(super) fn framed(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

pub(super) fn safetensors(tensors: &[Tensor]) -> Vec<u8> {
    let data: Vec<u8> = tensors.iter().flat_map(|tensor| tensor.bytes.iter().copied()).collect();
    framed(&Value::Object(header(tensors)).to_string(), &data)
}

/// A GGUF file under construction.
#[derive(Debug, Clone, Default)]
pub(super) struct Gguf {
    metadata: Vec<u8>,
    keys: u64,
    list: Vec<u8>,
    tensors: u64,
    data: Vec<u8>,
}

const ALIGNMENT: usize = 32;

impl Gguf {
    /// A key with a value of ggml's type number `kind`.
    pub(super) fn raw(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        self.metadata.extend(text(key));
        self.metadata.extend(kind.to_le_bytes());
        self.metadata.extend(value);
        self.keys += 1;
        self
    }

    pub(super) fn text(self, key: &str, value: &str) -> Self {
        self.raw(key, 8, &text(value))
    }

    pub(super) fn count(self, key: &str, value: u32) -> Self {
        self.raw(key, 4, &value.to_le_bytes())
    }

    pub(super) fn float(self, key: &str, value: f32) -> Self {
        self.raw(key, 6, &value.to_le_bytes())
    }

    /// A tensor of ggml's type number `kind`, behind those that are there.
    pub(super) fn tensor(self, name: &str, shape: &[usize], kind: u32, bytes: &[u8]) -> Self {
        let offset = self.data.len().next_multiple_of(ALIGNMENT);
        let mut file = self.listed(name, shape, kind, offset as u64);
        file.data.resize(offset, 0);
        file.data.extend(bytes);
        file
    }

    /// A tensor in the list only.
    pub(super) fn listed(mut self, name: &str, shape: &[usize], kind: u32, offset: u64) -> Self {
        self.list.extend(text(name));
        self.list.extend((shape.len() as u32).to_le_bytes());
        let sides = shape.iter().rev().flat_map(|side| (*side as u64).to_le_bytes());
        self.list.extend(sides);
        self.list.extend(kind.to_le_bytes());
        self.list.extend(offset.to_le_bytes());
        self.tensors += 1;
        self
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut file = b"GGUF".to_vec();
        file.extend(3u32.to_le_bytes());
        file.extend(self.tensors.to_le_bytes());
        file.extend(self.keys.to_le_bytes());
        file.extend(&self.metadata);
        file.extend(&self.list);
        file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
        file.extend(&self.data);
        file
    }
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}
