//! Unpacking of GGUF's block formats. The layouts are those of `ggml-common.h` in ggml; every function
//! takes whole blocks and is checked against candle's dequantisation by the engine's tests.

use super::float::half;

/// Calls `unpack` for each block of `BYTES` packed bytes and `LEN` weights.
#[inline(always)]
fn each<const BYTES: usize, const LEN: usize>(
    packed: &[u8],
    out: &mut [f32],
    unpack: impl Fn(&[u8; BYTES], &mut [f32; LEN]),
) {
    for (block, out) in packed.as_chunks().0.iter().zip(out.as_chunks_mut().0) {
        unpack(block, out);
    }
}

/// The f16 at byte `at` of a block.
#[inline(always)]
fn half_at(block: &[u8], at: usize) -> f32 {
    half(u16::from_le_bytes([block[at], block[at + 1]]))
}

/// 32 nibbles: the low ones first, then the high ones. They are spread to bytes before they become
/// floats, which LLVM vectorises far better than both at once.
#[inline(always)]
fn nibbles(bytes: &[u8], out: &mut [f32; 32], weight: impl Fn(usize, u8) -> f32) {
    let mut quants = [0; 32];
    let (low, high) = quants.split_at_mut(16);
    for ((byte, low), high) in bytes.iter().zip(low).zip(high) {
        (*low, *high) = (byte & 15, byte >> 4);
    }
    for (i, (out, quant)) in out.iter_mut().zip(quants).enumerate() {
        *out = weight(i, quant);
    }
}

/// Scale f16, nibbles.
#[inline(always)]
pub(super) fn q4_0(packed: &[u8], out: &mut [f32]) {
    each(packed, out, |block: &[u8; 18], out| {
        let scale = half_at(block, 0);
        nibbles(&block[2..], out, |_, q| (i32::from(q) - 8) as f32 * scale);
    });
}

/// Scale f16, minimum f16, nibbles.
#[inline(always)]
pub(super) fn q4_1(packed: &[u8], out: &mut [f32]) {
    each(packed, out, |block: &[u8; 20], out| {
        let (scale, min) = (half_at(block, 0), half_at(block, 2));
        nibbles(&block[4..], out, |_, q| f32::from(q) * scale + min);
    });
}

/// The fifth bit of weight `i`, in place.
#[inline(always)]
fn fifth_bit(bits: &[u8], i: usize) -> i32 {
    let bits = u32::from_le_bytes([bits[0], bits[1], bits[2], bits[3]]);
    ((bits >> i & 1) << 4) as i32
}

/// Scale f16, fifth bits u32, nibbles.
#[inline(always)]
pub(super) fn q5_0(packed: &[u8], out: &mut [f32]) {
    each(packed, out, |block: &[u8; 22], out| {
        let scale = half_at(block, 0);
        nibbles(&block[6..], out, |i, q| {
            (i32::from(q) + fifth_bit(&block[2..6], i) - 16) as f32 * scale
        });
    });
}

/// Scale f16, minimum f16, fifth bits u32, nibbles.
#[inline(always)]
pub(super) fn q5_1(packed: &[u8], out: &mut [f32]) {
    each(packed, out, |block: &[u8; 24], out| {
        let (scale, min) = (half_at(block, 0), half_at(block, 2));
        nibbles(&block[8..], out, |i, q| {
            (i32::from(q) + fifth_bit(&block[4..8], i)) as f32 * scale + min
        });
    });
}

/// Scale f16, signed bytes.
#[inline(always)]
pub(super) fn q8_0(packed: &[u8], out: &mut [f32]) {
    each(packed, out, |block: &[u8; 34], out: &mut [f32; 32]| {
        let scale = half_at(block, 0);
        for (out, quants) in out.as_chunks_mut::<8>().0.iter_mut().zip(block[2..].as_chunks().0) {
            *out = quants.map(|quant: u8| f32::from(quant as i8) * scale);
        }
    });
}

/// The 6-bit scale and minimum of sub-block `i` of 8, out of 12 bytes: the first four of each lie in the
/// low six bits of bytes 0-3 and 4-7; the others have four bits in bytes 8-11 and two on top of the first.
#[inline(always)]
fn scale_and_min(bytes: &[u8], i: usize) -> (f32, f32) {
    let (scale, min) = if i < 4 {
        (bytes[i] & 63, bytes[i + 4] & 63)
    } else {
        let (scale_top, min_top) = (bytes[i - 4] >> 6 << 4, bytes[i] >> 6 << 4);
        (bytes[i + 4] & 15 | scale_top, bytes[i + 4] >> 4 | min_top)
    };
    (f32::from(scale), f32::from(min))
}

/// The shared body of the 4- and 5-bit formats of 256 weights: scale f16, minimum f16, 12 bytes of
/// scales and minima, ..., 128 bytes of nibbles. `fifth(sub_block, i)` is the fifth bit, in place.
#[inline(always)]
fn super_block(
    block: &[u8],
    quants: &[u8],
    out: &mut [f32; 256],
    fifth: impl Fn(usize, usize) -> u8,
) {
    let (scale, min) = (half_at(block, 0), half_at(block, 2));
    for (i, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (sub_scale, sub_min) = scale_and_min(&block[4..16], i);
        let (scale, min) = (scale * sub_scale, min * sub_min);
        let (quants, shift) = (&quants[i / 2 * 32..][..32], i % 2 * 4);
        for (j, (out, quant)) in out.iter_mut().zip(quants).enumerate() {
            *out = f32::from(quant >> shift & 15 | fifth(i, j)) * scale - min;
        }
    }
}

