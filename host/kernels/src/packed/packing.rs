//! How a matrix of some shape is packed, known before any of its weights are, and part by part: so weights can
//! go from one file to another without ever being in memory together.

use super::{
    layout::Layout,
    pack::{pack, pack_numbers},
};
use crate::{Format, Rows, ShapeError, blocking::ROWS};

/// How weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    /// Integers with scales.
    Integers(Layout),
    /// Plain numbers: for each input those of the 32 rows of a strip, side by side.
    Numbers,
}

/// How a matrix `(rows, cols)` is packed: in strips of [`Self::ROWS`] rows, the last one filled up with zeros.
#[derive(Debug, Clone, Copy)]
pub struct Packing {
    pub(super) format: Format,
    pub(super) stored: Stored,
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) strip_bytes: usize,
}

impl Packing {
    /// Rows of a strip.
    pub const ROWS: usize = ROWS;

    /// The packing of a shape.
    ///
    /// # Errors
    /// When rows are not whole blocks, or groups are not whole steps of 32: such a matrix stays as it is.
    pub fn new(format: Format, rows: usize, cols: usize) -> Result<Self, ShapeError> {
        let (stored, strip_bytes) = match format {
            Format::F32 | Format::F16 | Format::Bf16 => {
                (Some(Stored::Numbers), format.row_bytes(cols).map(|bytes| bytes * ROWS))
            }
            _ => {
                let layout = Layout::of(format).filter(|layout| cols.is_multiple_of(layout.depth));
                let bytes = layout.map(|layout| cols / layout.depth * layout.unit_bytes());
                (layout.map(Stored::Integers), bytes)
            }
        };
        let packing = stored.zip(strip_bytes).map(|(stored, strip_bytes)| Self {
            format,
            stored,
            rows,
            cols,
            strip_bytes,
        });
        packing.ok_or_else(|| unfit(format, cols))
    }

    /// The format of the rows.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Strips of the matrix.
    pub fn strips(&self) -> usize {
        self.rows.div_ceil(ROWS)
    }

    /// Bytes of a strip.
    pub fn strip_bytes(&self) -> usize {
        self.strip_bytes
    }

    /// Bytes of the matrix.
    pub fn bytes(&self) -> usize {
        self.strips() * self.strip_bytes
    }

    /// Packs some rows of the matrix, whole strips of it but for its end, into `out`, which is zero.
    ///
    /// # Errors
    /// When a zero point of a 4-bit group is above 15.
    ///
    /// # Panics
    /// When the rows have another format or length, or `out` is not as long as their strips.
    pub fn pack(&self, rows: &Rows, out: &mut [u8]) -> Result<(), ShapeError> {
        assert_eq!(
            (rows.format(), rows.cols()),
            (self.format, self.cols),
            "rows of another matrix"
        );
        assert_eq!(
            out.len(),
            rows.rows().div_ceil(ROWS) * self.strip_bytes,
            "out has another length"
        );
        let mut fits = true;
        for (strip, out) in out.chunks_exact_mut(self.strip_bytes).enumerate() {
            fits &= match self.stored {
                Stored::Integers(layout) => pack(rows, layout, strip, out),
                Stored::Numbers => pack_numbers(rows, strip, out),
            };
        }
        fits.then_some(()).ok_or_else(|| unfit(self.format, self.cols))
    }

    /// What becomes of certain weights: differs wherever the bytes of a packed matrix of this format do.
    pub fn signature(format: Format) -> Vec<u8> {
        let (weights, block) = format.block();
        let cols = weights.next_multiple_of(32);
        let packing = Self::new(format, ROWS, cols).ok();
        let bytes = packing.and_then(|_| format.row_bytes(cols)).unwrap_or_default() * ROWS;
        let mut state = 1u32;
        let any = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let mut bytes: Vec<u8> = (0..bytes).map(any).collect();
        // The zero points of groups of 4 bits have as many.
        let zero = match format {
            Format::Int4 { .. } => 2,
            Format::Int4Wide { .. } => 4,
            _ => 0,
        };
        if zero > 0 {
            bytes.chunks_exact_mut(block).for_each(|block| block[zero] &= 15);
        }
        let rows = Rows::new(format, ROWS, cols, bytes).ok();
        packing.zip(rows).map_or_else(Vec::new, |(packing, rows)| {
            let mut out = vec![0; packing.bytes()];
            let _ = packing.pack(&rows, &mut out); // whose zero points fit
            out
        })
    }
}

fn unfit(format: Format, cols: usize) -> ShapeError {
    ShapeError::new(format!("rows of {cols} weights as {format} have no layout"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Packed, samples::rows};

    #[test]
    fn parts_of_a_matrix_are_packed_as_the_whole_is() {
        for format in Format::SAMPLES {
            let cols = 512 + format.block().0.max(32);
            let (whole, packing) = (rows(*format, 100, cols, 1), Packing::new(*format, 100, cols));
            let packing = packing.unwrap();
            let mut bytes = vec![0; packing.bytes()];
            for (first, out) in (0..).step_by(2).zip(bytes.chunks_mut(2 * packing.strip_bytes())) {
                let rows = first * ROWS..whole.rows().min((first + 2) * ROWS);
                let part = rows.clone().flat_map(|row| whole.packed(row).to_vec()).collect();
                let part = Rows::new(*format, rows.len(), cols, part).unwrap();
                packing.pack(&part, out).unwrap();
            }
            let together = Packed::new(&whole).unwrap();
            assert!((0..4).all(|strip| together.strip(strip)
                == &bytes[strip * packing.strip_bytes()..][..packing.strip_bytes()]));
            assert!(Packed::from_bytes(packing, bytes.into()).is_ok(), "{format}");
        }
    }

    #[test]
    fn every_layout_has_a_signature() {
        let signatures = Format::SAMPLES.iter().map(|format| Packing::signature(*format));
        let mut signatures: Vec<Vec<u8>> = signatures.collect();
        assert!(signatures.iter().all(|bytes| bytes.len() > 32 * 32 / 2), "{signatures:?}");
        signatures.sort();
        signatures.dedup();
        assert!(signatures.len() >= Format::SAMPLES.len() - 1, "f16 and bf16 are packed alike");
    }
}
