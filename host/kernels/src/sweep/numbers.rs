//! Sweep and stream for weights that are plain numbers: `out[r][n] += Σ_k x[r][k] * weights[k][n]`, one
//! input after the other, with f32 sums.

use crate::{
    Format,
    blocking::{PARTS, ROWS},
    rows::unpack,
    simd::{LANES, Simd},
    vector::multiply_add,
};

/// How far ahead of its use a line is asked for, in bytes.
const AHEAD: usize = 8192;

/// The plain meaning of [`sweep_numbers`].
pub(crate) fn sweep_plainly<const FMA: bool>(
    panel: &[[f32; ROWS]],
    x: &[f32],
    stride: usize,
    out: &mut [[f32; ROWS]],
) {
    for (row, out) in out.iter_mut().enumerate() {
        for (weights, x) in panel.iter().zip(&x[row * stride..]) {
            for (out, weight) in out.iter_mut().zip(weights) {
                *out = multiply_add::<FMA>(*x, *weight, *out);
            }
        }
    }
}

/// The plain meaning of [`stream_numbers`].
pub(crate) fn stream_plainly<const FMA: bool>(
    format: Format,
    packed: &[u8],
    x: &[f32],
    stride: usize,
    out: &mut [[f32; ROWS]],
) {
    let (_, bytes) = format.block();
    let mut weights = [[0.0; ROWS]];
    for (input, packed) in packed.chunks_exact(ROWS * bytes).enumerate() {
        unpack(format, packed, weights.as_flattened_mut());
        sweep_plainly::<FMA>(&weights, &x[input..], stride, out);
    }
}

/// Weights of a strip, input by input.
trait Weights: Copy {
    /// Inputs.
    fn depth(self) -> usize;
    /// The weights of one.
    fn load<S: Simd>(self, simd: S, input: usize) -> [S::Floats; PARTS];
    /// Where they lie.
    fn address(self, input: usize) -> *const u8;
}

/// Weights as f32.
#[derive(Clone, Copy)]
struct Singles<'a>(&'a [[f32; ROWS]]);
/// Packed bytes of f32.
#[derive(Clone, Copy)]
struct SingleBytes<'a>(&'a [[u8; 4 * ROWS]]);
/// Packed bytes of f16, or of bf16 where `BRAIN`.
#[derive(Clone, Copy)]
struct Halves<'a, const BRAIN: bool>(&'a [[u8; 2 * ROWS]]);

impl Weights for Singles<'_> {
    #[inline(always)]
    fn depth(self) -> usize {
        self.0.len()
    }

    #[inline(always)]
    fn load<S: Simd>(self, simd: S, input: usize) -> [S::Floats; PARTS] {
        let parts = self.0[input].as_chunks::<LANES>().0;
        [simd.load(&parts[0]), simd.load(&parts[1])]
    }

    #[inline(always)]
    fn address(self, input: usize) -> *const u8 {
        self.0[input].as_ptr().cast()
    }
}

impl Weights for SingleBytes<'_> {
    #[inline(always)]
    fn depth(self) -> usize {
        self.0.len()
    }

    #[inline(always)]
    fn load<S: Simd>(self, simd: S, input: usize) -> [S::Floats; PARTS] {
        let mut numbers = [0.0; ROWS];
        for (number, bytes) in numbers.iter_mut().zip(self.0[input].as_chunks().0) {
            *number = f32::from_le_bytes(*bytes);
        }
        let parts = numbers.as_chunks::<LANES>().0;
        [simd.load(&parts[0]), simd.load(&parts[1])]
    }

    #[inline(always)]
    fn address(self, input: usize) -> *const u8 {
        self.0[input].as_ptr()
    }
}

