//! The arithmetic of seeing: SigLIP (arXiv 2303.15343) and Gemma 3's projector, on candle, whose matrix
//! product is fast where every row is needed at once. TowerWeights stay as the file has them and are
//! widened to f32 when they are used.

use candle_core::{CpuStorage, D, DType, Device, InplaceOp1, Layout, Result, Tensor};
use signalbox_kernels::{Compute, rms_norm, softmax};

use super::weights::{Affine, TowerLayer, TowerWeights};
use crate::spec::VisionSpec;

/// Query rows whose scores are held at once, of one head: all of them would be gigabytes.
const SCORE_ROWS: usize = 512;

/// Soft tokens `(tokens, hidden of the language model)` of `patches` as
/// [`Preparation`](super::Preparation) makes them.
pub(super) fn soft_tokens(
    spec: &VisionSpec,
    weights: &TowerWeights<Tensor>,
    patches: Vec<f32>,
) -> Result<Vec<f32>> {
    let count = spec.patches_per_side() * spec.patches_per_side();
    let inputs = patches.len() / count;
    let patches = Tensor::from_vec(patches, (count, inputs), &Device::Cpu)?;
    let seen = encode(spec, weights, &patches)?;
    project(spec, weights, &seen.flatten_all()?.to_vec1()?)
}

/// The tower: (patches, inputs) to (patches, hidden).
fn encode(spec: &VisionSpec, weights: &TowerWeights<Tensor>, patches: &Tensor) -> Result<Tensor> {
    let positions = weights.positions.to_dtype(DType::F32)?;
    let mut x = (linear(patches, &weights.patch)? + positions)?;
    for layer in &weights.layers {
        let normed = norm(&x, &layer.attention_norm, spec.eps)?;
        x = (x + attend(spec, layer, &normed)?)?;
        let normed = norm(&x, &layer.feed_forward_norm, spec.eps)?;
        let wide = linear(&normed, &layer.up)?.gelu()?; // (patches, intermediate)
        x = (x + linear(&wide, &layer.down)?)?;
    }
    norm(&x, &weights.final_norm, spec.eps)
}

/// Every patch sees every patch: (patches, hidden) to (patches, hidden).
fn attend(spec: &VisionSpec, layer: &TowerLayer<Tensor>, normed: &Tensor) -> Result<Tensor> {
    let queries = linear(normed, &layer.query)?;
    let keys = linear(normed, &layer.key)?;
    let values = linear(normed, &layer.value)?;
    let head_dim = spec.hidden / spec.heads;
    let part = |x: &Tensor, head: usize| x.narrow(1, head * head_dim, head_dim); // (patches, head_dim)
    let head = |head: usize| {
        attend_head(&part(&queries, head)?, &part(&keys, head)?, &part(&values, head)?)
    };
    let heads = (0..spec.heads).map(head).collect::<Result<Vec<_>>>()?;
    linear(&Tensor::cat(&heads, 1)?, &layer.output)
}

/// One head: all are (patches, head_dim).
fn attend_head(queries: &Tensor, keys: &Tensor, values: &Tensor) -> Result<Tensor> {
    let (patches, head_dim) = queries.dims2()?;
    let scale = 1.0 / (head_dim as f64).sqrt();
    let rows = (0..patches).step_by(SCORE_ROWS).map(|first| {
        let queries = queries.narrow(0, first, SCORE_ROWS.min(patches - first))?;
        let scores = queries.matmul(&keys.t()?)?.affine(scale, 0.0)?; // (rows, patches)
        scores.inplace_op1(&Softmax)?;
        scores.matmul(values)
    });
    Tensor::cat(&rows.collect::<Result<Vec<_>>>()?, 0)
}

/// Scores to probabilities, in place, row by row.
struct Softmax;

impl InplaceOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let (CpuStorage::F32(scores), Some((from, to))) = (storage, layout.contiguous_offsets())
        else {
            candle_core::bail!("scores are f32 rows, one behind the other");
        };
        let width = layout.shape().dim(D::Minus1)?;
        let compute = Compute::serving();
        scores[from..to].chunks_exact_mut(width).for_each(|row| softmax(row, &compute));
        Ok(())
    }
}

/// (rows, inputs) to (rows, outputs). A convolution's weight is flattened to a matrix.
fn linear(x: &Tensor, affine: &Affine<Tensor>) -> Result<Tensor> {
    let weight = affine.weight.flatten_from(1)?.to_dtype(DType::F32)?;
    x.matmul(&weight.t()?)?.broadcast_add(&affine.bias.to_dtype(DType::F32)?)
}

/// TowerLayer norm, row by row.
fn norm(x: &Tensor, affine: &Affine<Tensor>, eps: f32) -> Result<Tensor> {
    let centered = x.broadcast_sub(&x.mean_keepdim(1)?)?;
    let deviation = (centered.sqr()?.mean_keepdim(1)? + f64::from(eps))?.sqrt()?;
    let normed = centered.broadcast_div(&deviation)?;
    let scaled = normed.broadcast_mul(&affine.weight.to_dtype(DType::F32)?)?;
    scaled.broadcast_add(&affine.bias.to_dtype(DType::F32)?)
}

/// The projector: (patches, hidden) to (tokens, hidden of the language model).
fn project(spec: &VisionSpec, weights: &TowerWeights<Tensor>, seen: &[f32]) -> Result<Vec<f32>> {
    let pooled = pool(spec, seen);
    let weight = weights.soft_norm.to_dtype(DType::F32)?.to_vec1::<f32>()?;
    let weight: Vec<f32> = weight.iter().map(|weight| 1.0 + weight).collect();
    let mut normed = vec![0.0; pooled.len()];
    rms_norm(&pooled, &weight, spec.eps, &mut normed, &Compute::serving());
    let normed = Tensor::from_vec(normed, (spec.tokens(), spec.hidden), &Device::Cpu)?;
    normed.matmul(&weights.projection.to_dtype(DType::F32)?)?.flatten_all()?.to_vec1()
}

/// The mean of every square of patches that becomes one token: (patches, hidden) to (tokens, hidden).
fn pool(spec: &VisionSpec, seen: &[f32]) -> Vec<f32> {
    let (patches, side, hidden) = (spec.patches_per_side(), spec.tokens_per_side, spec.hidden);
    let reach = patches / side;
    let mut pooled = vec![0.0; side * side * hidden];
    for (patch, row) in seen.chunks_exact(hidden).enumerate() {
        let (down, across) = (patch / patches / reach, patch % patches / reach);
        let sums = &mut pooled[(down * side + across) * hidden..][..hidden];
        sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
    let share = (reach * reach) as f32;
    pooled.iter_mut().for_each(|sum| *sum /= share);
    pooled
}
