//! Unpacking of groups of 4 or 8 bits with a zero point, the form that AWQ, compressed-tensors and
//! checkpoints quantised while loading are held in.

use super::float::half;

/// Bytes of an f16 scale and a zero point before a group's weights.
pub(super) const HEADER_BYTES: usize = 3;
/// The same with an f32 scale.
pub(super) const WIDE_HEADER_BYTES: usize = 5;

#[inline(always)]
pub(super) fn int4(packed: &[u8], group: usize, out: &mut [f32]) {
    let groups = packed.chunks_exact(HEADER_BYTES + group / 2);
    for (bytes, out) in groups.zip(out.chunks_exact_mut(group)) {
        let (header, quants) = bytes.split_at(HEADER_BYTES);
        nibbles(half(u16::from_le_bytes([header[0], header[1]])), header[2], quants, out);
    }
}

#[inline(always)]
pub(super) fn int4_wide(packed: &[u8], group: usize, out: &mut [f32]) {
    let groups = packed.chunks_exact(WIDE_HEADER_BYTES + group / 2);
    for (bytes, out) in groups.zip(out.chunks_exact_mut(group)) {
        let (header, quants) = bytes.split_at(WIDE_HEADER_BYTES);
        nibbles(single(header), header[4], quants, out);
    }
}

#[inline(always)]
pub(super) fn int8(packed: &[u8], group: usize, out: &mut [f32]) {
    let groups = packed.chunks_exact(WIDE_HEADER_BYTES + group);
    for (bytes, out) in groups.zip(out.chunks_exact_mut(group)) {
        let (header, quants) = bytes.split_at(WIDE_HEADER_BYTES);
        let (scale, zero) = (single(header), i32::from(header[4]));
        for (quant, out) in quants.iter().zip(out) {
            *out = (i32::from(*quant) - zero) as f32 * scale;
        }
    }
}

/// The low nibbles are the first half of the group.
#[inline(always)]
fn nibbles(scale: f32, zero: u8, quants: &[u8], out: &mut [f32]) {
    let zero = i32::from(zero);
    let (low, high) = out.split_at_mut(out.len() / 2);
    for (byte, low) in quants.iter().zip(low) {
        *low = (i32::from(byte & 15) - zero) as f32 * scale;
    }
    for (byte, high) in quants.iter().zip(high) {
        *high = (i32::from(byte >> 4) - zero) as f32 * scale;
    }
}

#[inline(always)]
fn single(header: &[u8]) -> f32 {
    f32::from_le_bytes([header[0], header[1], header[2], header[3]])
}

#[cfg(test)]
mod tests {
    use crate::{Format, Rows};

    fn check(format: Format, bytes: Vec<u8>, expect: [f32; 8]) {
        let rows = Rows::new(format, 1, 8, bytes).unwrap();
        let mut out = [0.0; 8];
        rows.decode(0, &mut out);
        assert_eq!(out, expect, "{format}");
    }

    #[test]
    fn groups_have_their_own_scale_and_zero() {
        let expect = [-4.0, 0.0, 3.5, -3.5, 2.0, 6.0, 4.0, 8.0];
        let groups = |scale: &dyn Fn(f32) -> Vec<u8>| {
            let mut bytes = scale(0.5);
            bytes.extend([8, 0xf0, 0x18]); // zero 8; weights 0, 8 | 15, 1
            bytes.extend(scale(2.0));
            bytes.extend([0, 0x21, 0x43]);
            bytes
        };
        let half = groups(&|scale| half::f16::from_f32(scale).to_le_bytes().to_vec());
        check(Format::Int4 { group: 4 }, half, expect);
        let single = groups(&|scale| scale.to_le_bytes().to_vec());
        check(Format::Int4Wide { group: 4 }, single, expect);
    }

    #[test]
    fn bytes_have_the_whole_range_on_either_side_of_zero() {
        let mut bytes = 0.5f32.to_le_bytes().to_vec();
        bytes.extend([255, 0, 1, 254, 255]);
        bytes.extend(1e-9f32.to_le_bytes()); // less than any f16
        bytes.extend([0, 0, 1, 254, 255]);
        let expect = [-127.5, -127.0, -0.5, 0.0, 0.0, 1e-9, 254.0 * 1e-9, 255.0 * 1e-9];
        check(Format::Int8 { group: 4 }, bytes, expect);
    }
}
