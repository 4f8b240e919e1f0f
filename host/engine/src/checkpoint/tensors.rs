//! Looking for tensors: one that is missing, or of another type or shape than the architecture needs, is
//! refused by name.

use std::path::Path;

use signalbox_kernels::Format;

use crate::files::{Catalogue, CheckpointError, Element, Entry, Kind, malformed};

type Result<T> = std::result::Result<T, CheckpointError>;

/// The tensors of a checkpoint, looked at for one architecture.
#[derive(Clone, Copy)]
pub(super) struct Tensors<'a> {
    pub(super) catalogue: &'a Catalogue,
    /// By its name in `config.json`.
    pub(super) architecture: &'static str,
}

impl<'a> Tensors<'a> {
    /// Numbers without blocks.
    pub(super) fn plain(&self, name: &str, entry: &Entry) -> Result<Format> {
        let format = self.format(name, entry)?;
        if format.block().0 != 1 {
            let problem = format!("tensor '{name}' is {format}, but must be of plain numbers");
            return Err(malformed(self.file(entry), problem));
        }
        Ok(format)
    }

    pub(super) fn find(&self, name: &str, shape: &[usize]) -> Result<&'a Entry> {
        let entry = self.present(name)?;
        if entry.shape != shape {
            let (found, spec) = (&entry.shape, self.architecture);
            let problem =
                format!("tensor '{name}' has the shape {found:?} where {spec} needs {shape:?}");
            return Err(malformed(self.file(entry), problem));
        }
        Ok(entry)
    }

    pub(super) fn present(&self, name: &str) -> Result<&'a Entry> {
        self.catalogue.tensors.get(name).ok_or_else(|| {
            let file = self.catalogue.first_file();
            let of = match self.catalogue.files.len() {
                0 | 1 => String::new(),
                files => format!(" in any of {files} shards"),
            };
            let problem = format!("tensor '{name}' is missing{of}");
            CheckpointError::new(Kind::Missing, file, problem, "fetch the checkpoint again")
        })
    }

    pub(super) fn format(&self, name: &str, entry: &Entry) -> Result<Format> {
        match &entry.element {
            Element::Numbers(format) => Ok(*format),
            other => {
                let problem = format!("tensor '{name}' holds {other}, which is not supported");
                let mend = "use a checkpoint in bf16, f16, f32, AWQ or compressed-tensors, or a GGUF \
                            file of F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K or Q6_K";
                Err(CheckpointError::new(Kind::Unsupported, self.file(entry), problem, mend))
            }
        }
    }

    pub(super) fn expect_element(
        &self,
        name: &str,
        entry: &Entry,
        element: &Element,
    ) -> Result<()> {
        if entry.element == *element {
            return Ok(());
        }
        let problem = format!("tensor '{name}' holds {} where {element} is needed", entry.element);
        Err(malformed(self.file(entry), problem))
    }

    pub(super) fn file(&self, entry: &Entry) -> &'a Path {
        self.catalogue.file(entry)
    }
}
