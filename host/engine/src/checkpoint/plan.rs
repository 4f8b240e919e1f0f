//! What the architecture needs, held against what the files have: every tensor is found, its shape and
//! type are checked, and its memory is counted, before a byte of it is read.

use std::{collections::BTreeMap, ops::Range};

use signalbox_kernels::{Format, Heads};

use super::{
    names::{self, Name, Names},
    packed_tensors::{self, PackedTensors},
    quantise,
    quantization_config::QuantizationConfig,
    repack::Layout,
    stored::{Origin, Stored},
    tensors::Tensors,
};
use crate::{
    files::{Catalogue, CheckpointError, Entry, Kind, malformed},
    model::{Layer, Linear, Weights},
    settings::Bits,
    spec::{Biases, ModelSpec, QkNorm, Residual},
};

/// Where every tensor of the model lies.
pub(super) type Plan = Weights<Matrix, Vector>;

/// A packed matrix to be, all or some of the rows of a tensor.
#[derive(Debug)]
pub(super) struct Matrix {
    /// The name in the file, without `.weight`.
    pub(super) name: String,
    /// How it will be packed.
    pub(super) format: Format,
    /// Rows of the tensor that are taken.
    pub(super) rows: Range<usize>,
    /// Weights of a row.
    pub(super) cols: usize,
    /// The tensors it is made of.
    pub(super) tensors: MatrixTensors,
}

/// The tensors a matrix is made of.
#[derive(Debug)]
pub(super) enum MatrixTensors {
    /// One tensor, packed as it will be.
    Plain(Entry),
    /// Plain numbers that are quantised while they are loaded.
    Quantised {
        /// The tensor.
        entry: Entry,
        /// Its numbers.
        from: Format,
    },
    /// Several tensors that some tool has packed.
    Packed(Box<PackedTensors>),
}

/// An f32 vector to be, all or some elements of a tensor.
#[derive(Debug)]
pub(super) struct Vector {
    /// Its name in the file.
    pub(super) name: String,
    /// The tensor.
    pub(super) entry: Entry,
    /// Its numbers.
    pub(super) format: Format,
    /// Elements that are taken.
    pub(super) elements: Range<usize>,
    /// One is added to each.
    pub(super) plus_one: bool,
}

impl Matrix {
    /// Bytes it will hold. Sizes were bounded when the plan was made.
    pub(super) fn bytes(&self) -> usize {
        self.rows.len() * self.format.row_bytes(self.cols).unwrap_or_default()
    }

    /// Has plain numbers quantised while they are loaded. Where no group divides its rows, it stays as it is.
    pub(super) fn quantise(&mut self, bits: Bits) {
        let MatrixTensors::Plain(entry) = &self.tensors else { return };
        let plain = self.format.block().0 == 1;
        if let Some(format) = quantise::format(bits, self.cols).filter(|_| plain) {
            self.tensors = MatrixTensors::Quantised { entry: entry.clone(), from: self.format };
            self.format = format;
        }
    }
}

impl MatrixTensors {
    /// The tensor that stands for all it is made of.
    pub(super) fn entry(&self) -> &Entry {
        match self {
            Self::Plain(entry) | Self::Quantised { entry, .. } => entry,
            Self::Packed(packed) => &packed.scales,
        }
    }

    pub(super) fn origin(&self, gguf: bool) -> Origin {
        match self {
            Self::Plain(_) if gguf => Origin::Gguf,
            Self::Plain(_) => Origin::Plain,
            Self::Packed(packed) => match packed.layout {
                Layout::CompressedTensors { .. } => Origin::CompressedTensors,
                _ => Origin::Awq,
            },
            Self::Quantised { from, .. } => Origin::Quantised { from: *from },
        }
    }
}

type Result<T> = std::result::Result<T, CheckpointError>;

/// Makes the plan of a model.
pub(super) fn plan(
    spec: &ModelSpec,
    names: &Names,
    quantization: Option<QuantizationConfig>,
    catalogue: &Catalogue,
) -> Result<Plan> {
    let tensors = Tensors { catalogue, architecture: spec.architecture };
    let planner = Planner { spec, names, quantization, tensors };
    let vocab = spec.vocab_size as usize;
    let layers = (0..spec.layers.len()).map(|index| planner.layer(index)).collect::<Result<_>>()?;
    let head = || planner.whole(&names.head(), vocab, spec.hidden).map_err(untied);
    let head = (!spec.tied).then(head).transpose()?;
    Ok(Plan {
        embedding: planner.whole(&names.embedding(), vocab, spec.hidden)?,
        layers,
        final_norm: planner.norm(&names.final_norm(), spec.hidden)?,
        head,
    })
}

/// A head that is missing is mostly the embedding, and the configuration is wrong.
fn untied(error: CheckpointError) -> CheckpointError {
    if error.kind != Kind::Missing {
        return error;
    }
    let mend = "set \"tie_word_embeddings\" to true in config.json if the head is the embedding; if it \
                is not, fetch the checkpoint again";
    CheckpointError { mend: mend.to_owned(), ..error }
}

