//! Weight matrices as they lie in memory: packed, row-major, never expanded as a whole.

mod blocks;
mod finite;
pub(crate) mod float;
mod format;
mod groups;
mod unpack;

use std::fmt;

use crate::{Bytes, choice::fastest};
pub use format::Format;
pub(crate) use unpack::unpack;

/// Bytes that are not a matrix of the given shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShapeError(String);

impl ShapeError {
    pub(crate) fn new(message: String) -> Self {
        Self(message)
    }
}

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
    bytes: Bytes,
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
        Self::of(format, rows, cols, bytes.into())
    }

    /// The same of bytes that may be mapped.
    ///
    /// # Errors
    /// As above.
    pub fn of(format: Format, rows: usize, cols: usize, bytes: Bytes) -> Result<Self, ShapeError> {
        let row_bytes =
            format.row_bytes(cols).filter(|_| rows > 0 && cols > 0).ok_or_else(|| {
                ShapeError(format!("{rows} rows of {cols} weights can't be packed as {format}"))
            })?;
        if Some(bytes.len()) != rows.checked_mul(row_bytes) {
            let length = bytes.len();
            return Err(ShapeError(format!("{length} bytes are not {rows} rows of {row_bytes}")));
        }
        Ok(Self { format, rows, cols, row_bytes, bytes })
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

    /// The bytes themselves.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
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
        (fastest().unpack)(self.format, self.packed(row), out);
    }

    /// The bytes of row `row`.
    pub(crate) fn packed(&self, row: usize) -> &[u8] {
        &self.bytes[row * self.row_bytes..][..self.row_bytes]
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
