//! Units of packed weights to a [`Panel`]. Written once in safe code that LLVM vectorises, compiled for
//! every row of the table; all of it is inlined for that.

use super::{
    layout::{Head, Layout},
    panel::Panel,
};
use crate::{
    blocking::{DEPTH, ROWS, STEP},
    rows::float::half,
};

/// Bytes of four inputs of all rows.
const QUAD: usize = 4 * ROWS;

/// Fills the panel with whole units, as many as `packed` has and at most the panel holds.
#[inline(always)]
pub(crate) fn expand(layout: Layout, packed: &[u8], panel: &mut Panel) {
    expand_by(expand_head, layout, packed, panel);
}

/// The same, with another way to write the scales of a unit, which begins some inputs into the panel.
#[inline(always)]
pub(crate) fn expand_by(
    open: impl Fn(Layout, &[u8], usize, &mut Panel),
    layout: Layout,
    packed: &[u8],
    panel: &mut Panel,
) {
    let mut depth = 0;
    for unit in packed.chunks_exact(layout.unit_bytes()) {
        let (head, steps) = unit.split_at(layout.head_bytes());
        open(layout, head, depth, panel);
        for step in steps.chunks_exact(layout.step_bytes()) {
            let quads =
                &mut panel.quants[depth / DEPTH].as_chunks_mut::<8>().0[depth % DEPTH / STEP];
            match layout.bits {
                4 => nibbles(step, quads),
                5 => five_bits(step, quads),
                6 => six_bits(step, quads),
                _ => bytes(step, quads),
            }
            depth += STEP;
        }
    }
    panel.blocks = depth.div_ceil(DEPTH);
    // Inputs that are not there are zero in the activations; their scales only have to be numbers.
    if !depth.is_multiple_of(DEPTH) {
        let last = panel.blocks - 1;
        panel.factors[last][depth % DEPTH / layout.shared..].fill([0.0; ROWS]);
        panel.minima[last][depth % DEPTH / layout.shared..].fill([0.0; ROWS]);
    }
}

#[inline(always)]
fn nibbles(step: &[u8], quads: &mut [[u8; QUAD]; STEP / 4]) {
    for (eight, [low, high]) in step.as_chunks::<QUAD>().0.iter().zip(quads.as_chunks_mut().0) {
        for ((byte, low), high) in eight.iter().zip(low).zip(high) {
            (*low, *high) = (byte & 15, byte >> 4);
        }
    }
}

#[inline(always)]
fn five_bits(step: &[u8], quads: &mut [[u8; QUAD]; STEP / 4]) {
    let (fifths, step) = step.split_at(QUAD);
    nibbles(step, quads);
    for (index, quad) in quads.iter_mut().enumerate() {
        for (quant, fifth) in quad.iter_mut().zip(fifths) {
            *quant |= (fifth >> index & 1) << 4;
        }
    }
}

#[inline(always)]
fn six_bits(step: &[u8], quads: &mut [[u8; QUAD]; STEP / 4]) {
    let (uppers, step) = step.split_at(2 * QUAD);
    nibbles(step, quads);
    for (index, quad) in quads.iter_mut().enumerate() {
        for (quant, upper) in quad.iter_mut().zip(&uppers[index / 4 * QUAD..]) {
            *quant |= (upper >> (index % 4 * 2) & 3) << 4;
        }
    }
}

#[inline(always)]
fn bytes(step: &[u8], quads: &mut [[u8; QUAD]; STEP / 4]) {
    for (bytes, quad) in step.as_chunks().0.iter().zip(quads) {
        *quad = *bytes;
    }
}