/// What most weights of the linears are. PackedTensors ones take so few bytes that a few plain ones beside them
/// would outweigh them.
pub(super) fn stored(plan: &Plan, gguf: bool) -> Stored {
    let mut weights = BTreeMap::new();
    for matrix in plan.layers.iter().flat_map(linears) {
        let stored = Stored { format: matrix.format, origin: matrix.tensors.origin(gguf) };
        weights.entry(stored.to_string()).or_insert((0, stored)).0 +=
            matrix.rows.len() * matrix.cols;
    }
    let most = weights.into_values().max_by_key(|(weights, _)| *weights);
    most.map_or(Stored { format: Format::F32, origin: Origin::Plain }, |(_, stored)| stored)
}

fn linears(layer: &Layer<Matrix, Vector>) -> [&Matrix; 7] {
    let Layer { query, key, value, output, gate, up, down, .. } = layer;
    [&query.weight, &key.weight, &value.weight, &output.weight, gate, up, down]
}

/// Has the plain linears of the layers quantised while they are loaded.
pub(super) fn quantise(plan: &mut Plan, bits: Bits) {
    for layer in &mut plan.layers {
        let Layer { query, key, value, output, gate, up, down, .. } = layer;
        let attention = [query, key, value, output].map(|linear| &mut linear.weight);
        attention.into_iter().chain([gate, up, down]).for_each(|matrix| matrix.quantise(bits));
    }
}

/// A head of plain numbers that takes more than this share of what a token reads is held in 8 bits as well.
const HEAD_SHARE: f64 = 0.1;
/// A narrower head is small whatever its share.
const HEAD_INPUTS_MIN: usize = 512;

/// Has a plain head quantised to 8 bits while it is loaded, where it would take a large share of the bytes of
/// each token. An embedding that serves as the head stays as it is beside that.
pub(super) fn narrow_head(plan: &mut Plan) {
    let head = plan.head.as_ref().unwrap_or(&plan.embedding);
    let layers: usize = plan.layers.iter().flat_map(linears).map(Matrix::bytes).sum();
    let share = head.bytes() as f64 / (layers + head.bytes()) as f64;
    let plain = head.format.block().0 == 1 && head.cols >= HEAD_INPUTS_MIN;
    let MatrixTensors::Plain(entry) = &head.tensors else { return };
    let format = quantise::format(Bits::Eight, head.cols).filter(|_| plain && share > HEAD_SHARE);
    let Some(format) = format else { return };
    let tensors = MatrixTensors::Quantised { entry: entry.clone(), from: head.format };
    let (name, rows, cols) = (head.name.clone(), head.rows.clone(), head.cols);
    plan.head = Some(Matrix { name, format, rows, cols, tensors });
}

/// Bytes of all matrices and vectors of a plan.
pub(super) fn weight_bytes(plan: &Plan) -> u64 {
    let vector = |vector: &Vector| vector.elements.len() * size_of::<f32>();
    let linear = |linear: &Linear<Matrix, Vector>| {
        linear.weight.bytes() + linear.bias.as_ref().map_or(0, vector)
    };
    let layer = |layer: &Layer<Matrix, Vector>| {
        let linears = [&layer.query, &layer.key, &layer.value, &layer.output].map(linear);
        let matrices = [&layer.gate, &layer.up, &layer.down].map(Matrix::bytes);
        let norms = [
            layer.query_norm.as_ref(),
            layer.key_norm.as_ref(),
            layer.post_attention_norm.as_ref(),
            layer.feed_forward_norm.as_ref(),
            layer.post_feed_forward_norm.as_ref(),
            Some(&layer.attention_norm),
        ];
        let norms: usize = norms.into_iter().flatten().map(vector).sum();
        linears.into_iter().chain(matrices).sum::<usize>() + norms
    };
    let layers: usize = plan.layers.iter().map(layer).sum();
    let head = plan.head.as_ref().map_or(0, Matrix::bytes);
    (plan.embedding.bytes() + head + layers + vector(&plan.final_norm)) as u64
}

struct Planner<'a> {
    spec: &'a ModelSpec,
    names: &'a Names,
    quantization: Option<QuantizationConfig>,
    tensors: Tensors<'a>,
}

