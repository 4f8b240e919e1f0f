//! From files to a model. `open` reads headers only and checks that everything the architecture needs is
//! there, complete and of the right shape; `load` then packs the weights, into memory or a file that is mapped, and looks at every number on the
//! way. They take no more bytes than in the file, unless the operator wants plain ones quantised.

mod arrangement;
mod encoder;
mod fill;
mod keeping;
mod load;
mod names;
mod pack_file;
mod packed_tensors;
mod plan;
mod quantise;
mod quantization_config;
mod repack;
mod stored;
mod tensors;
#[cfg(test)]
mod tests;
mod tower_plan;

use std::path::{Path, PathBuf};

use signalbox_kernels::{Format, Isa, KvFormat};

pub(crate) use encoder::EncoderCheckpoint;
pub(crate) use keeping::Loading;
pub(crate) use pack_file::Unsettled;
pub use pack_file::is_pack_file;
pub(crate) use stored::Stored;

use crate::{
    files::{
        Catalogue, CheckpointError, Config, Element, Kind, Source, Stamps, WeightFile, gguf,
        malformed, safetensors, side,
    },
    machine::machine_memory,
    memory::{kv_bytes_per_token, mib},
    model::{Loaded, Model},
    pack_progress::Counting,
    settings::{Bits, KvCacheDType},
    spec::{self, Biases, ModelSpec},
    vision::Vision,
};
use arrangement::Arrangement;
use fill::{Failure, Home};
use keeping::Keeping;
use load::Loader;
use names::Names;
use plan::{MatrixTensors, Plan, Vector};
use quantization_config::QuantizationConfig;
use tower_plan::TowerPlan;

/// What is known of a checkpoint from its headers.
pub(crate) struct Checkpoint {
    source: Source,
    /// Of what was read beside the weights.
    stamps: Stamps,
    spec: ModelSpec,
    catalogue: Catalogue,
    plan: Plan,
    /// The eyes, where the files have them all.
    vision: Option<TowerPlan>,
    stored: Stored,
    /// What its KV caches are to keep numbers as.
    kv: KvCacheDType,
}

/// Weights that were loaded.
pub(crate) struct Ready {
    pub(crate) model: Model,
    /// The pack file they are in, where it was made for this and is not on the disk yet.
    pub(crate) unsettled: Option<Unsettled>,
}