impl<const BRAIN: bool> Weights for Halves<'_, BRAIN> {
    #[inline(always)]
    fn depth(self) -> usize {
        self.0.len()
    }

    #[inline(always)]
    fn load<S: Simd>(self, simd: S, input: usize) -> [S::Floats; PARTS] {
        let parts = self.0[input].as_chunks::<{ 2 * LANES }>().0;
        if BRAIN {
            [simd.load_brain(&parts[0]), simd.load_brain(&parts[1])]
        } else {
            [simd.load_half(&parts[0]), simd.load_half(&parts[1])]
        }
    }

    #[inline(always)]
    fn address(self, input: usize) -> *const u8 {
        self.0[input].as_ptr()
    }
}

/// Adds to `out`, for each of its rows, the products of the panel with as many of the row's activations. Row
/// `r` begins at `x[r * stride]`.
#[inline(always)]
pub(crate) fn sweep_numbers<S: Simd>(
    simd: S,
    panel: &[[f32; ROWS]],
    x: &[f32],
    stride: usize,
    out: &mut [[f32; ROWS]],
) {
    for (index, out) in out.chunks_mut(S::TILE).enumerate() {
        tile::<S, _, false>(simd, Singles(panel), &x[index * S::TILE * stride..], stride, out);
    }
}

/// The same with a strip of packed weights, as they come from memory.
#[inline(always)]
pub(crate) fn stream_numbers<S: Simd>(
    simd: S,
    format: Format,
    packed: &[u8],
    x: &[f32],
    stride: usize,
    out: &mut [[f32; ROWS]],
) {
    for (index, out) in out.chunks_mut(S::TILE).enumerate() {
        let x = &x[index * S::TILE * stride..];
        let (singles, halves) = (packed.as_chunks().0, packed.as_chunks().0);
        match format {
            Format::F32 => tile::<S, _, true>(simd, SingleBytes(singles), x, stride, out),
            Format::F16 => tile::<S, _, true>(simd, Halves::<false>(halves), x, stride, out),
            _ => tile::<S, _, true>(simd, Halves::<true>(halves), x, stride, out),
        }
    }
}

#[inline(always)]
fn tile<S: Simd, W: Weights, const FAR: bool>(
    simd: S,
    weights: W,
    x: &[f32],
    stride: usize,
    out: &mut [[f32; ROWS]],
) {
    match out.len() {
        6 if S::TILE >= 6 => rows::<S, W, FAR, 6>(simd, weights, x, stride, out),
        5 if S::TILE >= 5 => rows::<S, W, FAR, 5>(simd, weights, x, stride, out),
        4 if S::TILE >= 4 => rows::<S, W, FAR, 4>(simd, weights, x, stride, out),
        3 if S::TILE >= 3 => rows::<S, W, FAR, 3>(simd, weights, x, stride, out),
        2 => rows::<S, W, FAR, 2>(simd, weights, x, stride, out),
        _ => rows::<S, W, FAR, 1>(simd, weights, x, stride, out),
    }
}

/// `R` rows at once; `FAR` where the weights come from memory.
#[inline(always)]
fn rows<S: Simd, W: Weights, const FAR: bool, const R: usize>(
    simd: S,
    weights: W,
    x: &[f32],
    stride: usize,
    out: &mut [[f32; ROWS]],
) {
    let depth = weights.depth();
    let mut inputs = [&x[..depth]; R];
    let mut sums = [[simd.splat(0.0); PARTS]; R];
    for row in 0..R {
        inputs[row] = &x[row * stride..][..depth];
        let parts = out[row].as_chunks::<LANES>().0;
        sums[row] = [simd.load(&parts[0]), simd.load(&parts[1])];
    }
    for input in 0..depth {
        if FAR {
            simd.prefetch(weights.address(input).wrapping_add(AHEAD));
        }
        let weights = weights.load(simd, input);
        for (sums, inputs) in sums.iter_mut().zip(inputs) {
            let x = simd.splat(inputs[input]);
            for (sum, weights) in sums.iter_mut().zip(weights) {
                *sum = simd.multiply_add(x, weights, *sum);
            }
        }
    }
    for (sums, out) in sums.into_iter().zip(out) {
        for (sum, out) in sums.into_iter().zip(out.as_chunks_mut::<LANES>().0) {
            simd.store(sum, out);
        }
    }
}
