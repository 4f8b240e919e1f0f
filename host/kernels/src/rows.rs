//! Weight matrices as they lie in memory: packed, row-major, never expanded as a whole.

mod blocks;
mod finite;
mod float;
mod groups;

use std::fmt;

use crate::cpu::{Body, fastest};
use blocks::each;

/// How the weights of a row are packed. A row is a sequence of blocks of a fixed number of weights.
/// All numbers are little-endian. The `Q` formats are those of GGUF, byte for byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// IEEE single.
    F32,
    /// IEEE half.
    F16,
    /// Brain float: the upper half of an IEEE single.
    Bf16,
    /// 4 bits with a scale and a zero point per group: `w = (q - zero) * scale`. A group is
    /// an f16 scale, a u8 zero point, then `group / 2` bytes: byte `i` holds weight `i` in its low
    /// nibble and weight `i + group / 2` in its high one.
    Int4 {
        /// Weights that share a scale; even.
        group: usize,
    },
    /// [`Self::Int4`] with an f32 scale, for checkpoints whose scales have more range than an f16.
    Int4Wide {
        /// Weights that share a scale; even.
        group: usize,
    },
    /// 8 bits with a scale and a zero point per group: `w = (q - zero) * scale`. A group is an f32
    /// scale, a u8 zero point, then one byte per weight.
    Int8 {
        /// Weights that share a scale.
        group: usize,
    },
    /// 32 weights, 4 bits, f16 scale, symmetric.
    Q4_0,
    /// 32 weights, 4 bits, f16 scale and minimum.
    Q4_1,
    /// 32 weights, 5 bits, f16 scale, symmetric.
    Q5_0,
    /// 32 weights, 5 bits, f16 scale and minimum.
    Q5_1,
    /// 32 weights, 8 bits, f16 scale.
    Q8_0,
    /// 256 weights, 4 bits, eight 6-bit scales and minima.
    Q4K,
    /// 256 weights, 5 bits, eight 6-bit scales and minima.
    Q5K,
    /// 256 weights, 6 bits, sixteen 8-bit scales.
    Q6K,
}

impl Format {
    /// Weights and bytes of one block.
    pub fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::Bf16 => (1, 2),
            Self::Int4 { group } => (group, groups::HEADER_BYTES + group / 2),
            Self::Int4Wide { group } => (group, groups::WIDE_HEADER_BYTES + group / 2),
            Self::Int8 { group } => (group, groups::WIDE_HEADER_BYTES + group),
            Self::Q4_0 => (32, 18),
            Self::Q4_1 => (32, 20),
            Self::Q5_0 => (32, 22),
            Self::Q5_1 => (32, 24),
            Self::Q8_0 => (32, 34),
            Self::Q4K => (256, 144),
            Self::Q5K => (256, 176),
            Self::Q6K => (256, 210),
        }
    }

    /// Bytes of a row of `cols` weights, or `None` when they are not whole blocks.
    pub fn row_bytes(self, cols: usize) -> Option<usize> {
        let (weights, bytes) = self.block();
        let whole = weights > 0 && cols.is_multiple_of(weights);
        if whole { (cols / weights).checked_mul(bytes) } else { None }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Int4 { group } | Self::Int4Wide { group } => return write!(f, "int4 g{group}"),
            Self::Int8 { group } => return write!(f, "int8 g{group}"),
            Self::Q4_0 => "q4_0",
            Self::Q4_1 => "q4_1",
            Self::Q5_0 => "q5_0",
            Self::Q5_1 => "q5_1",
            Self::Q8_0 => "q8_0",
            Self::Q4K => "q4_k",
            Self::Q5K => "q5_k",
            Self::Q6K => "q6_k",
        };
        f.write_str(name)
    }
}

/// Bytes that are not a matrix of the given shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShapeError(String);

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ShapeError {}

/// A packed weight matrix `(rows, cols)`: one row per output of a linear layer, or one per token of
/// an embedding. Its bytes never move while it lives.
#[derive(Debug)]
pub struct Rows {
    format: Format,
    rows: usize,
    cols: usize,
    row_bytes: usize,
    bytes: Box<[u8]>,
}