/// Where the packed weights of a checkpoint are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepacked {
    /// The file.
    pub file: PathBuf,
    /// Of packed weights.
    pub bytes: u64,
    /// It was made now; otherwise it was there, and sound.
    pub made: bool,
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
        let stamps = Stamps::take(side::paths(folder));
        let config = Config::read(&folder.join("config.json"))?;
        let quantization = QuantizationConfig::read(folder, &config)?;
        let spec = spec::read(&config)?;
        let catalogue = safetensors::catalogue(folder)?;
        let names = Names::of_folder(&catalogue);
        let source = Source::Folder(folder.into());
        let opened = Self::planned(source, spec, catalogue, &names, Some(quantization))?;
        Ok(Self { stamps, ..opened })
    }

    fn open_gguf(file: &Path) -> Result<Self> {
        let stamps = Stamps::take(side::templates_beside(file));
        let (metadata, catalogue) = gguf::read(file)?;
        let described = described(&catalogue)?;
        let spec = spec::gguf::read(file, &metadata, &described)?;
        let source = Source::Gguf(file.into(), metadata);
        let opened = Self::planned(source, spec, catalogue, &Names::Gguf, None)?;
        Ok(Self { stamps, ..opened })
    }

    fn planned(
        source: Source,
        mut spec: ModelSpec,
        catalogue: Catalogue,
        names: &Names,
        quantization: Option<QuantizationConfig>,
    ) -> Result<Self> {
        let plan = plan::plan(&spec, names, quantization, &catalogue)?;
        let vision = match (&source, &spec.vision) {
            (Source::Folder(folder), Some(vision)) => {
                TowerPlan::make(folder, vision, spec.hidden, &catalogue)?
            }
            _ => None,
        };
        spec.vision = spec.vision.filter(|_| vision.is_some());
        let stored = plan::stored(&plan, matches!(source, Source::Gguf(..)));
        let (stamps, kv) = (Stamps::default(), KvCacheDType::Auto);
        Ok(Self { source, stamps, spec, catalogue, plan, vision, stored, kv })
    }

    /// Gives the descriptors of the weight files back; [`Self::load`] opens them again.
    pub(crate) fn close_files(&mut self) {
        self.catalogue.files.iter_mut().for_each(WeightFile::close);
    }

    /// Its files are those that were opened, as they were.
    pub(crate) fn is_current(&self) -> bool {
        self.stamps.are_current() && self.catalogue.files.iter().all(WeightFile::is_current)
    }

    /// How much of the files was read so far, in per cent.
    pub(crate) fn percent_read(&self) -> u8 {
        let files = &self.catalogue.files;
        let read: u64 = files.iter().map(WeightFile::bytes_read).sum();
        let all: u64 = files.iter().map(|file| file.bytes() as u64).sum();
        u8::try_from((read * 100).checked_div(all).unwrap_or(100).min(100)).unwrap_or(100)
    }

    /// The architecture and its numbers.
    pub(crate) fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Where everything that is not a weight comes from.
    pub(crate) fn source(&self) -> &Source {
        &self.source
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

    /// Has plain linears quantised by [`Self::load`]. A checkpoint that is packed stays as it is: each
    /// rounding on top of another costs quality and saves next to nothing.
    pub(crate) fn quantised(mut self, bits: Option<Bits>) -> Self {
        if let Some(bits) = bits.filter(|_| self.stored.is_plain()) {
            plan::quantise(&mut self.plan, bits);
            self.stored = plan::stored(&self.plan, matches!(self.source, Source::Gguf(..)));
        }
        self
    }

    /// Has a plain head of packed linears held in 8 bits where it would take more than a tenth of what
    /// each token reads.
    pub(crate) fn with_narrow_head(mut self) -> Self {
        if !self.stored.is_plain() {
            plan::narrow_head(&mut self.plan);
        }
        self
    }

    /// Has its KV caches keep numbers as `kv` says.
    pub(crate) fn with_kv(self, kv: KvCacheDType) -> Self {
        Self { kv, ..self }
    }

    /// Bytes that a token of a sequence takes in the KV cache when it is served with `isa`.
    pub(crate) fn kv_bytes_per_token(&self, isa: Isa) -> u64 {
        kv_bytes_per_token(&self.spec, self.kv_format(isa))
    }

    /// What its KV caches keep numbers as when it is served with `isa`. A bias makes a few elements of all keys
    /// large, and the rest would be lost in 8 bits: such keys stay halves.
    pub(crate) fn kv_format(&self, isa: Isa) -> KvFormat {
        match self.kv.format(isa) {
            KvFormat::Int8 if self.spec.biases != Biases::None => KvFormat::F16,
            format => format,
        }
    }

    /// The head is held in 8 bits, though the file has it in more.
    pub(crate) fn has_narrow_head(&self) -> bool {
        let head = self.plan.head.as_ref();
        head.is_some_and(|head| matches!(head.tensors, MatrixTensors::Quantised { .. }))
    }

    /// Copies the weights into memory in the form that `compute` wants, if the machine has as much at all.
    #[cfg(test)]
    pub(crate) fn load(&self, compute: &signalbox_kernels::Compute) -> Result<Model> {
        let kept = &crate::settings::PackFiles::Off;
        let how = Loading { compute, kept, anew: false, report: &|_| {} };
        self.load_with(how).map(|ready| ready.model)
    }

    /// Loads the weights in the form that is multiplied: out of a pack file where there is one, by way of one
    /// that is made where it can be, and into memory otherwise.
    pub(crate) fn load_with(&self, how: Loading<'_>) -> Result<Ready> {
        self.ensure_it_fits()?;
        let read = self.read(how);
        // A file that was written to meanwhile may look damaged, so that is said first.
        self.catalogue.files.iter().try_for_each(WeightFile::check_unchanged)?;
        let (weights, vision, unsettled) = read?;
        let kv = self.kv_format(how.compute.isa());
        let model = Model::new(self.spec.clone(), weights, vision, kv, how.compute.clone());
        Ok(Ready { model, unsettled })
    }

    /// Makes the pack file ahead of a load, if there is none that is sound.
    pub(crate) fn prepack(&self, how: Loading<'_>) -> Result<Option<Prepacked>> {
        let Some(keeping) = self.keeping(how)? else { return Ok(None) };
        let bytes = keeping.bytes();
        if let Some((file, _)) = keeping.find() {
            return Ok(Some(Prepacked { file: file.to_owned(), bytes, made: false }));
        }
        let made = keeping.make();
        self.catalogue.files.iter().try_for_each(WeightFile::check_unchanged)?;
        let settled = match made {
            Ok((_, unsettled)) => unsettled.settle(),
            Err(Failure::Checkpoint(error)) => return Err(error),
            Err(Failure::File(error)) => Err(error),
        };
        let file = settled.map_err(|error| keeping.refused(&error))?;
        Ok(Some(Prepacked { file, bytes, made: true }))
    }

    /// There is a sound pack file of it.
    pub(crate) fn is_kept(&self, how: Loading<'_>) -> Result<bool> {
        Ok(self.keeping(how)?.is_some_and(|keeping| keeping.find().is_some()))
    }

    fn keeping<'a>(&'a self, how: Loading<'a>) -> Result<Option<Keeping<'a>>> {
        let variant = match (self.stored.is_quantised_while_loading(), self.stored.format) {
            (false, _) => "",
            (true, Format::Int4 { .. }) => "-int4",
            (true, _) => "-int8",
        };
        Keeping::new(&self.plan, &self.catalogue, self.source.path(), variant, how)
    }

    fn ensure_it_fits(&self) -> Result<()> {
        let (needed, machine) = (self.weight_bytes(), machine_memory());
        if needed <= machine {
            return Ok(());
        }
        let problem =
            format!("its weights need {}, this machine has {}", mib(needed), mib(machine));
        let mend = "use a smaller or quantised checkpoint";
        let file = self.catalogue.first_file();
        Err(CheckpointError::new(Kind::Unsupported, file, problem, mend))
    }

    fn read(&self, how: Loading<'_>) -> Result<(Loaded, Option<Vision>, Option<Unsettled>)> {
        let loader = Loader::new(&self.catalogue);
        let kept = self.keeping(how)?.map(|keeping| keeping.open()).transpose()?.flatten();
        let (file, unsettled) = kept.unzip();
        let arrangement = Arrangement::of(&self.plan, how.compute);
        let counting = Counting::of(arrangement.bytes, how.report);
        let home = file.as_ref().map_or(Home::Memory(&counting), Home::File);
        let weights = fill::weights(&self.plan, loader, how.compute, home)?;
        let vision = self.vision.as_ref().map(|vision| vision.load(&self.catalogue, loader));
        Ok((weights, vision.transpose()?, unsettled.flatten()))
    }

    /// The checkpoint asks for crops of long pictures, which are not made.
    pub(crate) fn wants_crops(&self) -> bool {
        self.vision.as_ref().is_some_and(TowerPlan::wants_crops)
    }
}

