//! The plain meanings of what is done element by element and row by row: with the library's exponential
//! and sums from front to back.

use crate::exp::ERFC;

/// Silu by the library's exponential.
pub(crate) fn silu_gate(gate: &mut [f32], up: &[f32]) {
    for (gate, up) in gate.iter_mut().zip(up) {
        *gate = *gate / (1.0 + (-*gate).exp()) * up;
    }
}

/// Gelu by the library's hyperbolic tangent.
pub(crate) fn gelu_tanh_gate(gate: &mut [f32], up: &[f32]) {
    /// sqrt(2 / pi)
    const SCALE: f32 = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;
    for (gate, up) in gate.iter_mut().zip(up) {
        let x = *gate;
        *gate = 0.5 * x * (1.0 + (SCALE * (x + 0.044715 * x * x * x)).tanh()) * up;
    }
}

/// Gelu by the error function, in f64.
pub(crate) fn gelu(x: &mut [f32]) {
    for x in x {
        let wide = f64::from(*x);
        let z = wide.abs() * std::f64::consts::FRAC_1_SQRT_2;
        let t = 1.0 / (1.0 + 0.5 * z);
        let sum = ERFC.iter().fold(0.0, |sum, power| sum * t + f64::from(*power));
        let tail = 0.5 * wide * t * (sum - z * z).exp();
        *x = if *x < 0.0 { tail as f32 } else { (wide - tail) as f32 };
    }
}

/// Scores to probabilities, in place.
pub(crate) fn softmax(scores: &mut [f32]) {
    let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        *score = (*score - max).exp();
        sum += *score;
    }
    let factor = 1.0 / sum;
    for score in scores {
        *score *= factor;
    }
}

/// Root mean square norm of one row.
pub(crate) fn rms_norm(x: &[f32], weight: &[f32], eps: f32, y: &mut [f32]) {
    let mean_square = x.iter().map(|x| x * x).sum::<f32>() / x.len() as f32;
    let factor = 1.0 / (mean_square + eps).sqrt();
    for ((y, x), weight) in y.iter_mut().zip(x).zip(weight) {
        *y = x * factor * weight;
    }
}

/// Layer norm of one row.
pub(crate) fn layer_norm(x: &[f32], weight: &[f32], eps: f32, y: &mut [f32]) {
    let mean = x.iter().sum::<f32>() / x.len() as f32;
    let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / x.len() as f32;
    let factor = 1.0 / (variance + eps).sqrt();
    for ((y, x), weight) in y.iter_mut().zip(x).zip(weight) {
        *y = (x - mean) * factor * weight;
    }
}
