//! Rows of a format to strips of a [`Layout`].

use std::array;

use super::{
    layout::{Head, Layout},
    source,
};
use crate::{
    Format, Rows,
    blocking::{ROWS, STEP},
};

/// Packs strip `strip` of `rows` into `out`; rows beyond the last are zero. False where a zero point is
/// beyond what the layout holds.
pub(super) fn pack(rows: &Rows, layout: Layout, strip: usize, out: &mut [u8]) -> bool {
    let (len, bytes) = rows.format().block();
    let first = strip * ROWS;
    let mut integers = vec![0; len];
    let mut fits = true;
    for place in 0..ROWS.min(rows.rows() - first) {
        for (index, block) in rows.packed(first + place).chunks_exact(bytes).enumerate() {
            source::integers(rows.format(), block, &mut integers);
            for (part, integers) in integers.chunks_exact(layout.depth.min(len)).enumerate() {
                let at = (index * len + part * layout.depth) / layout.depth;
                let unit = &mut out[at * layout.unit_bytes()..][..layout.unit_bytes()];
                let (head, steps) = unit.split_at_mut(layout.head_bytes());
                fits &= put_head(layout.head, rows.format(), block, place, head);
                let steps = steps.chunks_exact_mut(layout.step_bytes());
                for (integers, step) in integers.as_chunks::<STEP>().0.iter().zip(steps) {
                    put_step(layout.bits, integers, place, step);
                }
            }
        }
    }
    fits
}

/// The same for plain numbers, which always fit.
pub(super) fn pack_numbers(rows: &Rows, strip: usize, out: &mut [u8]) -> bool {
    match rows.format().block() {
        (_, 2) => interleave::<2>(rows, strip, out),
        _ => interleave::<4>(rows, strip, out),
    }
    true
}

/// Puts numbers of `BYTES` side by side, so many inputs at a time that those of all rows stay in the nearest
/// cache.
fn interleave<const BYTES: usize>(rows: &Rows, strip: usize, out: &mut [u8]) {
    const INPUTS: usize = 64;
    let first = strip * ROWS;
    for (part, out) in out.chunks_mut(INPUTS * ROWS * BYTES).enumerate() {
        for place in 0..ROWS.min(rows.rows() - first) {
            let weights = &rows.packed(first + place)[part * INPUTS * BYTES..];
            let inputs = out.as_chunks_mut::<BYTES>().0.iter_mut().skip(place).step_by(ROWS);
            for (weight, input) in weights.as_chunks::<BYTES>().0.iter().zip(inputs) {
                *input = *weight;
            }
        }
    }
}

/// Writes one row's part of a head, which was zero.
fn put_head(head: Head, format: Format, block: &[u8], place: usize, out: &mut [u8]) -> bool {
    let mut put = |at: usize, bytes: &[u8]| {
        out[at..at + bytes.len()].copy_from_slice(bytes);
    };
    match head {
        Head::HalfZero => {
            put(2 * place, &block[..2]);
            put_zero(block[2], place, &mut out[2 * ROWS..])
        }
        Head::SingleZero => {
            put(4 * place, &block[..4]);
            put_zero(block[4], place, &mut out[4 * ROWS..])
        }
        Head::SingleByteZero => {
            put(4 * place, &block[..4]);
            put(4 * ROWS + place, &block[4..5]);
            true
        }
        Head::Half => {
            put(2 * place, &block[..2]);
            true
        }
        Head::HalfMinimum => {
            put(2 * place, &block[..2]);
            put(2 * ROWS + 2 * place, &block[2..4]);
            true
        }
        Head::Factors => {
            put(2 * place, &block[..2]);
            put(2 * ROWS + 2 * place, &block[2..4]);
            for (word, bytes) in factors(&block[4..16]).into_iter().enumerate() {
                put(4 * ROWS + word * 4 * ROWS + 4 * place, &bytes);
            }
            true
        }
        Head::ByteFactors => {
            debug_assert_eq!(format, Format::Q6K);
            put(2 * place, &block[208..210]);
            for (index, factor) in block[192..208].iter().enumerate() {
                put(2 * ROWS + index * ROWS + place, &[*factor]);
            }
            true
        }
    }
}

/// Row `16 + i` shares a byte with row `i`.
fn put_zero(zero: u8, place: usize, out: &mut [u8]) -> bool {
    out[place % (ROWS / 2)] |= (zero & 15) << (place / (ROWS / 2) * 4);
    zero < 16
}

/// The three words of [`Head::Factors`] out of the twelve bytes of a block of 256: there the first four of
/// each kind lie in the low six bits of bytes 0-3 and 4-7, the others have four bits in bytes 8-11 and two on
/// top of the first.
fn factors(bytes: &[u8]) -> [[u8; 4]; 3] {
    let mut words = [[0; 4]; 3];
    for i in 0..4 {
        let (scale, minimum) = (bytes[i] & 63, bytes[4 + i] & 63);
        let later_scale = bytes[8 + i] & 15 | bytes[i] >> 6 << 4;
        let later_minimum = bytes[8 + i] >> 4 | bytes[4 + i] >> 6 << 4;
        words[0][i] = scale & 15 | (minimum & 15) << 4;
        words[1][i] = later_scale & 15 | (later_minimum & 15) << 4;
        let tops = scale >> 4 | minimum >> 4 << 2;
        words[2][i] = tops | (later_scale >> 4 | later_minimum >> 4 << 2) << 4;
    }
    words
}

/// Writes one row's part of a step: four inputs at a time, a byte of a word each.
fn put_step(bits: usize, integers: &[u8; STEP], place: usize, out: &mut [u8]) {
    let fours = integers.as_chunks::<4>().0;
    let words: [u32; STEP / 4] = array::from_fn(|four| u32::from_le_bytes(fours[four]));
    let lines = out.as_chunks_mut::<{ 4 * ROWS }>().0;
    let mut put = |line: usize, word: u32| {
        lines[line][4 * place..][..4].copy_from_slice(&word.to_le_bytes());
    };
    let nibbles = |eight: usize| {
        let [low, high] = [words[2 * eight], words[2 * eight + 1]].map(|word| word & 0x0f0f_0f0f);
        low | high << 4
    };
    let upper = |four: usize| words[four] >> 4 & 0x0f0f_0f0f;
    match bits {
        4 => (0..STEP / 8).for_each(|eight| put(eight, nibbles(eight))),
        5 => {
            put(0, (0..STEP / 4).fold(0, |fifths, four| fifths | upper(four) << four));
            (0..STEP / 8).for_each(|eight| put(1 + eight, nibbles(eight)));
        }
        6 => {
            for half in 0..2 {
                let four = |index| upper(4 * half + index) << (2 * index);
                put(half, (0..4).fold(0, |uppers, index| uppers | four(index)));
            }
            (0..STEP / 8).for_each(|eight| put(2 + eight, nibbles(eight)));
        }
        _ => (0..STEP / 4).for_each(|four| put(four, words[four])),
    }
}