impl Rows {
    /// Takes `rows * format.row_bytes(cols)` packed bytes.
    ///
    /// # Errors
    /// When `cols` are not whole blocks, either side is zero, or the length is another.
    pub fn new(
        format: Format,
        rows: usize,
        cols: usize,
        bytes: Vec<u8>,
    ) -> Result<Self, ShapeError> {
        let row_bytes =
            format.row_bytes(cols).filter(|_| rows > 0 && cols > 0).ok_or_else(|| {
                ShapeError(format!("{rows} rows of {cols} weights can't be packed as {format}"))
            })?;
        if Some(bytes.len()) != rows.checked_mul(row_bytes) {
            let length = bytes.len();
            return Err(ShapeError(format!("{length} bytes are not {rows} rows of {row_bytes}")));
        }
        Ok(Self { format, rows, cols, row_bytes, bytes: bytes.into_boxed_slice() })
    }

    /// The first row that holds an infinity or a NaN, by its plain numbers or by the scales of its
    /// blocks. Reads every byte of plain numbers, and the heads of blocks only.
    pub fn first_not_finite(&self) -> Option<usize> {
        let mut rows = self.bytes.chunks_exact(self.row_bytes);
        rows.position(|row| !finite::is_finite(self.format, row))
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Weights of a row.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// How the weights are packed.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Where the bytes begin: the same for as long as the matrix lives.
    pub fn address(&self) -> usize {
        self.bytes.as_ptr().addr()
    }

    /// Writes row `row` as `(cols)` f32.
    ///
    /// # Panics
    /// When there is no such row or `out` has another length.
    pub fn decode(&self, row: usize, out: &mut [f32]) {
        assert_eq!(out.len(), self.cols, "out has the wrong length");
        fastest(Decode { rows: self, row, out });
    }

    /// [`Self::decode`] for callers that have picked their instructions already.
    #[inline(always)]
    pub(crate) fn unpack(&self, row: usize, out: &mut [f32]) {
        let packed = &self.bytes[row * self.row_bytes..][..self.row_bytes];
        let (len, _) = self.format.block();
        match self.format {
            Format::F32 => float::f32(packed, out),
            Format::F16 => float::f16(packed, out),
            Format::Bf16 => float::bf16(packed, out),
            Format::Int4 { group } => groups::int4(packed, group, out),
            Format::Int4Wide { group } => groups::int4_wide(packed, group, out),
            Format::Int8 { group } => groups::int8(packed, group, out),
            Format::Q4_0 => each(blocks::q4_0, len, packed, out),
            Format::Q4_1 => each(blocks::q4_1, len, packed, out),
            Format::Q5_0 => each(blocks::q5_0, len, packed, out),
            Format::Q5_1 => each(blocks::q5_1, len, packed, out),
            Format::Q8_0 => each(blocks::q8_0, len, packed, out),
            Format::Q4K => each(blocks::q4_k, len, packed, out),
            Format::Q5K => each(blocks::q5_k, len, packed, out),
            Format::Q6K => each(blocks::q6_k, len, packed, out),
        }
    }
}

struct Decode<'a> {
    rows: &'a Rows,
    row: usize,
    out: &'a mut [f32],
}

impl Body for Decode<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        self.rows.unpack(self.row, self.out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_refused(format: Format, rows: usize, cols: usize, bytes: usize, expect: &str) {
        let error = Rows::new(format, rows, cols, vec![0; bytes]).unwrap_err();
        assert!(error.to_string().contains(expect), "{error}");
    }

    #[test]
    fn bytes_must_be_the_matrix() {
        check_refused(Format::F32, 2, 3, 23, "23 bytes are not 2 rows of 12");
        check_refused(Format::Q4_1, 1, 33, 20, "can't be packed as q4_1");
        check_refused(Format::Int4 { group: 0 }, 1, 8, 4, "can't be packed");
        check_refused(Format::F32, 0, 4, 0, "0 rows");
        check_refused(Format::F32, usize::MAX, 1 << 20, 0, "0 bytes are not");
    }

    #[test]
    fn rows_are_decoded_one_by_one() {
        let bytes = (0..6).flat_map(|i| (i as f32).to_le_bytes()).collect();
        let rows = Rows::new(Format::F32, 2, 3, bytes).unwrap();
        let mut out = [0.0; 3];
        rows.decode(1, &mut out);
        assert_eq!(out, [3.0, 4.0, 5.0]);
    }
}
