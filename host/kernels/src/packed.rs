//! Weight matrices packed for the fast products: rows interleaved, so that one register holds the
//! same inputs of many rows, in no more bytes than the format they come from.

mod expand;
mod layout;
mod pack;
mod packing;
mod panel;
mod source;

use std::slice;

use crate::{
    Bytes, Format, Rows, ShapeError,
    blocking::{BLOCKS, DEPTH, ROWS},
    rows::unpack,
};
pub(crate) use expand::{expand, expand_by, expand_head};
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) use layout::Head;
pub(crate) use layout::Layout;
pub use packing::Packing;
pub(crate) use packing::Stored;
pub(crate) use panel::Panel;

/// A packed weight matrix `(rows, cols)` that [`product`](crate::product) multiplies with. The weights
/// are those of the [`Rows`] it was made from, bit for bit; `layout.rs` says how they lie.
#[derive(Debug)]
pub struct Packed {
    packing: Packing,
    bytes: Bytes,
}

impl Packed {
    /// Packs a matrix.
    ///
    /// # Errors
    /// When groups are not whole steps of 32, or a zero point of a 4-bit group is above 15: such a matrix
    /// stays as it is.
    pub fn new(rows: &Rows) -> Result<Self, ShapeError> {
        let packing = Packing::new(rows.format(), rows.rows(), rows.cols())?;
        let mut bytes = vec![0; packing.bytes()];
        packing.pack(rows, &mut bytes)?;
        Ok(Self { packing, bytes: bytes.into() })
    }

    /// What [`Packing::pack`] wrote, of all rows.
    ///
    /// # Errors
    /// When the length is another.
    pub fn from_bytes(packing: Packing, bytes: Bytes) -> Result<Self, ShapeError> {
        if bytes.len() == packing.bytes() {
            return Ok(Self { packing, bytes });
        }
        let message = format!("{} bytes are not {} packed ones", bytes.len(), packing.bytes());
        Err(ShapeError::new(message))
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.packing.rows
    }

    /// Weights of a row.
    pub fn cols(&self) -> usize {
        self.packing.cols
    }

    /// The format it was made from.
    pub fn format(&self) -> Format {
        self.packing.format
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Writes row `row` as `(cols)` f32, to a rounding of what [`Rows::decode`] writes.
    ///
    /// # Panics
    /// When there is no such row or `out` has another length.
    pub fn decode(&self, row: usize, out: &mut [f32]) {
        assert!(row < self.rows() && out.len() == self.cols(), "no such row, or of another length");
        let (strip, place) = (self.strip(row / ROWS), row % ROWS);
        match self.packing.stored {
            Stored::Numbers => {
                let format = self.format();
                let (_, bytes) = format.block();
                for (weights, out) in strip.chunks_exact(ROWS * bytes).zip(out) {
                    let weight = &weights[place * bytes..][..bytes];
                    unpack(format, weight, slice::from_mut(out));
                }
            }
            Stored::Integers(layout) => {
                let mut panel = Panel::new(layout);
                let chunk = BLOCKS * DEPTH / layout.depth * layout.unit_bytes();
                for (units, out) in strip.chunks(chunk).zip(out.chunks_mut(BLOCKS * DEPTH)) {
                    expand(layout, units, &mut panel);
                    panel.row(place, out);
                }
            }
        }
    }

    /// Where the bytes begin: the same for as long as the matrix lives.
    pub fn address(&self) -> usize {
        self.bytes.as_ptr().addr()
    }

    /// How it is stored.
    pub(crate) fn stored(&self) -> Stored {
        self.packing.stored
    }

    /// The bytes of strip `strip`.
    pub(crate) fn strip(&self, strip: usize) -> &[u8] {
        let bytes = self.packing.strip_bytes;
        &self.bytes[strip * bytes..][..bytes]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::rows;

    #[test]
    fn every_format_keeps_its_weights() {
        for format in Format::SAMPLES {
            let cols = 512 + format.block().0.max(32);
            let weights = rows(*format, 35, cols, 1);
            let packed = Packed::new(&weights).unwrap();
            assert_eq!((packed.rows(), packed.cols(), packed.format()), (35, cols, *format));
            let (mut ours, mut theirs) = (vec![f32::NAN; cols], vec![f32::NAN; cols]);
            for row in [0, 15, 16, 31, 32, 34] {
                packed.decode(row, &mut ours);
                weights.decode(row, &mut theirs);
                for (ours, theirs) in ours.iter().zip(&theirs) {
                    assert!((ours - theirs).abs() < 1e-5, "{format}: {ours} for {theirs}");
                }
            }
        }
    }

    #[test]
    fn what_has_no_layout_is_refused() {
        let refused = |weights: &Rows| Packed::new(weights).unwrap_err();
        let error = refused(&rows(Format::Int4 { group: 16 }, 2, 32, 1));
        assert_eq!(error.to_string(), "rows of 32 weights as int4 g16 have no layout");
        let mut group = vec![0; 19];
        group[2] = 16; // a zero that no weight of 4 bits has
        refused(&Rows::new(Format::Int4 { group: 32 }, 1, 32, group).unwrap());
    }
}
