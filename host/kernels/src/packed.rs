//! Weight matrices packed for the fast products: rows interleaved, so that one register holds the
//! same inputs of many rows, in no more bytes than the format they come from.

mod expand;
mod layout;
mod pack;
mod panel;
mod source;

use crate::{Compute, Format, Rows, ShapeError};
pub(crate) use expand::{expand, expand_head};
#[cfg(target_arch = "x86_64")]
pub(crate) use layout::Head;
pub(crate) use layout::{Layout, PARTS, ROWS, STEP};
use pack::pack;
pub(crate) use panel::{BLOCKS, Panel};

/// A packed weight matrix `(rows, cols)` that [`product`](crate::product) multiplies with. The weights
/// are those of the [`Rows`] it was made from, bit for bit; `layout.rs` says how they lie.
#[derive(Debug)]
pub struct Packed {
    format: Format,
    layout: Layout,
    rows: usize,
    cols: usize,
    bytes: Box<[u8]>,
}

impl Packed {
    /// Packs a matrix of integers with scales.
    ///
    /// # Errors
    /// When the format holds plain numbers, its groups are not whole steps of 32, or a zero point of a 4-bit
    /// group is above 15: such a matrix stays as it is.
    pub fn new(rows: &Rows, compute: &Compute) -> Result<Self, ShapeError> {
        let (format, cols) = (rows.format(), rows.cols());
        let layout = Layout::of(format).filter(|layout| cols.is_multiple_of(layout.depth));
        let unfit =
            || ShapeError::new(format!("rows of {cols} weights as {format} have no layout"));
        let layout = layout.ok_or_else(unfit)?;
        let strips = rows.rows().div_ceil(ROWS);
        let strip_bytes = cols / layout.depth * layout.unit_bytes();
        let parts = compute.ranges(strips, 1, rows.rows() * cols);
        let packed = compute.spread(&parts, |part| {
            let mut bytes = vec![0; part.len() * strip_bytes];
            let mut strips = part.zip(bytes.chunks_exact_mut(strip_bytes));
            strips.all(|(strip, out)| pack(rows, layout, strip, out)).then_some(bytes)
        });
        let packed: Option<Vec<Vec<u8>>> = packed.into_iter().collect();
        let bytes = packed.ok_or_else(unfit)?.concat().into_boxed_slice();
        Ok(Self { format, layout, rows: rows.rows(), cols, bytes })
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

    /// How it is packed.
    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// The bytes of strip `strip`.
    pub(crate) fn strip(&self, strip: usize) -> &[u8] {
        let bytes = self.cols / self.layout.depth * self.layout.unit_bytes();
        &self.bytes[strip * bytes..][..bytes]
    }
}
