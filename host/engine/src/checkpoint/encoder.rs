//! The checkpoint of an encoder: a Hugging Face folder of plain numbers, held against what its architecture needs
//! before a byte of its weights is read, like that of a decoder.

use std::path::{Path, PathBuf};

use signalbox_kernels::Compute;

use super::{
    Stored, fill,
    load::Loader,
    plan::{self, MatrixTensors, Vector},
    tensors::Tensors,
};
use crate::{
    encoder::{Encoder, EncoderLayer, EncoderWeights, Norm, ScoringHead, Sentences},
    files::{Catalogue, CheckpointError, Config, Source, WeightFile, malformed, safetensors},
    model::Linear,
    pack_progress::Counting,
    settings::Bits,
    spec::{self, EncoderSpec, Head},
};

/// What may stand before the names of all tensors.
const PREFIXES: [&str; 3] = ["", "bert.", "roberta."];
const WORDS: &str = "embeddings.word_embeddings";

type Result<T> = std::result::Result<T, CheckpointError>;
type Plan = EncoderWeights<plan::Matrix, Vector>;

/// What is known of an encoder from its headers.
pub(crate) struct EncoderCheckpoint {
    folder: PathBuf,
    spec: EncoderSpec,
    sentences: Sentences,
    catalogue: Catalogue,
    plan: Plan,
}

impl EncoderCheckpoint {
    /// Reads headers and checks them. With `bits`, linears are quantised while they are loaded; tables stay as they are.
    pub(crate) fn open(folder: &Path, bits: Option<Bits>) -> Result<Self> {
        let config = Config::read(&folder.join("config.json"))?;
        let spec = spec::read_encoder(&config)?;
        let sentences = Sentences::read(folder)?;
        let mut catalogue = safetensors::catalogue(folder)?;
        let mut plan = plan(&spec, &catalogue)?;
        if let Some(bits) = bits {
            plan.layers.iter_mut().flat_map(linears).for_each(|matrix| matrix.quantise(bits));
        }
        catalogue.files.iter_mut().for_each(WeightFile::close);
        Ok(Self { folder: folder.to_owned(), spec, sentences, catalogue, plan })
    }

    /// The architecture and its numbers.
    pub(crate) fn spec(&self) -> &EncoderSpec {
        &self.spec
    }

    /// How texts are pooled, and how long they may be.
    pub(crate) fn sentences(&self) -> &Sentences {
        &self.sentences
    }

    /// Where the tokenizer comes from.
    pub(crate) fn source(&self) -> Source {
        Source::Folder(self.folder.clone())
    }

    /// What the weights really are.
    pub(crate) fn stored(&self) -> Stored {
        let first = self.plan.layers.first().map_or(&self.plan.words, |layer| &layer.query.weight);
        Stored { format: first.format, origin: first.tensors.origin(false) }
    }

    /// Bytes that [`Self::load`] will hold.
    pub(crate) fn weight_bytes(&self) -> u64 {
        let linear = |linear: &Linear<plan::Matrix, Vector>| {
            linear.weight.bytes() + linear.bias.as_ref().map_or(0, vector_bytes)
        };
        let norm = |norm: &Norm<Vector>| vector_bytes(&norm.weight) + vector_bytes(&norm.bias);
        let layer = |layer: &EncoderLayer<plan::Matrix, Vector>| {
            let EncoderLayer { query, key, value, output, up, down, .. } = layer;
            let linears: usize = [query, key, value, output, up, down].map(linear).iter().sum();
            linears + norm(&layer.attention_norm) + norm(&layer.feed_forward_norm)
        };
        let Plan { words, positions, kinds, norm: first, layers, head } = &self.plan;
        let tables: usize = [words, positions, kinds].map(plan::Matrix::bytes).iter().sum();
        let head = head.as_ref().map_or(0, |head| {
            linear(&head.dense) + vector_bytes(&head.weight) + vector_bytes(&head.bias)
        });
        (tables + norm(first) + layers.iter().map(layer).sum::<usize>() + head) as u64
    }

    /// Copies the weights into memory in the form that `compute` multiplies.
    pub(crate) fn load(&self, compute: &Compute) -> Result<Encoder> {
        let loader = Loader::new(&self.catalogue);
        let counting = Counting::of(self.weight_bytes() as usize, &|_| {});
        let weights = fill::encoder(&self.plan, loader, compute, &counting);
        // A file that was written to meanwhile may look damaged, so that is said first.
        self.catalogue.files.iter().try_for_each(WeightFile::check_unchanged)?;
        let (spec, pooling) = (self.spec.clone(), self.sentences.pooling);
        Ok(Encoder::new(spec, weights?, pooling, compute.clone()))
    }
}

fn linears(layer: &mut EncoderLayer<plan::Matrix, Vector>) -> [&mut plan::Matrix; 6] {
    let EncoderLayer { query, key, value, output, up, down, .. } = layer;
    [query, key, value, output, up, down].map(|linear| &mut linear.weight)
}

