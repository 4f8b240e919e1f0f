//! The exponential and what is made of it, without branches or calls, so that LLVM vectorises it. All of
//! it is inlined into the rows of the table; the scalar row has the library's exponential instead.

use crate::vector::multiply_add;

/// e to the `x`, to about one unit in the last place of f32; zero below -86.6.
///
/// `x = n ln 2 + r` with `|r| <= ln 2 / 2`; e to the `r` is a polynomial, and `n` goes to the exponent.
#[inline(always)]
pub(crate) fn exp<const FMA: bool>(x: f32) -> f32 {
    /// Where half the result leaves the normal numbers, and where the result leaves f32.
    const LOWEST: f32 = -86.6;
    const HIGHEST: f32 = 88.722_83;
    /// Added to a small number, it leaves the nearest integer in the low bits.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts, of which multiples of the first are exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    /// Minimax on ±ln 2 / 2, from the fifth power down (Cephes, `expf`).
    const POWERS: [f32; 6] =
        [1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
    let within = if x < HIGHEST { x } else { HIGHEST };
    let within = if within > LOWEST { within } else { LOWEST };
    let rounded = multiply_add::<FMA>(within, std::f32::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    let r = multiply_add::<FMA>(n, -LN_2[0], within);
    let r = multiply_add::<FMA>(n, -LN_2[1], r);
    let mut sum = POWERS[0];
    for power in &POWERS[1..] {
        sum = multiply_add::<FMA>(sum, r, *power);
    }
    let sum = multiply_add::<FMA>(sum, r * r, r) + 1.0;
    // Twice the half, for 2 to the 128 has no exponent.
    let half = ((rounded.to_bits() as i32 - ROUND.to_bits() as i32 + 126) << 23) as u32;
    let result = sum * f32::from_bits(half) * 2.0;
    let result = if x < LOWEST { 0.0 } else { result };
    let result = if x > HIGHEST { f32::INFINITY } else { result };
    if x.is_nan() { x } else { result }
}

/// `gate = silu(gate) * up`.
#[inline(always)]
pub(crate) fn silu_gate<const FMA: bool>(gate: &mut [f32], up: &[f32]) {
    for (gate, up) in gate.iter_mut().zip(up) {
        *gate = *gate / (1.0 + exp::<FMA>(-*gate)) * up;
    }
}

/// `gate = gelu(gate) * up`, as `x / (1 + exp(-2 u))` for `x / 2 * (1 + tanh(u))`.
#[inline(always)]
pub(crate) fn gelu_tanh_gate<const FMA: bool>(gate: &mut [f32], up: &[f32]) {
    /// 2 sqrt(2 / pi)
    const SCALE: f32 = 2.0 * std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;
    for (gate, up) in gate.iter_mut().zip(up) {
        let x = *gate;
        *gate = x / (1.0 + exp::<FMA>(-SCALE * (x + 0.044715 * x * x * x))) * up;
    }
}

/// The logarithm of the complementary error function of `z`, less `ln t - z²`, in powers of `t = 2 / (2 + z)`, from
/// the highest down: a Chebyshev fit that makes the function right to 1.2e-7 of itself (Numerical Recipes, `erfcc`).
pub(crate) const ERFC: [f32; 10] = [
    0.170_872_77,
    -0.822_152_23,
    1.488_515_9,
    -1.135_204,
    0.278_868_07,
    -0.186_288_06,
    0.096_784_18,
    0.374_091_96,
    1.000_023_7,
    -1.265_512_2,
];

/// `x = gelu(x)`: what the tail of the error function leaves of `x`, so that nothing cancels out.
#[inline(always)]
pub(crate) fn gelu<const FMA: bool>(x: &mut [f32]) {
    for x in x {
        let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
        let t = 1.0 / (1.0 + 0.5 * z);
        let mut sum = ERFC[0];
        for power in &ERFC[1..] {
            sum = multiply_add::<FMA>(sum, t, *power);
        }
        let tail = 0.5 * *x * t * exp::<FMA>(sum - z * z);
        *x = if *x < 0.0 { tail } else { *x - tail };
    }
}

/// Scores to probabilities, in place.
#[inline(always)]
pub(crate) fn softmax<const FMA: bool>(scores: &mut [f32]) {
    const LANES: usize = 16;
    let (chunks, rest) = scores.as_chunks_mut::<LANES>();
    let mut maxima = [f32::NEG_INFINITY; LANES];
    for chunk in &*chunks {
        for (max, score) in maxima.iter_mut().zip(chunk) {
            *max = if *score > *max { *score } else { *max };
        }
    }
    let max = maxima.iter().chain(&*rest).copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sums = [0.0; LANES];
    for chunk in chunks {
        for (sum, score) in sums.iter_mut().zip(chunk) {
            *score = exp::<FMA>(*score - max);
            *sum += *score;
        }
    }
    let mut sum = 0.0;
    for score in rest {
        *score = exp::<FMA>(*score - max);
        sum += *score;
    }
    let factor = 1.0 / (sums.iter().sum::<f32>() + sum);
    for score in scores {
        *score *= factor;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_that_of_the_library() {
        for i in -1000..=1000 {
            let x = i as f32 * 0.0866;
            for ours in [exp::<false>(x), exp::<true>(x)] {
                let theirs = f64::from(x).exp();
                assert!((f64::from(ours) / theirs - 1.0).abs() < 3e-7, "{x}: {ours} for {theirs}");
            }
        }
        assert_eq!([-87.0, -1e30, f32::NEG_INFINITY].map(exp::<true>), [0.0; 3]);
        assert_eq!([89.0, 1e30, f32::INFINITY].map(exp::<true>), [f32::INFINITY; 3]);
        assert_eq!(exp::<true>(0.0), 1.0);
        assert!(exp::<true>(f32::NAN).is_nan());
    }
}
