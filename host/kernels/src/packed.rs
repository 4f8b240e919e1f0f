//! Weight matrices packed for the fast products: rows interleaved, so that one register holds the
//! same inputs of many rows, in no more bytes than the format they come from.

mod expand;
mod layout;
mod pack;
mod panel;
mod source;

use crate::blocking::{BLOCKS, DEPTH};
use std::{
    slice,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::{Compute, Format, Rows, ShapeError, blocking::ROWS, rows::unpack};
pub(crate) use expand::{expand, expand_by, expand_head};
#[cfg(target_arch = "x86_64")]
pub(crate) use layout::Head;
pub(crate) use layout::Layout;
use pack::{pack, pack_numbers};
pub(crate) use panel::Panel;

/// How weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    /// Integers with scales.
    Integers(Layout),
    /// Plain numbers: for each input those of the 32 rows of a strip, side by side.
    Numbers,
}

/// A packed weight matrix `(rows, cols)` that [`product`](crate::product) multiplies with. The weights
/// are those of the [`Rows`] it was made from, bit for bit; `layout.rs` says how they lie.
#[derive(Debug)]
pub struct Packed {
    format: Format,
    stored: Stored,
    rows: usize,
    cols: usize,
    strip_bytes: usize,
    bytes: Box<[u8]>,
}

impl Packed {
    /// Packs a matrix.
    ///
    /// # Errors
    /// When groups are not whole steps of 32, or a zero point of a 4-bit group is above 15: such a matrix
    /// stays as it is.
    pub fn new(rows: &Rows, compute: &Compute) -> Result<Self, ShapeError> {
        let (format, cols) = (rows.format(), rows.cols());
        let unfit =
            || ShapeError::new(format!("rows of {cols} weights as {format} have no layout"));
        let (stored, strip_bytes) = match format {
            Format::F32 | Format::F16 | Format::Bf16 => {
                (Stored::Numbers, cols * ROWS * format.block().1)
            }
            _ => {
                let layout = Layout::of(format).filter(|layout| cols.is_multiple_of(layout.depth));
                let layout = layout.ok_or_else(unfit)?;
                (Stored::Integers(layout), cols / layout.depth * layout.unit_bytes())
            }
        };
        let strips = rows.rows().div_ceil(ROWS);
        let mut bytes = vec![0; strips * strip_bytes].into_boxed_slice();
        let fits = AtomicBool::new(true);
        let parts = compute.uneven(strips, rows.rows() * cols);
        compute.split(&mut bytes, strip_bytes, &parts, |part, bytes| {
            for (strip, out) in part.zip(bytes.chunks_exact_mut(strip_bytes)) {
                let packed = match stored {
                    Stored::Integers(layout) => pack(rows, layout, strip, out),
                    Stored::Numbers => pack_numbers(rows, strip, out),
                };
                fits.fetch_and(packed, Ordering::Relaxed);
            }
        });
        if !fits.into_inner() {
            return Err(unfit());
        }
        Ok(Self { format, stored, rows: rows.rows(), cols, strip_bytes, bytes })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Weights of a row.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The format it was made from.
    pub fn format(&self) -> Format {
        self.format
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
        assert!(row < self.rows && out.len() == self.cols, "no such row, or of another length");
        let (strip, place) = (self.strip(row / ROWS), row % ROWS);
        match self.stored {
            Stored::Numbers => {
                let (_, bytes) = self.format.block();
                for (weights, out) in strip.chunks_exact(ROWS * bytes).zip(out) {
                    let weight = &weights[place * bytes..][..bytes];
                    unpack(self.format, weight, slice::from_mut(out));
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
        self.stored
    }

    /// The bytes of strip `strip`.
    pub(crate) fn strip(&self, strip: usize) -> &[u8] {
        &self.bytes[strip * self.strip_bytes..][..self.strip_bytes]
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
            let packed = Packed::new(&weights, &Compute::serving()).unwrap();
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
        let refused = |weights: &Rows| Packed::new(weights, &Compute::serving()).unwrap_err();
        let error = refused(&rows(Format::Int4 { group: 16 }, 2, 32, 1));
        assert_eq!(error.to_string(), "rows of 32 weights as int4 g16 have no layout");
        let mut group = vec![0; 19];
        group[2] = 16; // a zero that no weight of 4 bits has
        refused(&Rows::new(Format::Int4 { group: 32 }, 1, 32, group).unwrap());
    }
}
