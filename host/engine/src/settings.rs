//! What an operator declares about experts, already checked for form by whoever read it.

use std::{path::PathBuf, time::Duration};

use signalbox_confine::Program;
use signalbox_kernels::{Isa, KvFormat};

use crate::{
    KeepAlive,
    limits::{FleetLimits, TemplateLimits},
    memory::KvPlan,
};

/// The weight format the operator declared, or wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantization {
    /// AWQ: 4 bits in groups with zero points.
    Awq,
    /// GPTQ: not supported, kept so that it can be refused by name.
    Gptq,
    /// compressed-tensors, pack-quantized.
    CompressedTensors,
    /// Plain linears are quantised while they are loaded: 4 bits, a scale and a zero point for every 128
    /// inputs.
    Int4,
    /// The same in 8 bits, a scale for every 32 inputs.
    Int8,
}

impl Quantization {
    /// To what plain linears are to be quantised.
    pub(crate) fn bits(self) -> Option<Bits> {
        match self {
            Self::Awq | Self::Gptq | Self::CompressedTensors => None,
            Self::Int4 => Some(Bits::Four),
            Self::Int8 => Some(Bits::Eight),
        }
    }
}

/// To how many bits linears are quantised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bits {
    /// A scale and a zero point for every 128 inputs.
    Four,
    /// A scale for every 32 inputs, symmetric.
    Eight,
}

/// The number type the operator asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DType {
    /// Whatever the checkpoint says.
    #[default]
    Auto,
    /// IEEE half.
    Float16,
    /// Brain float.
    BFloat16,
    /// IEEE single.
    Float32,
}

/// What an expert's KV cache is to keep keys and values as. Arithmetic is float32 in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KvCacheDType {
    /// IEEE half; IEEE single where arithmetic is scalar, as on the reference path.
    #[default]
    Auto,
    /// IEEE single.
    Float32,
    /// IEEE half.
    Float16,
    /// 8 bits, with a scale for each token and head.
    Int8,
    /// 8-bit floats, in place of which there is [`Self::Int8`].
    Fp8,
}

impl KvCacheDType {
    /// What it comes to with these instructions.
    pub(crate) fn format(self, isa: Isa) -> KvFormat {
        match self {
            Self::Auto if isa == Isa::Scalar => KvFormat::F32,
            Self::Auto | Self::Float16 => KvFormat::F16,
            Self::Float32 => KvFormat::F32,
            Self::Int8 | Self::Fp8 => KvFormat::Int8,
        }
    }
}

/// One expert as declared.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpertSettings {
    /// The routable name, unique.
    pub id: String,
    /// A Hugging Face folder or a GGUF file.
    pub path: PathBuf,
    /// What it is for: `general`, `coding`, ...
    pub domain: String,
    /// The operator's words.
    pub description: String,
    /// Typical questions, in the operator's words.
    pub use_cases: Vec<String>,
    /// Higher is loaded earlier and preferred.
    pub priority: i32,
    /// Declared weight format; a packed checkpoint decides, a difference is a warning.
    pub quantization: Option<Quantization>,
    /// Declared number type.
    pub dtype: DType,
    /// What its KV cache keeps keys and values as.
    pub kv_cache_dtype: KvCacheDType,
    /// Bytes of its KV cache; `None` leaves it to the machine's memory.
    pub kv_bytes: Option<u64>,
    /// Whether tokens are guessed ahead where that pays. No reply changes by it.
    pub prompt_lookup: bool,
    /// Longest prompt plus reply in tokens; bounded by the checkpoint's own limit.
    pub max_model_len: Option<u32>,
    /// Sequences that run at once; more wait.
    pub max_num_seqs: u32,
    /// Never unloaded, whatever happens.
    pub pinned: bool,
    /// How long it stays in memory with nothing to do; `None` as long as the others.
    pub keep_alive: Option<KeepAlive>,
}

impl ExpertSettings {
    /// An expert of which nothing is said but its name and where it is: one sequence at a time, loaded when it is asked.
    pub fn new(id: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self {
            id: id.into(),
            path: path.into(),
            domain: "general".to_owned(),
            description: String::new(),
            use_cases: Vec::new(),
            priority: 0,
            quantization: None,
            dtype: DType::Auto,
            kv_cache_dtype: KvCacheDType::Auto,
            kv_bytes: None,
            prompt_lookup: true,
            max_model_len: None,
            max_num_seqs: 1,
            pinned: false,
            keep_alive: None,
        }
    }

    /// To what plain linears of its checkpoint are to be quantised.
    pub(crate) fn bits(&self) -> Option<Bits> {
        self.quantization.and_then(Quantization::bits)
    }

    /// What its KV cache is to hold, where a full-length sequence has so many tokens.
    pub(crate) fn kv_plan(&self, context: u32) -> KvPlan {
        KvPlan { context, sequences: self.max_num_seqs, bytes: self.kv_bytes }
    }
}

/// When experts are loaded and when they go.
#[derive(Debug, Clone, PartialEq)]
pub struct LazyLoading {
    /// `false` loads every expert at start and keeps them all.
    pub enabled: bool,
    /// Experts loaded at start, highest priority first.
    pub warmup_pool_size: usize,
    /// Experts in memory at once.
    pub max_loaded_experts: usize,
    /// An expert idle for this long is unloaded, where it has no time of its own; `None` never.
    pub auto_unload_after: Option<Duration>,
    /// Whether the expert that is likely to be asked next is loaded while nothing is asked.
    pub prefetch: bool,
}

/// The whole fleet as declared.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetSettings {
    /// The experts, in the operator's order.
    pub experts: Vec<ExpertSettings>,
    /// When they are loaded.
    pub lazy_loading: LazyLoading,
    /// Bytes that weights and KV caches may take together.
    pub memory_bytes_max: u64,
    /// What bounds them.
    pub limits: FleetLimits,
    /// Where chat templates are rendered.
    pub templates: Templates,
    /// Where packed weights are kept.
    pub pack_files: PackFiles,
}

/// Where packed weights are kept between loads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PackFiles {
    /// Nowhere: every load packs them anew, into memory.
    #[default]
    Off,
    /// In a file beside the checkpoint or, where that can't be written, in a folder of ours.
    Kept {
        /// The folder; `None` where there is none.
        cache: Option<PathBuf>,
        /// Of weights that take fewer bytes no file is made: they are packed as fast as it is read.
        bytes_min: u64,
    },
}

/// Where chat templates are rendered. They are programs of whoever published the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Templates {
    /// In child processes, the only place where their memory, time and depth are bounded.
    Child {
        /// A program that calls [`serve_template`](crate::serve_template).
        program: Program,
        /// What a child may use.
        limits: TemplateLimits,
    },
    /// In this process, which a hostile template can end. For tests and tools that trust their files.
    InProcess,
}
