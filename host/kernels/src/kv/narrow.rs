//! f32 to the narrower numbers that a KV cache keeps.

use super::number::Half;

/// The greatest step of 8 bits.
const STEPS: f32 = 127.0;

/// IEEE halves, the nearest; see [`half`].
pub(super) fn halves(numbers: &[f32]) -> Vec<Half> {
    numbers.iter().map(|x| half(*x).to_le_bytes()).collect()
}

/// The nearest IEEE half, ties to even, or the end of its range. Without branches, so that a row of them
/// vectorises.
#[inline(always)]
fn half(x: f32) -> u16 {
    const GREATEST: f32 = 65_504.0;
    const LEAST_NORMAL: f32 = 1.0 / 16_384.0;
    /// Its last place is the least subnormal, so adding it rounds there.
    const ROUND: f32 = 0.5;
    const BIASES: u32 = (127 - 15) << 23;
    let (sign, size) = ((x.to_bits() >> 16) & 0x8000, x.abs());
    let within = if size > GREATEST { GREATEST } else { size };
    let bits = within.to_bits();
    let normal = bits.wrapping_sub(BIASES).wrapping_add(0x0fff + (bits >> 13 & 1)) >> 13;
    let subnormal = (within + ROUND).to_bits().wrapping_sub(ROUND.to_bits());
    let half = if within < LEAST_NORMAL { subnormal } else { normal };
    let half = if x.is_nan() { 0x7e00 } else { half };
    (sign | half) as u16
}

/// Heads in 8 bits, each with the scale of its greatest number. What is no number makes the scale none, so
/// that it is noticed.
pub(super) fn quantise(numbers: &[f32], head_dim: usize) -> (Vec<i8>, Vec<f32>) {
    /// Added to a small number, it leaves the nearest integer in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let (mut steps, mut scales) = (Vec::with_capacity(numbers.len()), Vec::new());
    for head in numbers.chunks_exact(head_dim) {
        let mut greatest = 0.0;
        for x in head {
            greatest = if x.abs() > greatest || x.is_nan() { x.abs() } else { greatest };
        }
        let inverse = if greatest > 0.0 { STEPS / greatest } else { 0.0 };
        steps.extend(head.iter().map(|x| (x * inverse + ROUND).to_bits() as i8));
        scales.push(greatest / STEPS);
    }
    (steps, scales)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_those_of_the_half_crate_within_its_range() {
        for bits in (0..=u32::MAX).step_by(4099) {
            let x = f32::from_bits(bits);
            let theirs = half::f16::from_f32(x.clamp(-65_504.0, 65_504.0));
            let ours = half::f16::from_bits(super::half(x));
            assert!(ours == theirs || x.is_nan() && ours.is_nan(), "{x:e}: {ours} for {theirs}");
        }
        let ties = [1.0 + 1.0 / 2048.0, 1.0 + 3.0 / 2048.0, 3.0 / 33_554_432.0, 65_519.9, -1e30];
        let halves = ties.map(|x| half::f16::from_bits(super::half(x)).to_f32());
        let even = [1.0, 1.0 + 2.0 / 1024.0, 2.0 / 16_777_216.0, 65_504.0, -65_504.0];
        assert_eq!(halves, even);
    }

    #[test]
    fn eight_bits_are_the_nearest_step_of_the_greatest_number() {
        let (steps, scales) = quantise(&[1.0, -2.0, 0.5, 0.0, 0.0, 0.0], 3);
        assert_eq!(steps, [64, -127, 32, 0, 0, 0]);
        assert_eq!(scales, [2.0 / 127.0, 0.0]);
        for odd in [f32::NAN, f32::INFINITY] {
            let (_, scales) = quantise(&[1.0, odd, 3.0], 3);
            assert!(!scales[0].is_finite(), "{odd} goes unnoticed");
        }
    }
}