/// Writes the scales and minima of a unit that begins `depth` inputs into the panel.
#[inline(always)]
pub(crate) fn expand_head(layout: Layout, head: &[u8], depth: usize, panel: &mut Panel) {
    let (block, first) = (depth / DEPTH, depth % DEPTH / layout.shared);
    let (factors, minima) = (&mut panel.factors[block], &mut panel.minima[block]);
    match layout.head {
        Head::HalfZero => {
            let (scales, zeros) = head.split_at(2 * ROWS);
            halves(scales, &mut factors[first]);
            zero_minima(zeros, &factors[first], &mut minima[first]);
        }
        Head::SingleZero => {
            let (scales, zeros) = head.split_at(4 * ROWS);
            singles(scales, &mut factors[first]);
            zero_minima(zeros, &factors[first], &mut minima[first]);
        }
        Head::SingleByteZero => {
            let (scales, zeros) = head.split_at(4 * ROWS);
            singles(scales, &mut factors[first]);
            for row in 0..ROWS {
                minima[first][row] = factors[first][row] * f32::from(zeros[row]);
            }
        }
        Head::Half => halves(head, &mut factors[first]),
        Head::HalfMinimum => {
            halves(&head[..2 * ROWS], &mut factors[first]);
            halves(&head[2 * ROWS..], &mut minima[first]);
            minima[first].iter_mut().for_each(|minimum| *minimum = -*minimum);
        }
        Head::Factors => return expand_factors(head, block, panel),
        Head::ByteFactors => return expand_byte_factors(head, block, panel),
    }
    // A group of 64 has two scales where there is one for every 32.
    if layout.depth / layout.shared == 2 {
        (factors[first + 1], minima[first + 1]) = (factors[first], minima[first]);
    }
}

#[inline(always)]
fn halves(bytes: &[u8], out: &mut [f32; ROWS]) {
    for (bytes, out) in bytes.as_chunks().0.iter().zip(out) {
        *out = half(u16::from_le_bytes(*bytes));
    }
}

#[inline(always)]
fn singles(bytes: &[u8], out: &mut [f32; ROWS]) {
    for (bytes, out) in bytes.as_chunks().0.iter().zip(out) {
        *out = f32::from_le_bytes(*bytes);
    }
}

#[inline(always)]
fn zero_minima(zeros: &[u8], factors: &[f32; ROWS], minima: &mut [f32; ROWS]) {
    for row in 0..ROWS / 2 {
        minima[row] = f32::from(zeros[row] & 15) * factors[row];
        minima[row + ROWS / 2] = f32::from(zeros[row] >> 4) * factors[row + ROWS / 2];
    }
}

/// The 6-bit factors of two blocks.
#[inline(always)]
fn expand_factors(head: &[u8], block: usize, panel: &mut Panel) {
    let (mut scales, mut minima) = ([0.0; ROWS], [0.0; ROWS]);
    halves(&head[..2 * ROWS], &mut scales);
    halves(&head[2 * ROWS..4 * ROWS], &mut minima);
    let words: &[[u8; 4]] = head[4 * ROWS..].as_chunks().0;
    let (tops, factors) = (&words[2 * ROWS..], &mut panel.factors[block..]);
    for step in 0..DEPTH / STEP * 2 {
        let (side, shift) = (step / 4, 8 * (step % 4));
        let lows = &words[side * ROWS..][..ROWS];
        let (factors, least) =
            (&mut factors[side][step % 4], &mut panel.minima[block + side][step % 4]);
        for row in 0..ROWS {
            let low = u32::from_le_bytes(lows[row]) >> shift;
            let top = u32::from_le_bytes(tops[row]) >> (shift + 4 * side);
            factors[row] = scales[row] * (low & 15 | (top & 3) << 4) as i32 as f32;
            least[row] = minima[row] * (low >> 4 & 15 | (top & 12) << 2) as i32 as f32;
        }
    }
}

/// The 8-bit factors of two blocks.
#[inline(always)]
fn expand_byte_factors(head: &[u8], block: usize, panel: &mut Panel) {
    let mut scales = [0.0; ROWS];
    halves(&head[..2 * ROWS], &mut scales);
    let bytes: &[[u8; ROWS]] = head[2 * ROWS..].as_chunks().0;
    let factors = panel.factors[block..].iter_mut().flatten();
    for (bytes, factors) in bytes.iter().zip(factors) {
        for row in 0..ROWS {
            factors[row] = scales[row] * f32::from(bytes[row] as i8);
        }
    }
}
