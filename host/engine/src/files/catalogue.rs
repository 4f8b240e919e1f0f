//! Which tensors lie where: what the headers of safetensors and of GGUF files have in common.

use std::{
    collections::{HashMap, hash_map},
    fmt,
    path::Path,
};

use safetensors::Dtype;
use signalbox_kernels::Format;

use super::{CheckpointError, config::malformed, weight_file::WeightFile};

/// What the numbers of a tensor are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Element {
    /// Numbers the kernels take as they are.
    Numbers(Format),
    /// 32-bit words that hold packed weights.
    Words,
    /// Anything else, by its name in the file.
    Other(String),
}

impl From<Dtype> for Element {
    fn from(dtype: Dtype) -> Self {
        match dtype {
            Dtype::F32 => Self::Numbers(Format::F32),
            Dtype::F16 => Self::Numbers(Format::F16),
            Dtype::BF16 => Self::Numbers(Format::Bf16),
            Dtype::I32 | Dtype::U32 => Self::Words,
            other => Self::Other(format!("{other:?}")),
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Numbers(format) => format.fmt(f),
            Self::Words => f.write_str("i32"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// One tensor of one file.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Index into [`Catalogue::files`].
    pub(crate) file: usize,
    /// What its numbers are.
    pub(crate) element: Element,
    /// Row-major, outermost first; GGUF's order is turned round already.
    pub(crate) shape: Vec<usize>,
    /// First byte in the file; known to lie within it, as is the last.
    pub(crate) offset: usize,
    /// Length.
    pub(crate) bytes: usize,
}

impl Entry {
    /// A tensor of no type this engine reads, of which only the name is of use.
    pub(crate) fn unread(element: Element, shape: Vec<usize>) -> Self {
        Self { file: 0, element, shape, offset: 0, bytes: 0 }
    }
}

/// All tensors of a checkpoint by name.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    /// The weight files.
    pub(crate) files: Vec<WeightFile>,
    /// The tensors.
    pub(crate) tensors: HashMap<String, Entry>,
}

impl Catalogue {
    /// The file of a tensor.
    pub(crate) fn file(&self, entry: &Entry) -> &Path {
        self.files[entry.file].path()
    }

    /// The first of the files, to name the checkpoint by.
    pub(crate) fn first_file(&self) -> &Path {
        self.files.first().map_or(Path::new(""), WeightFile::path)
    }

    /// Adds a tensor of the file that is being read.
    pub(crate) fn insert(&mut self, name: String, entry: Entry) -> Result<(), CheckpointError> {
        match self.tensors.entry(name) {
            hash_map::Entry::Vacant(place) => {
                place.insert(entry);
                Ok(())
            }
            hash_map::Entry::Occupied(place) => {
                let (name, other) = (place.key(), self.files[place.get().file].path());
                let problem = match place.get().file == entry.file {
                    true => format!("has the tensor '{name}' twice"),
                    false => format!("has the tensor '{name}', which {} has, too", other.display()),
                };
                Err(malformed(self.file(&entry), problem))
            }
        }
    }

    /// Names two tensors that share bytes, if any do.
    pub(crate) fn refuse_overlaps(&self) -> Result<(), CheckpointError> {
        let mut tensors: Vec<_> =
            self.tensors.iter().filter(|(_, entry)| entry.bytes > 0).collect();
        tensors.sort_by_key(|(name, entry)| (entry.file, entry.offset, *name));
        for pair in tensors.windows(2) {
            let [(first, a), (second, b)] = pair else { continue };
            if a.file == b.file && a.offset + a.bytes > b.offset {
                let problem = format!("its tensors '{first}' and '{second}' overlap");
                return Err(malformed(self.file(a), problem));
            }
        }
        Ok(())
    }

    /// Whether there is a tensor of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }
}
