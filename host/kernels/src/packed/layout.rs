//! How packed weights lie in memory.
//!
//! Rows are taken 32 at a time: a *strip*. A strip is a sequence of *units* of a few inputs each, so that
//! one pass over a strip reads memory from front to back. A unit is a head, which has the scales of all 32
//! rows side by side, and then its weights in *steps* of 32 inputs:
//!
//! - Four bits: four times 128 bytes, eight inputs each. Byte `4 * row + i` holds input `i` of the
//!   eight in its low nibble and input `4 + i` in its high one, so that a register of bytes is a register
//!   of four inputs for as many rows, which is what VNNI, tiles and SDOT multiply, and two of them
//!   interleaved are the eight inputs that SMMLA does.
//! - Five bits: before these, 128 bytes of fifth bits. Bit `2 * eight + half` of byte `4 * row + i` belongs
//!   to input `8 * eight + 4 * half + i`.
//! - Six bits: before these, twice 128 bytes of the upper two bits, for two eights each.
//! - Eight bits: eight times 128 bytes, four inputs each; byte `4 * row + i` holds input `i`.
//!
//! No format takes more bytes than in the file it comes from.

use crate::{
    Format,
    blocking::{ROWS, STEP},
};

/// What the head of a unit holds, and so what a weight is; `q` is as stored. Arrays are of 32 rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Head {
    /// f16 scales, zeros of 4 bits (row `i` low, row `16 + i` high in byte `i`): `(q - zero) * scale`.
    HalfZero,
    /// f32 scales, zeros as above.
    SingleZero,
    /// f32 scales, zeros of a byte: `(q - zero) * scale`.
    SingleByteZero,
    /// f16 scales: `(q - zero) * scale` with one zero for all.
    Half,
    /// f16 scales, f16 minima: `q * scale + minimum`.
    HalfMinimum,
    /// f16 scales, f16 minima, then for eight steps of 32 inputs 6-bit factors `f` of both:
    /// `q * scale * f - minimum * g`. Three words of 32 bits for each row: byte `i` of the first has the low
    /// bits of `f` (low nibble) and `g` of step `i`, of the second those of step `4 + i`, of the third the
    /// upper two of `f` and `g` of step `i` (low nibble), then of step `4 + i`.
    Factors,
    /// f16 scales, then for sixteen times 16 inputs an i8 factor `f`: `(q - 32) * scale * f`.
    ByteFactors,
}

/// How the weights of one matrix are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) head: Head,
    /// Bits of a stored weight: 4, 5, 6 or 8.
    pub(crate) bits: usize,
    /// Inputs of a unit, whole steps.
    pub(crate) depth: usize,
    /// What every stored weight is above its value, where the head has neither zeros nor minima.
    pub(crate) zero: i32,
    /// Inputs that share a scale: 16, 32 or 128.
    pub(crate) shared: usize,
}

impl Layout {
    /// The layout for rows of a format, if it is one of integers with a block that fits.
    pub(crate) fn of(format: Format) -> Option<Self> {
        let layout = |head, bits, depth, zero, shared| Self { head, bits, depth, zero, shared };
        let grouped = |head, bits, group: usize| {
            let depth = [128, 64, 32].into_iter().find(|depth| group.is_multiple_of(*depth))?;
            Some(layout(head, bits, depth, 0, if depth == 128 { 128 } else { 32 }))
        };
        match format {
            Format::F32 | Format::F16 | Format::Bf16 => None,
            Format::Int4 { group } => grouped(Head::HalfZero, 4, group),
            Format::Int4Wide { group } => grouped(Head::SingleZero, 4, group),
            Format::Int8 { group } => grouped(Head::SingleByteZero, 8, group),
            Format::Q4_0 => Some(layout(Head::Half, 4, 32, 8, 32)),
            Format::Q4_1 => Some(layout(Head::HalfMinimum, 4, 32, 0, 32)),
            Format::Q5_0 => Some(layout(Head::Half, 5, 32, 16, 32)),
            Format::Q5_1 => Some(layout(Head::HalfMinimum, 5, 32, 0, 32)),
            Format::Q8_0 => Some(layout(Head::Half, 8, 32, 128, 32)),
            Format::Q4K => Some(layout(Head::Factors, 4, 256, 0, 32)),
            Format::Q5K => Some(layout(Head::Factors, 5, 256, 0, 32)),
            Format::Q6K => Some(layout(Head::ByteFactors, 6, 256, 32, 16)),
        }
    }

    /// Bytes of a unit's head.
    pub(crate) fn head_bytes(self) -> usize {
        match self.head {
            Head::HalfZero => 2 * ROWS + ROWS / 2,
            Head::SingleZero => 4 * ROWS + ROWS / 2,
            Head::SingleByteZero => 5 * ROWS,
            Head::Half => 2 * ROWS,
            Head::HalfMinimum => 4 * ROWS,
            Head::Factors => 16 * ROWS,
            Head::ByteFactors => 18 * ROWS,
        }
    }

    /// Bytes of a step.
    pub(crate) fn step_bytes(self) -> usize {
        ROWS * STEP / 8 * self.bits
    }

    /// Bytes of a unit.
    pub(crate) fn unit_bytes(self) -> usize {
        self.head_bytes() + self.depth / STEP * self.step_bytes()
    }

    /// Whether scales come with something to subtract, rather than one zero for all.
    pub(crate) fn has_minima(self) -> bool {
        !matches!(self.head, Head::Half | Head::ByteFactors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_layout_takes_more_than_its_file() {
        for format in Format::SAMPLES {
            let Some(layout) = Layout::of(*format) else { continue };
            let (weights, bytes) = format.block();
            let ours = layout.unit_bytes() as f64 / (ROWS * layout.depth) as f64;
            assert!(ours <= bytes as f64 / weights as f64, "{format}: {ours} bytes a weight");
        }
        let bits = |layout: Layout| (layout.unit_bytes() * 8) as f64 / (32 * layout.depth) as f64;
        assert_eq!(Layout::of(Format::Int4 { group: 128 }).map(bits), Some(4.15625));
    }

    #[test]
    fn groups_that_do_not_divide_into_steps_have_none() {
        assert_eq!(Layout::of(Format::Int4 { group: 48 }), None);
        assert_eq!(Layout::of(Format::Int4 { group: 96 }).map(|layout| layout.depth), Some(32));
        assert_eq!(Layout::of(Format::Int8 { group: 256 }).map(|layout| layout.depth), Some(128));
    }
}