/// Reads what the tensors of a GGUF file say about the model.
fn described(catalogue: &Catalogue) -> Result<spec::gguf::Described> {
    let embedding = catalogue.tensors.get("token_embd.weight");
    let factors = ["rope_freqs", "rope_factors_short", "rope_factors_long"];
    let [freqs, short, long] = factors.map(|name| rope_factors(catalogue, name));
    Ok(spec::gguf::Described {
        vocab_size: embedding.and_then(|entry| entry.shape.first().copied()).unwrap_or_default(),
        has_head: catalogue.has("output.weight"),
        has_bias: catalogue.has("blk.0.attn_q.bias"),
        has_query_norm: catalogue.has("blk.0.attn_q_norm.weight"),
        rope_factors: [freqs?, short?, long?],
    })
}

fn rope_factors(catalogue: &Catalogue, name: &str) -> Result<Option<Vec<f32>>> {
    let name = format!("{name}.weight");
    let Some(entry) = catalogue.tensors.get(&name) else { return Ok(None) };
    let count = entry.bytes / size_of::<f32>();
    if entry.element != Element::Numbers(Format::F32) || count > spec::gguf::FACTORS_MAX {
        let (element, shape) = (&entry.element, &entry.shape);
        let problem = format!("tensor '{name}' holds {element} of the shape {shape:?}, no factors");
        return Err(malformed(catalogue.file(entry), problem));
    }
    let (entry, elements) = (entry.clone(), 0..count);
    let vector = Vector { name, entry, format: Format::F32, elements, plus_one: false };
    Loader::new(catalogue).vector(&vector).map(Some)
}
