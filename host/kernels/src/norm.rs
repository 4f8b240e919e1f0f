//! Normalisation of activation rows.

/// Root mean square norm, row by row: `y = x / sqrt(mean(x²) + eps) * weight`. `x` and `y` are
/// `(n, weight.len())`. Models that multiply by `1 + weight` add the one when they are loaded.
///
/// # Panics
/// When the lengths disagree.
pub fn rms_norm(x: &[f32], weight: &[f32], eps: f32, y: &mut [f32]) {
    for (x, y) in rows(x, weight, y) {
        let mean_square = x.iter().map(|x| x * x).sum::<f32>() / x.len() as f32;
        let factor = 1.0 / (mean_square + eps).sqrt();
        for ((y, x), weight) in y.iter_mut().zip(x).zip(weight) {
            *y = x * factor * weight;
        }
    }
}

/// Layer norm without bias, row by row: `y = (x - mean(x)) / sqrt(variance(x) + eps) * weight`. `x` and
/// `y` are `(n, weight.len())`.
///
/// # Panics
/// When the lengths disagree.
pub fn layer_norm(x: &[f32], weight: &[f32], eps: f32, y: &mut [f32]) {
    for (x, y) in rows(x, weight, y) {
        let mean = x.iter().sum::<f32>() / x.len() as f32;
        let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / x.len() as f32;
        let factor = 1.0 / (variance + eps).sqrt();
        for ((y, x), weight) in y.iter_mut().zip(x).zip(weight) {
            *y = (x - mean) * factor * weight;
        }
    }
}

/// The rows of both sides, lengths checked.
fn rows<'a>(
    x: &'a [f32],
    weight: &[f32],
    y: &'a mut [f32],
) -> impl Iterator<Item = (&'a [f32], &'a mut [f32])> {
    assert_eq!(x.len() % weight.len(), 0, "x is not whole rows of {}", weight.len());
    assert_eq!(x.len(), y.len(), "x and y differ in length");
    x.chunks_exact(weight.len()).zip(y.chunks_exact_mut(weight.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: [f32; 6] = [1.0, 2.0, 3.0, -1.0, 0.0, 4.0];
    const WEIGHT: [f32; 3] = [1.0, 0.5, 2.0];

    /// `mean` is subtracted by the layer norm and not by the other.
    fn check(norm: fn(&[f32], &[f32], f32, &mut [f32]), subtract_mean: bool) {
        let mut y = [0.0; 6];
        norm(&X, &WEIGHT, 0.1, &mut y);
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
