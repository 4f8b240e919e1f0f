//! Activations rounded to bf16, for machines that multiply these.

/// Four inputs of two rows, those of the first row first, as the matrix products of bf16 take them.
pub(crate) type Brains = [u16; 8];

/// Rounds two rows of `cols` inputs, or one. What is beyond them is zero.
pub(super) fn pair(rows: &[f32], cols: usize, out: &mut [Brains]) {
    out.fill([0; 8]);
    for (row, x) in rows.chunks_exact(cols).enumerate() {
        for (x, out) in x.chunks(4).zip(&mut *out) {
            for (x, out) in x.iter().zip(&mut out[4 * row..]) {
                *out = brain(*x);
            }
        }
    }
}

/// The nearest bf16, of two the even one.
fn brain(x: f32) -> u16 {
    if x.is_nan() {
        return 0x7fc0;
    }
    let bits = x.to_bits();
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_as_the_half_crate_does() {
        let mut bits = 1u32;
        for _ in 0..100_000 {
            bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let x = f32::from_bits(bits);
            if !x.is_nan() {
                assert_eq!(brain(x), half::bf16::from_f32(x).to_bits(), "{x}");
            }
        }
        assert_eq!(brain(f32::MAX), half::bf16::INFINITY.to_bits());
        assert_eq!(brain(f32::NAN), half::bf16::NAN.to_bits());
    }

    #[test]
    fn pairs_are_filled_up_with_zeros() {
        let mut out = [[9; 8]; 2];
        pair(&[1.0, 2.0, 3.0, 4.0, 5.0, -1.0, -2.0, -3.0, -4.0, -5.0], 5, &mut out);
        assert_eq!(out[0], [0x3f80, 0x4000, 0x4040, 0x4080, 0xbf80, 0xc000, 0xc040, 0xc080]);
        assert_eq!(out[1], [0x40a0, 0, 0, 0, 0xc0a0, 0, 0, 0]);
        pair(&[1.0, 1.0, 1.0, 1.0, 1.0], 5, &mut out);
        assert_eq!(out[1], [0x3f80, 0, 0, 0, 0, 0, 0, 0]);
    }
}
