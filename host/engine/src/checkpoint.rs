//! A checkpoint on disk: a Hugging Face folder or a GGUF file. `open` reads headers only and proves that
//! everything the architecture needs is there, complete and of the right shape; `load` then copies the
//! weights into packed memory.
//!
//! The headers are parsed by the `safetensors` crate and by candle, which bound what hostile files can
//! make them allocate. The weights themselves stay as packed as they are in the file.

mod awq;
mod catalogue;
mod config;
mod error;
mod gguf;
mod load;
mod mmap;
mod names;
mod plan;
mod safetensors;
#[cfg(test)]
mod tests;
mod vision;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use signalbox_kernels::Format;

pub(crate) use config::Config;
pub(crate) use error::{CheckpointError, Kind};
pub(crate) use gguf::GgufMetadata;

use crate::{
    model::{Fill, Model},
    spec::{self, ModelSpec},
};
use catalogue::{Catalogue, Element};
use names::Names;
use plan::{Plan, Vector};

/// What is known of a checkpoint from its headers.
pub(crate) struct Checkpoint {
    origin: Origin,
    spec: ModelSpec,
    catalogue: Catalogue,
    plan: Plan,
    /// The eyes, where the files have them all.
    vision: Option<vision::Plan>,
    stored: Stored,
}

enum Origin {
    Folder(PathBuf),
    Gguf(GgufMetadata),
}

/// Where tokenizer, chat template and end tokens come from.
pub(crate) enum Source<'a> {
    /// A folder with `tokenizer.json`, `tokenizer_config.json`, `generation_config.json`, ...
    Folder(&'a Path),
    /// The metadata of a GGUF file.
    Gguf(&'a GgufMetadata),
}

/// How the weights are stored, whatever the configuration says: displays as `awq int4 g128`, `bf16`,
/// `gguf q4_1`, after the format that takes most bytes of the layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    format: Format,
    gguf: bool,
}

impl Stored {
    /// The linears are AWQ int4.
    pub(crate) fn is_awq(&self) -> bool {
        matches!(self.format, Format::Int4 { .. })
    }

    /// The linears are f32, f16 or bf16.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.format, Format::F32 | Format::F16 | Format::Bf16)
    }
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = match self {
            Self { gguf: true, .. } => "gguf ",
            _ if self.is_awq() => "awq ",
            _ => "",
        };
        write!(f, "{prefix}{}", self.format)
    }
}

type Result<T> = std::result::Result<T, CheckpointError>;

impl Checkpoint {
    /// Reads headers and checks them. `path` is a folder or a `.gguf` file.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Self::open_folder(path);
        }
        let error = path.metadata().err();
        error.map_or(Ok(()), |error| Err(CheckpointError::unreadable(path, &error)))?;
        Self::open_gguf(path)
    }

    fn open_folder(folder: &Path) -> Result<Self> {
        let config = Config::read(&folder.join("config.json"))?;
        refuse_foreign_packing(&config)?;
        let spec = ModelSpec::read(&config)?;
        let catalogue = safetensors::catalogue(folder)?;
        let names = Names::of_folder(&catalogue);
        Self::planned(Origin::Folder(folder.into()), spec, catalogue, &names)
    }

    fn open_gguf(file: &Path) -> Result<Self> {
        let (metadata, catalogue) = gguf::read(file)?;
        let described = described(&catalogue)?;
        let spec = spec::gguf::read(file, &metadata, &described)?;
        Self::planned(Origin::Gguf(metadata), spec, catalogue, &Names::Gguf)
    }

    fn planned(
        origin: Origin,
        mut spec: ModelSpec,
        catalogue: Catalogue,
        names: &Names,
    ) -> Result<Self> {
        let plan = plan::plan(&spec, names, &catalogue)?;
        let vision = match (&origin, &spec.vision) {
            (Origin::Folder(folder), Some(vision)) => {
                vision::Plan::make(folder, vision, spec.hidden, &catalogue)?
            }
            _ => None,
        };
        spec.vision = spec.vision.filter(|_| vision.is_some());
        let stored = plan::stored(&plan, matches!(origin, Origin::Gguf(_)));
        Ok(Self { origin, spec, catalogue, plan, vision, stored })
    }

    /// The architecture and its numbers.
    pub(crate) fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Where everything that is not a weight comes from.
    pub(crate) fn source(&self) -> Source<'_> {
        match &self.origin {
            Origin::Folder(folder) => Source::Folder(folder),
            Origin::Gguf(metadata) => Source::Gguf(metadata),
        }
    }

    /// What the weights really are.
    pub(crate) fn stored(&self) -> &Stored {
        &self.stored
    }

    /// Bytes that [`Self::load`] will hold.
    pub(crate) fn weight_bytes(&self) -> u64 {
        let vision = self.vision.as_ref().map_or(0, |vision| vision.bytes);
        plan::weight_bytes(&self.plan) + vision
    }

    /// Copies the weights into packed memory.
    pub(crate) fn load(&self) -> Result<Model> {
        let mut loader = load::Loader::new(&self.catalogue)?;
        let weights = self.plan.fill(&mut loader)?;
        let vision = self.vision.as_ref().map(|vision| vision.load(&self.catalogue, &loader));
        Ok(Model::new(self.spec.clone(), weights, vision.transpose()?))
    }

    /// The checkpoint asks for crops of long pictures, which are not made.
    pub(crate) fn wants_crops(&self) -> bool {
        self.vision.as_ref().is_some_and(vision::Plan::wants_crops)
    }
}

/// Names packings of weights that look loadable and are not.
fn refuse_foreign_packing(config: &Config) -> Result<()> {
    let Some(packing) = config.section("quantization_config")? else { return Ok(()) };
    let method = packing.text_opt("quant_method")?.unwrap_or("unknown");
    let version = packing.text_opt("version")?.unwrap_or("gemm").to_ascii_lowercase();
    let bits = packing.count_opt("bits", 1..=64)?.unwrap_or(4);
    let problem = match (method, version.as_str(), bits) {
        ("awq", "gemm", 4) => return Ok(()),
        ("awq", version, bits) => format!("AWQ {version} with {bits} bits is not supported"),
        (other, ..) => format!("the packing '{other}' is not supported"),
    };
    let mend = "use AWQ with 4 bits and version \"gemm\", an unpacked checkpoint, or a GGUF file";
    Err(packing.unsupported(problem, mend))
}

/// Reads what a GGUF file tells about the model by its tensors.
fn described(catalogue: &Catalogue) -> Result<spec::gguf::Described> {
    let embedding = catalogue.tensors.get("token_embd.weight");
    let factors = ["rope_freqs", "rope_factors_short", "rope_factors_long"];
    let [freqs, short, long] = factors.map(|name| rope_factors(catalogue, name));
    Ok(spec::gguf::Described {
        vocab_size: embedding.and_then(|entry| entry.shape.first().copied()).unwrap_or_default(),
        has_head: catalogue.has("output.weight"),
        has_bias: catalogue.has("blk.0.attn_q.bias"),
        rope_factors: [freqs?, short?, long?],
    })
}

fn rope_factors(catalogue: &Catalogue, name: &str) -> Result<Option<Vec<f32>>> {
    let entry = catalogue.tensors.get(&format!("{name}.weight"));
    let Some(entry) = entry.filter(|entry| entry.element == Element::Weights(Format::F32)) else {
        return Ok(None);
    };
    let elements = 0..entry.bytes / size_of::<f32>();
    let vector = Vector { entry: entry.clone(), format: Format::F32, elements, plus_one: false };
    load::Loader::new(catalogue)?.vector(&vector).map(Some)
}
