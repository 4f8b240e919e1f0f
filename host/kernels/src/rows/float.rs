//! Unpacking of plain numbers.

/// IEEE half to single, without branches, so that a row of them vectorises. `half` asks the CPU for
/// its features at every number, which does not.
#[inline(always)]
pub(crate) fn half(bits: u16) -> f32 {
    /// Moves the exponent bias from 15 to 127; a multiplication, so that subnormals come out right.
    const REBIAS: f32 = f32::from_bits((127 + 127 - 15) << 23);
    const INFINITE: u32 = 0x1f << 23;
    let bits = u32::from(bits);
    let magnitude = (bits & 0x7fff) << 13;
    let finite = (f32::from_bits(magnitude) * REBIAS).to_bits();
    let value = if magnitude >= INFINITE { magnitude | 0x7f80_0000 } else { finite };
    f32::from_bits(value | (bits & 0x8000) << 16)
}

#[inline(always)]
pub(super) fn f32(packed: &[u8], out: &mut [f32]) {
    for (bytes, out) in packed.as_chunks().0.iter().zip(out) {
        *out = f32::from_le_bytes(*bytes);
    }
}

#[inline(always)]
pub(super) fn f16(packed: &[u8], out: &mut [f32]) {
    for (bytes, out) in packed.as_chunks().0.iter().zip(out) {
        *out = half(u16::from_le_bytes(*bytes));
    }
}

#[inline(always)]
pub(super) fn bf16(packed: &[u8], out: &mut [f32]) {
    for (bytes, out) in packed.as_chunks().0.iter().zip(out) {
        *out = f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_half_and_every_bfloat_is_what_the_half_crate_says() {
        for bits in 0..=u16::MAX {
            let (mut ours, theirs) = ([0.0], half::f16::from_bits(bits).to_f32());
            super::f16(&bits.to_le_bytes(), &mut ours);
            assert_eq!(ours[0].is_nan(), theirs.is_nan(), "f16 {bits:#06x}");
            assert!(theirs.is_nan() || ours[0].to_bits() == theirs.to_bits(), "f16 {bits:#06x}");
            super::bf16(&bits.to_le_bytes(), &mut ours);
            let theirs = half::bf16::from_bits(bits).to_f32();
            assert!(theirs.is_nan() || ours[0].to_bits() == theirs.to_bits(), "bf16 {bits:#06x}");
        }
    }
}
