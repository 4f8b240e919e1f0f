//! Sums over f32, in safe code that LLVM vectorises: written once and compiled for every row of the
//! table. All of it must be `#[inline(always)]`: what is not inlined is compiled for the baseline.
//! Closures can't be, so inner loops do without.

/// Lanes of a wide register, and how many registers of partial sums hide the latency of an addition.
const LANES: usize = 8;
const REGISTERS: usize = 4;

/// `a * b + c`; in one rounding where `FMA` says that it costs no more.
#[inline(always)]
pub(crate) fn multiply_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// Sum of products, always in the same order for the same length.
#[inline(always)]
pub(crate) fn dot<const FMA: bool>(a: &[f32], b: &[f32]) -> f32 {
    let (a_chunks, a_rest) = a.as_chunks::<{ LANES * REGISTERS }>();
    let (b_chunks, b_rest) = b.as_chunks::<{ LANES * REGISTERS }>();
    let mut sums = [[0.0f32; LANES]; REGISTERS];
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for (register, sums) in sums.iter_mut().enumerate() {
            for (lane, sum) in sums.iter_mut().enumerate() {
                let at = register * LANES + lane;
                *sum = multiply_add::<FMA>(a[at], b[at], *sum);
            }
        }
    }
    // The rest has a sum of its own: an index into `sums` would keep them out of registers.
    let mut rest = 0.0;
    for (a, b) in a_rest.iter().zip(b_rest) {
        rest = multiply_add::<FMA>(*a, *b, rest);
    }
    let [first, second, third, fourth] = sums;
    let mut lanes = first;
    for (lane, sum) in lanes.iter_mut().enumerate() {
        *sum = (first[lane] + second[lane]) + (third[lane] + fourth[lane]);
    }
    lanes.iter().sum::<f32>() + rest
}

/// `out += factor * x`.
#[inline(always)]
pub(crate) fn add_scaled<const FMA: bool>(out: &mut [f32], factor: f32, x: &[f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out = multiply_add::<FMA>(factor, *x, *out);
    }
}

/// Root mean square norm of one row.
#[inline(always)]
pub(crate) fn rms_norm<const FMA: bool>(x: &[f32], weight: &[f32], eps: f32, y: &mut [f32]) {
    let mean_square = dot::<FMA>(x, x) / x.len() as f32;
    let factor = 1.0 / (mean_square + eps).sqrt();
    for ((y, x), weight) in y.iter_mut().zip(x).zip(weight) {
        *y = x * factor * weight;
    }
}

/// Layer norm of one row.
#[inline(always)]
pub(crate) fn layer_norm<const FMA: bool>(x: &[f32], weight: &[f32], eps: f32, y: &mut [f32]) {
    let (chunks, rest) = x.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for chunk in chunks {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *sum += x;
        }
    }
    let mean = (sums.iter().sum::<f32>() + rest.iter().sum::<f32>()) / x.len() as f32;
    for (y, x) in y.iter_mut().zip(x) {
        *y = x - mean;
    }
    let variance = dot::<FMA>(y, y) / x.len() as f32;
    let factor = 1.0 / (variance + eps).sqrt();
    for (y, weight) in y.iter_mut().zip(weight) {
        *y = *y * factor * weight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_agrees_with_the_plain_sum_at_every_length() {
        for len in 0..100 {
            let a: Vec<f32> = (0..len).map(|i| (i as f32 * 0.37).sin()).collect();
            let b: Vec<f32> = (0..len).map(|i| (i as f32 * 0.11).cos()).collect();
            let plain: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            for sum in [dot::<false>(&a, &b), dot::<true>(&a, &b)] {
                assert!((f64::from(sum) - plain).abs() < 1e-5, "length {len}: {sum} for {plain}");
            }
        }
    }
}
