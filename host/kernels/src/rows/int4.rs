//! Unpacking of 4-bit groups with a zero point, the form AWQ checkpoints are loaded into.

use super::float::half;

/// Bytes of scale and zero point before a group's nibbles.
pub(super) const HEADER_BYTES: usize = 3;

#[inline(always)]
pub(super) fn int4(packed: &[u8], group: usize, out: &mut [f32]) {
    let groups = packed.chunks_exact(HEADER_BYTES + group / 2);
    for (bytes, out) in groups.zip(out.chunks_exact_mut(group)) {
        let (header, nibbles) = bytes.split_at(HEADER_BYTES);
        let scale = half(u16::from_le_bytes([header[0], header[1]]));
        let zero = i32::from(header[2]);
        let (low, high) = out.split_at_mut(group / 2);
        for (byte, low) in nibbles.iter().zip(low) {
            *low = (i32::from(byte & 15) - zero) as f32 * scale;
        }
        for (byte, high) in nibbles.iter().zip(high) {
            *high = (i32::from(byte >> 4) - zero) as f32 * scale;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Format, Rows};

    #[test]
    fn groups_have_their_own_scale_and_zero() {
        let mut bytes = half::f16::from_f32(0.5).to_le_bytes().to_vec();
        bytes.extend([8, 0xf0, 0x18]); // zero 8; weights 0, 8 | 15, 1
        bytes.extend(half::f16::from_f32(2.0).to_le_bytes());
        bytes.extend([0, 0x21, 0x43]);
        let rows = Rows::new(Format::Int4 { group: 4 }, 1, 8, bytes).unwrap();
        let mut out = [0.0; 8];
        rows.decode(0, &mut out);
        assert_eq!(out, [-4.0, 0.0, 3.5, -3.5, 2.0, 6.0, 4.0, 8.0]);
    }
}