impl Planner<'_> {
    fn layer(&self, index: usize) -> Result<Layer<Matrix, Vector>> {
        let Heads { heads, kv_heads, head_dim } = self.spec.heads;
        let (hidden, wide) = (self.spec.hidden, self.spec.intermediate);
        let (query, key_value) = (heads * head_dim, kv_heads * head_dim);
        let name = |name: Name| self.names.in_layer(index, name);
        let norm = |name: Name| self.norm(&self.names.in_layer(index, name), hidden);
        let norm_if = |wanted: bool, name: Name| wanted.then(|| norm(name)).transpose();
        let (sandwich, biases) = (self.spec.residual == Residual::Sandwich, self.spec.biases);
        let parallel = self.spec.residual == Residual::Parallel;
        let fed = if sandwich { names::PRE_FEED_FORWARD_NORM } else { names::FEED_FORWARD_NORM };

        let qkv = [query, key_value, key_value];
        let [q, k, v] =
            self.linears(index, [names::QUERY, names::KEY, names::VALUE], names::QKV, qkv);
        let [gate, up] = self.linears(index, [names::GATE, names::UP], names::GATE_UP, [wide; 2]);
        let biased = biases != Biases::None;
        Ok(Layer {
            attention_norm: norm(names::ATTENTION_NORM)?,
            query: self.linear(q, hidden, biased)?,
            key: self.linear(k, hidden, biased)?,
            value: self.linear(v, hidden, biased)?,
            query_norm: self.head_norm(&name(names::QUERY_NORM), heads)?,
            key_norm: self.head_norm(&name(names::KEY_NORM), kv_heads)?,
            output: self.linear(
                TensorRows::whole(name(names::OUTPUT), hidden),
                query,
                biases == Biases::All,
            )?,
            post_attention_norm: norm_if(sandwich, names::POST_ATTENTION_NORM)?,
            feed_forward_norm: norm_if(!parallel, fed)?,
            gate: self.matrix(gate, hidden)?,
            up: self.matrix(up, hidden)?,
            down: self.matrix(TensorRows::whole(name(names::DOWN), hidden), wide)?,
            post_feed_forward_norm: norm_if(sandwich, names::POST_FEED_FORWARD_NORM)?,
        })
    }

    /// Where neighbouring linears of `rows` each lie: in tensors of their own, or one behind the other.
    fn linears<const N: usize>(
        &self,
        layer: usize,
        split: [Name; N],
        fused: Name,
        rows: [usize; N],
    ) -> [TensorRows; N] {
        std::array::from_fn(|i| {
            if !self.spec.fused {
                return TensorRows::whole(self.names.in_layer(layer, split[i]), rows[i]);
            }
            let start = rows[..i].iter().sum();
            let name = self.names.in_layer(layer, fused);
            TensorRows { name, rows: start..start + rows[i], of: rows.iter().sum() }
        })
    }

    fn linear(
        &self,
        part: TensorRows,
        cols: usize,
        biased: bool,
    ) -> Result<Linear<Matrix, Vector>> {
        let bias = || {
            let name = format!("{}.bias", part.name);
            Ok(Vector { elements: part.rows.clone(), ..self.vector(&name, part.of, false)? })
        };
        let bias = biased.then(bias).transpose()?;
        Ok(Linear { weight: self.matrix(part, cols)?, bias })
    }

    fn whole(&self, name: &str, rows: usize, cols: usize) -> Result<Matrix> {
        self.matrix(TensorRows::whole(name.to_owned(), rows), cols)
    }

    fn matrix(&self, part: TensorRows, cols: usize) -> Result<Matrix> {
        let TensorRows { name, rows, of } = part;
        if let Some((format, packed)) =
            packed_tensors::find(self.tensors, self.quantization, &name, [of, cols])?
        {
            let tensors = MatrixTensors::Packed(Box::new(packed));
            return Ok(Matrix { name, format, rows, cols, tensors });
        }
        let full_name = format!("{name}.weight");
        let entry = self.tensors.find(&full_name, &[of, cols])?;
        let format = self.tensors.format(&full_name, entry)?;
        if format.row_bytes(cols).is_none() {
            let problem =
                format!("tensor '{full_name}' has rows of {cols}: not whole {format} blocks");
            return Err(malformed(self.tensors.file(entry), problem));
        }
        Ok(Matrix { name, format, rows, cols, tensors: MatrixTensors::Plain(entry.clone()) })
    }

    fn norm(&self, name: &str, len: usize) -> Result<Vector> {
        self.vector(&format!("{name}.weight"), len, self.spec.norm.plus_one)
    }

    fn head_norm(&self, name: &str, heads: usize) -> Result<Option<Vector>> {
        let head_dim = self.spec.heads.head_dim;
        let name = format!("{name}.weight");
        let plus_one = self.spec.norm.plus_one;
        match self.spec.qk_norm {
            QkNorm::None => Ok(None),
            QkNorm::Shared => self.vector(&name, head_dim, plus_one).map(Some),
            QkNorm::PerHead => {
                let entry = self.tensors.find(&name, &[heads, head_dim])?;
                let format = self.tensors.plain(&name, entry)?;
                let (entry, elements) = (entry.clone(), 0..heads * head_dim);
                Ok(Some(Vector { name, entry, format, elements, plus_one }))
            }
        }
    }

    fn vector(&self, name: &str, len: usize, plus_one: bool) -> Result<Vector> {
        let entry = self.tensors.find(name, &[len])?;
        let format = self.tensors.plain(name, entry)?;
        let (name, entry) = (name.to_owned(), entry.clone());
        Ok(Vector { name, entry, format, elements: 0..len, plus_one })
    }
}

/// Some rows of a tensor of `of` rows.
struct TensorRows {
    name: String,
    rows: Range<usize>,
    of: usize,
}

impl TensorRows {
    fn whole(name: String, rows: usize) -> Self {
        Self { name, rows: 0..rows, of: rows }
    }
}
