//! Normalisation of activation rows.

use crate::Compute;

/// What an element costs beside a multiplication.
const COST: usize = 4;

/// Root mean square norm, row by row: `y = x / sqrt(mean(x²) + eps) * weight`. `x` and `y` are
/// `(n, weight.len())`. Models that multiply by `1 + weight` add the one when they are loaded.
///
/// # Panics
/// When the lengths disagree.
pub fn rms_norm(x: &[f32], weight: &[f32], eps: f32, y: &mut [f32], compute: &Compute) {
    rows(compute.ops().rms_norm, x, weight, eps, y, compute);
}

/// Layer norm without bias, row by row: `y = (x - mean(x)) / sqrt(variance(x) + eps) * weight`. `x` and
/// `y` are `(n, weight.len())`.
///
/// # Panics
/// When the lengths disagree.
pub fn layer_norm(x: &[f32], weight: &[f32], eps: f32, y: &mut [f32], compute: &Compute) {
    rows(compute.ops().layer_norm, x, weight, eps, y, compute);
}

/// Calls `op` for every row, lengths checked.
fn rows(
    op: fn(&[f32], &[f32], f32, &mut [f32]),
    x: &[f32],
    weight: &[f32],
    eps: f32,
    y: &mut [f32],
    compute: &Compute,
) {
    let width = weight.len();
    assert_eq!(x.len() % width, 0, "x is not whole rows of {width}");
    assert_eq!(x.len(), y.len(), "x and y differ in length");
    compute.rows(y, width, COST, |row, y| op(&x[row * width..][..width], weight, eps, y));
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: [f32; 6] = [1.0, 2.0, 3.0, -1.0, 0.0, 4.0];
    const WEIGHT: [f32; 3] = [1.0, 0.5, 2.0];

    /// `mean` is subtracted by the layer norm and not by the other.
    fn check(norm: fn(&[f32], &[f32], f32, &mut [f32], &Compute), subtract_mean: bool) {
        let mut y = [0.0; 6];
        norm(&X, &WEIGHT, 0.1, &mut y, &Compute::serving());
        for (i, y) in y.iter().enumerate() {
            let row = &X[i / 3 * 3..][..3];
            let mean = if subtract_mean { row.iter().sum::<f32>() / 3.0 } else { 0.0 };
            let square = row.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / 3.0;
            let naive = (X[i] - mean) / (square + 0.1).sqrt() * WEIGHT[i % 3];
            assert!((y - naive).abs() < 1e-6, "[{i}]: {y} for {naive}");
        }
    }

    #[test]
    fn both_agree_with_the_naive_formula() {
        check(rms_norm, false);
        check(layer_norm, true);
    }
}