fn vector_bytes(vector: &Vector) -> usize {
    vector.elements.len() * size_of::<f32>()
}

fn plan(spec: &EncoderSpec, catalogue: &Catalogue) -> Result<Plan> {
    let there = |prefix: &&str| catalogue.has(&format!("{prefix}{WORDS}.weight"));
    let prefix = PREFIXES.into_iter().find(there).unwrap_or_default();
    let tensors = Tensors { catalogue, architecture: spec.architecture };
    let planner = Planner { spec, tensors, prefix };
    let hidden = spec.hidden;
    Ok(Plan {
        words: planner.matrix(WORDS, [spec.vocab_size as usize, hidden])?,
        positions: planner.matrix("embeddings.position_embeddings", [spec.positions, hidden])?,
        kinds: planner.matrix("embeddings.token_type_embeddings", [spec.kinds, hidden])?,
        norm: planner.norm("embeddings.LayerNorm")?,
        layers: (0..spec.layers).map(|index| planner.layer(index)).collect::<Result<_>>()?,
        head: spec.head.map(|head| planner.head(head)).transpose()?,
    })
}

struct Planner<'a> {
    spec: &'a EncoderSpec,
    tensors: Tensors<'a>,
    prefix: &'static str,
}

impl Planner<'_> {
    /// A classifier's names have nothing before them.
    fn head(&self, head: Head) -> Result<ScoringHead<plan::Matrix, Vector>> {
        let Self { spec, tensors, .. } = *self;
        let (hidden, bare) = (spec.hidden, Planner { spec, tensors, prefix: "" });
        let (planner, dense, out) = match head {
            Head::Pooler => (self, "pooler.dense", "classifier"),
            Head::Classifier => (&bare, "classifier.dense", "classifier.out_proj"),
        };
        Ok(ScoringHead {
            dense: planner.linear(dense, [hidden, hidden])?,
            weight: bare.numbers(&format!("{out}.weight"), &[1, hidden])?,
            bias: bare.numbers(&format!("{out}.bias"), &[1])?,
        })
    }

    fn layer(&self, index: usize) -> Result<EncoderLayer<plan::Matrix, Vector>> {
        let (hidden, wide) = (self.spec.hidden, self.spec.intermediate);
        let name = |name: &str| format!("encoder.layer.{index}.{name}");
        let attention = |part: &str| self.linear(&name(part), [hidden, hidden]);
        Ok(EncoderLayer {
            query: attention("attention.self.query")?,
            key: attention("attention.self.key")?,
            value: attention("attention.self.value")?,
            output: attention("attention.output.dense")?,
            attention_norm: self.norm(&name("attention.output.LayerNorm"))?,
            up: self.linear(&name("intermediate.dense"), [wide, hidden])?,
            down: self.linear(&name("output.dense"), [hidden, wide])?,
            feed_forward_norm: self.norm(&name("output.LayerNorm"))?,
        })
    }

    fn linear(&self, name: &str, shape: [usize; 2]) -> Result<Linear<plan::Matrix, Vector>> {
        let bias = Some(self.vector(&format!("{name}.bias"), shape[0])?);
        Ok(Linear { weight: self.matrix(name, shape)?, bias })
    }

    fn norm(&self, name: &str) -> Result<Norm<Vector>> {
        let vector = |part: &str| self.vector(&format!("{name}.{part}"), self.spec.hidden);
        Ok(Norm { weight: vector("weight")?, bias: vector("bias")? })
    }

    fn matrix(&self, name: &str, [rows, cols]: [usize; 2]) -> Result<plan::Matrix> {
        let name = format!("{}{name}", self.prefix);
        let full_name = format!("{name}.weight");
        let entry = self.tensors.find(&full_name, &[rows, cols])?;
        let format = self.tensors.plain(&full_name, entry)?;
        if format.row_bytes(cols).is_none() {
            let problem = format!("tensor '{full_name}' has rows of {cols}, which are too long");
            return Err(malformed(self.tensors.file(entry), problem));
        }
        let tensors = MatrixTensors::Plain(entry.clone());
        Ok(plan::Matrix { name, format, rows: 0..rows, cols, tensors })
    }

    fn vector(&self, name: &str, len: usize) -> Result<Vector> {
        self.numbers(name, &[len])
    }

    /// A tensor of this shape, as so many numbers in a row.
    fn numbers(&self, name: &str, shape: &[usize]) -> Result<Vector> {
        let name = format!("{}{name}", self.prefix);
        let entry = self.tensors.find(&name, shape)?;
        let format = self.tensors.plain(&name, entry)?;
        let elements = 0..shape.iter().product();
        Ok(Vector { name, entry: entry.clone(), format, elements, plus_one: false })
    }
}
