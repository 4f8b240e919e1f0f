//! Unpacking of GGUF's block formats. The layouts are those of `ggml-common.h` in ggml; every function
//! takes one block and is checked against candle's dequantisation by the engine's tests.

use std::hint::black_box;

use super::float::half;

/// Unpacks a row of blocks of `BYTES` packed bytes and `len` weights.
///
/// The length is hidden from LLVM on purpose: it would unroll loops of a known length before it
/// vectorises them, and what is unrolled stays scalar.
#[inline(always)]
pub(super) fn each<const BYTES: usize>(
    unpack: impl Fn(&[u8; BYTES], &mut [f32]),
    len: usize,
    packed: &[u8],
    out: &mut [f32],
) {
    for (block, out) in packed.as_chunks().0.iter().zip(out.chunks_exact_mut(black_box(len))) {
        unpack(block, out);
    }
}

/// The f16 at byte `at` of a block.
#[inline(always)]
fn half_at(block: &[u8], at: usize) -> f32 {
    half(u16::from_le_bytes([block[at], block[at + 1]]))
}

/// 32 nibbles, the low ones first, then the high ones, with a fifth bit each from a u32.
#[inline(always)]
fn five_bits(fifths: &[u8], bytes: &[u8]) -> [u8; 32] {
    let fifths = u32::from_le_bytes([fifths[0], fifths[1], fifths[2], fifths[3]]);
    let mut quants = [0; 32];
    let (low, high) = quants.split_at_mut(16);
    for ((byte, low), high) in bytes.iter().zip(low).zip(high) {
        (*low, *high) = (byte & 15, byte >> 4);
    }
    for (i, quant) in quants.iter_mut().enumerate() {
        *quant |= ((fifths >> i & 1) << 4) as u8;
    }
    quants
}

/// Scale f16, nibbles.
#[inline(always)]
pub(super) fn q4_0(block: &[u8; 18], out: &mut [f32]) {
    let scale = half_at(block, 0);
    let (low, high) = out.split_at_mut(out.len() / 2);
    for (out, byte) in low.iter_mut().zip(&block[2..]) {
        *out = (i32::from(byte & 15) - 8) as f32 * scale;
    }
    for (out, byte) in high.iter_mut().zip(&block[2..]) {
        *out = (i32::from(byte >> 4) - 8) as f32 * scale;
    }
}

/// Scale f16, minimum f16, nibbles.
#[inline(always)]
pub(super) fn q4_1(block: &[u8; 20], out: &mut [f32]) {
    let (scale, min) = (half_at(block, 0), half_at(block, 2));
    let (low, high) = out.split_at_mut(out.len() / 2);
    for (out, byte) in low.iter_mut().zip(&block[4..]) {
        *out = f32::from(byte & 15) * scale + min;
    }
    for (out, byte) in high.iter_mut().zip(&block[4..]) {
        *out = f32::from(byte >> 4) * scale + min;
    }
}

/// Scale f16, fifth bits u32, nibbles.
#[inline(always)]
pub(super) fn q5_0(block: &[u8; 22], out: &mut [f32]) {
    let scale = half_at(block, 0);
    for (out, quant) in out.iter_mut().zip(&five_bits(&block[2..6], &block[6..])) {
        *out = (i32::from(*quant) - 16) as f32 * scale;
    }
}

/// Scale f16, minimum f16, fifth bits u32, nibbles.
#[inline(always)]
pub(super) fn q5_1(block: &[u8; 24], out: &mut [f32]) {
    let (scale, min) = (half_at(block, 0), half_at(block, 2));
    for (out, quant) in out.iter_mut().zip(&five_bits(&block[4..8], &block[8..])) {
        *out = f32::from(*quant) * scale + min;
    }
}

/// Scale f16, signed bytes.
#[inline(always)]
pub(super) fn q8_0(block: &[u8; 34], out: &mut [f32]) {
    let scale = half_at(block, 0);
    for (out, quant) in out.iter_mut().zip(&block[2..]) {
        *out = f32::from(*quant as i8) * scale;
    }
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
/// scales and minima, ..., 128 bytes of nibbles. Bit `i` of `fifths[j]` is the fifth of weight `j` of
/// sub-block `i`.
#[inline(always)]
fn super_block(header: &[u8], fifths: &[u8], quants: &[u8], out: &mut [f32]) {
    let (scale, min) = (half_at(header, 0), half_at(header, 2));
    for (i, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (sub_scale, sub_min) = scale_and_min(&header[4..16], i);
        let (scale, min) = (scale * sub_scale, min * sub_min);
        let (quants, shift) = (&quants[i / 2 * 32..][..32], i % 2 * 4);
        for ((out, quant), fifth) in out.iter_mut().zip(quants).zip(fifths) {
            *out = f32::from(quant >> shift & 15 | (fifth >> i & 1) << 4) * scale - min;
        }
    }
}

/// Scale f16, minimum f16, scales and minima, nibbles.
#[inline(always)]
pub(super) fn q4_k(block: &[u8; 144], out: &mut [f32]) {
    super_block(&block[..16], &[0; 32], &block[16..], out);
}

/// Scale f16, minimum f16, scales and minima, fifth bits, nibbles.
#[inline(always)]
pub(super) fn q5_k(block: &[u8; 176], out: &mut [f32]) {
    super_block(&block[..16], &block[16..48], &block[48..], out);
}

/// Low nibbles (128 bytes), high bit pairs (64 bytes), sixteen i8 scales, scale f16. Each half of the
/// block holds 128 weights in four rows of 32.
#[inline(always)]
pub(super) fn q6_k(block: &[u8; 210], out: &mut [f32]) {
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
