//! Gated activations of a feed-forward block.

/// `gate = silu(gate) * up`, element by element; silu is `x / (1 + exp(-x))`.
///
/// # Panics
/// When the lengths disagree.
pub fn silu_gate(gate: &mut [f32], up: &[f32]) {
    assert_eq!(gate.len(), up.len(), "gate and up differ in length");
    for (gate, up) in gate.iter_mut().zip(up) {
        *gate = *gate / (1.0 + (-*gate).exp()) * up;
    }
}

/// `gate = gelu(gate) * up`, element by element, in the tanh approximation that Gemma was trained with:
/// `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x³)))`.
///
/// # Panics
/// When the lengths disagree.
pub fn gelu_tanh_gate(gate: &mut [f32], up: &[f32]) {
    /// sqrt(2 / pi)
    const SCALE: f32 = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;
    assert_eq!(gate.len(), up.len(), "gate and up differ in length");
    for (gate, up) in gate.iter_mut().zip(up) {
        let x = *gate;
        *gate = 0.5 * x * (1.0 + (SCALE * (x + 0.044715 * x * x * x)).tanh()) * up;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(gate: fn(&mut [f32], &[f32]), expect: &[(f32, f32)]) {
        for (x, expect) in expect {
            let mut out = [*x];
            gate(&mut out, &[2.0]);
            assert!((out[0] - 2.0 * expect).abs() < 1e-5, "{x}: {} for {expect}", out[0]);
        }
    }

    #[test]
    fn known_values() {
        check(silu_gate, &[(0.0, 0.0), (1.0, 0.731_058_6), (-2.0, -0.238_405_84), (-200.0, 0.0)]);
        check(gelu_tanh_gate, &[(0.0, 0.0), (1.0, 0.841_192), (-1.0, -0.158_808), (20.0, 20.0)]);
    }
}
