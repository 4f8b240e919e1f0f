//! Activations of a feed-forward block, most of them gated.

use crate::Compute;

/// What an element costs beside a multiplication.
const COST: usize = 16;

/// `gate = silu(gate) * up`, element by element; silu is `x / (1 + exp(-x))`.
///
/// # Panics
/// When the lengths disagree.
pub fn silu_gate(gate: &mut [f32], up: &[f32], compute: &Compute) {
    apply(compute.ops().silu_gate, gate, up, compute);
}

/// `gate = gelu(gate) * up`, element by element, in the tanh approximation that Gemma was trained with:
/// `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x³)))`.
///
/// # Panics
/// When the lengths disagree.
pub fn gelu_tanh_gate(gate: &mut [f32], up: &[f32], compute: &Compute) {
    apply(compute.ops().gelu_tanh_gate, gate, up, compute);
}

/// `x = gelu(x)`, element by element, as BERT was trained with it: `x / 2 * (1 + erf(x / sqrt(2)))`.
pub fn gelu(x: &mut [f32], compute: &Compute) {
    let ranges = compute.ranges(x.len(), 64, x.len() * COST);
    compute.split(x, 1, &ranges, |_, x| (compute.ops().gelu)(x));
}

fn apply(op: fn(&mut [f32], &[f32]), gate: &mut [f32], up: &[f32], compute: &Compute) {
    assert_eq!(gate.len(), up.len(), "gate and up differ in length");
    let ranges = compute.ranges(gate.len(), 64, gate.len() * COST);
    compute.split(gate, 1, &ranges, |range, gate| op(gate, &up[range]));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(gate: fn(&mut [f32], &[f32], &Compute), expect: &[(f32, f32)]) {
        for (x, expect) in expect {
            let mut out = [*x];
            gate(&mut out, &[2.0], &Compute::serving());
            assert!((out[0] - 2.0 * expect).abs() < 1e-5, "{x}: {} for {expect}", out[0]);
        }
    }

    #[test]
    fn known_values() {
        check(silu_gate, &[(0.0, 0.0), (1.0, 0.731_058_6), (-2.0, -0.238_405_84), (-200.0, 0.0)]);
        check(gelu_tanh_gate, &[(0.0, 0.0), (1.0, 0.841_192), (-1.0, -0.158_808), (20.0, 20.0)]);
    }

    #[test]
    fn the_error_function_is_that_of_the_tables() {
        let known = [
            (0.0, 0.0),
            (0.5, 0.345_731_23),
            (1.0, 0.841_344_8),
            (-1.0, -0.158_655_25),
            (-3.0, -0.004_049_694),
            (20.0, 20.0),
            (-20.0, 0.0),
        ];
        for compute in [Compute::serving(), Compute::scalar()] {
            let mut out = known.map(|(x, _)| x);
            gelu(&mut out, &compute);
            for (out, (x, expect)) in out.into_iter().zip(known) {
                assert!((out - expect).abs() < 3e-7, "{x}: {out} for {expect}");
            }
        }
    }
}