/// Scale f16, minimum f16, scales and minima, nibbles.
#[inline(always)]
pub(super) fn q4_k(packed: &[u8], out: &mut [f32]) {
    each(packed, out, |block: &[u8; 144], out| super_block(block, &block[16..], out, |_, _| 0));
}

/// Scale f16, minimum f16, scales and minima, fifth bits (bit `i` of byte `j`), nibbles.
#[inline(always)]
pub(super) fn q5_k(packed: &[u8], out: &mut [f32]) {
    each(packed, out, |block: &[u8; 176], out| {
        super_block(block, &block[48..], out, |i, j| (block[16 + j] >> i & 1) << 4);
    });
}

/// Low nibbles (128 bytes), high bit pairs (64 bytes), sixteen i8 scales, scale f16. Each half of the
/// block holds 128 weights in four rows of 32.
#[inline(always)]
pub(super) fn q6_k(packed: &[u8], out: &mut [f32]) {
    each(packed, out, |block: &[u8; 210], out: &mut [f32; 256]| {
        let scale = half_at(block, 208);
        for (row, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            let (side, row) = (row / 4, row % 4);
            let low = &block[side * 64 + row % 2 * 32..][..32];
            let high = &block[128 + side * 32..][..32];
            let scales = &block[192 + side * 8 + row * 2..][..2];
            for (i, out) in out.iter_mut().enumerate() {
                let quant = low[i] >> (row / 2 * 4) & 15 | (high[i] >> (row * 2) & 3) << 4;
                let scale = scale * f32::from(scales[i / 16] as i8);
                *out = (i32::from(quant) - 32) as f32 * scale;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use crate::{Format, Rows};

    /// Decodes one block made of `parts` and compares weights at given places.
    fn check(format: Format, parts: &[&[u8]], expect: &[(usize, f32)]) {
        let (len, bytes) = format.block();
        let block = parts.concat();
        assert_eq!(block.len(), bytes, "{format}: the test's block has a wrong length");
        let mut out = vec![0.0; len];
        Rows::new(format, 1, len, block).unwrap().decode(0, &mut out);
        for (at, expect) in expect {
            assert_eq!(out[*at], *expect, "{format}[{at}]");
        }
    }

    fn f16(value: f32) -> [u8; 2] {
        half::f16::from_f32(value).to_le_bytes()
    }

    /// `len` bytes, all `fill` but the given ones.
    fn bytes(len: usize, fill: u8, set: &[(usize, u8)]) -> Vec<u8> {
        let mut bytes = vec![fill; len];
        set.iter().for_each(|(at, value)| bytes[*at] = *value);
        bytes
    }

    #[test]
    fn blocks_of_32_by_hand() {
        let quants = bytes(16, 0, &[(0, 0xf9), (15, 0x1c)]);
        let (half, one) = (f16(0.5), f16(1.0));
        let low = [(0, 0.5), (16, 3.5), (15, 2.0), (31, -3.5), (1, -4.0)];
        check(Format::Q4_0, &[&half, &quants], &low);
        let low = [(0, 5.5), (16, 8.5), (15, 7.0), (31, 1.5), (1, 1.0)];
        check(Format::Q4_1, &[&half, &one, &quants], &low);
        let fifth = [0b1, 0, 0, 0b1000_0000];
        let low = [(0, 4.5), (16, -0.5), (15, -2.0), (31, 0.5), (1, -8.0)];
        check(Format::Q5_0, &[&half, &fifth, &quants], &low);
        let low = [(0, 13.5), (16, 8.5), (15, 7.0), (31, 9.5), (1, 1.0)];
        check(Format::Q5_1, &[&half, &one, &fifth, &quants], &low);
        let quants = bytes(32, 0, &[(0, 0x80), (31, 127)]);
        check(Format::Q8_0, &[&half, &quants], &[(0, -64.0), (1, 0.0), (31, 63.5)]);
    }

    #[test]
    fn blocks_of_256_by_hand() {
        let (d, min) = (f16(0.5), f16(1.0));
        // Sub-block 0: scale 2, minimum 1. Sub-block 5: scale 3 | 1 << 4, minimum 2 | 2 << 4.
        let scales = bytes(12, 0, &[(0, 2), (4, 1), (1, 0b0100_0000), (5, 0b1000_0000), (9, 0x23)]);
        let quants = bytes(128, 0, &[(0, 0x0f), (64, 0x90)]);
        let expect = [(0, 14.0), (1, -1.0), (160, 9.0 * 9.5 - 34.0), (161, -34.0)];
        check(Format::Q4K, &[&d, &min, &scales, &quants], &expect);
        let fifth = bytes(32, 0, &[(0, 0b10_0001)]);
        let expect = [(0, 30.0), (1, -1.0), (160, 25.0 * 9.5 - 34.0), (161, -34.0)];
        check(Format::Q5K, &[&d, &min, &scales, &fifth, &quants], &expect);
        // Weight 0: 5 | 2 << 4; weight 32 + 16: 3 << 4; weight 128 + 96 + 31: 7 | 1 << 4.
        let low = bytes(128, 0, &[(0, 5), (64 + 32 + 31, 0x70)]);
        let high = bytes(64, 0, &[(0, 2), (16, 0b1100), (32 + 31, 0b0100_0000)]);
        let scales = bytes(16, 0, &[(0, 2), (3, 0xff), (15, 4)]);
        let expect = [(0, 5.0), (1, -32.0), (48, -8.0), (255, -18.0), (254, -64.0)];
        check(Format::Q6K, &[&low, &high, &scales, &d], &expect);
    }
}
