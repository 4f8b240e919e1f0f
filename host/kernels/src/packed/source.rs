//! The stored integers of a block, before its scales make them weights. The layouts are those of
//! [`Format`].

use crate::Format;

/// Writes the integers of one block, all of them non-negative.
pub(super) fn integers(format: Format, block: &[u8], out: &mut [u8]) {
    match format {
        Format::Int4 { .. } => halves(&block[3..], out),
        Format::Int4Wide { .. } => halves(&block[5..], out),
        Format::Int8 { .. } => out.copy_from_slice(&block[5..]),
        Format::Q4_0 => halves(&block[2..], out),
        Format::Q4_1 => halves(&block[4..], out),
        Format::Q5_0 => fifths(&block[2..6], &block[6..], out),
        Format::Q5_1 => fifths(&block[4..8], &block[8..], out),
        Format::Q8_0 => {
            for (out, byte) in out.iter_mut().zip(&block[2..]) {
                *out = byte ^ 0x80;
            }
        }
        Format::Q4K => super_block(&[0; 32], &block[16..], out),
        Format::Q5K => super_block(&block[16..48], &block[48..], out),
        Format::Q6K => six_bits(block, out),
        Format::F32 | Format::F16 | Format::Bf16 => {}
    }
}

/// Low nibbles are the first half, high ones the second.
fn halves(nibbles: &[u8], out: &mut [u8]) {
    let (low, high) = out.split_at_mut(out.len() / 2);
    for ((byte, low), high) in nibbles.iter().zip(low).zip(high) {
        (*low, *high) = (byte & 15, byte >> 4);
    }
}

fn fifths(bits: &[u8], nibbles: &[u8], out: &mut [u8]) {
    halves(nibbles, out);
    for (i, out) in out.iter_mut().enumerate() {
        *out |= (bits[i / 8] >> (i % 8) & 1) << 4;
    }
}

/// Bit `i` of `fifths[j]` is the fifth of weight `j` of step `i`.
fn super_block(fifths: &[u8], nibbles: &[u8], out: &mut [u8]) {
    for (step, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (nibbles, shift) = (&nibbles[step / 2 * 32..][..32], step % 2 * 4);
        for ((out, byte), fifth) in out.iter_mut().zip(nibbles).zip(fifths) {
            *out = byte >> shift & 15 | (fifth >> step & 1) << 4;
        }
    }
}

fn six_bits(block: &[u8], out: &mut [u8]) {
    for (step, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (side, row) = (step / 4, step % 4);
        let low = &block[side * 64 + row % 2 * 32..][..32];
        let high = &block[128 + side * 32..][..32];
        for ((out, low), high) in out.iter_mut().zip(low).zip(high) {
            *out = low >> (row / 2 * 4) & 15 | (high >> (row * 2) & 3) << 4;
        }
    }
}
