//! A strip of packed weights, some inputs deep, as the inner loops want it: one byte a weight and plain
//! scales. It fits the nearest cache and serves every row of activations before the next is unpacked.

use super::layout::Layout;
use crate::blocking::{BLOCKS, DEPTH, ROWS};

/// Scales that a block of 128 inputs has at most.
const SCALES: usize = DEPTH / 16;

/// `w = q * scale - minimum` for the row and the inputs that they belong to, or `(q - zero) * scale` where
/// there are no minima.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Panel {
    /// Four inputs of each row at a time.
    pub(crate) quants: [[[u8; 4 * ROWS]; DEPTH / 4]; BLOCKS],
    /// The first `scales` of each block count.
    pub(crate) factors: [[[f32; ROWS]; SCALES]; BLOCKS],
    /// What belongs to them.
    pub(crate) minima: [[[f32; ROWS]; SCALES]; BLOCKS],
    /// Blocks in use.
    pub(crate) blocks: usize,
    /// Scales in a block: 1, 4 or 8.
    pub(crate) scales: usize,
    /// Whether the minima count, and not the zero.
    pub(crate) has_minima: bool,
    /// Bits of a quant.
    pub(crate) bits: usize,
    /// What every quant is above its value.
    pub(crate) zero: i32,
}

impl Panel {
    /// A panel of zeros for weights of a layout.
    pub(crate) fn new(layout: Layout) -> Box<Self> {
        Box::new(Self {
            quants: [[[0; 4 * ROWS]; DEPTH / 4]; BLOCKS],
            factors: [[[0.0; ROWS]; SCALES]; BLOCKS],
            minima: [[[0.0; ROWS]; SCALES]; BLOCKS],
            blocks: 0,
            scales: DEPTH / layout.shared,
            has_minima: layout.has_minima(),
            bits: layout.bits,
            zero: layout.zero,
        })
    }

    /// Whether quants may be above 127.
    pub(crate) fn is_wide(&self) -> bool {
        self.bits == 8
    }

    /// Writes the weights of row `place`, as many as `out` has.
    pub(super) fn row(&self, place: usize, out: &mut [f32]) {
        for (input, out) in out.iter_mut().enumerate() {
            let (block, input) = (input / DEPTH, input % DEPTH);
            let scale = input / (DEPTH / self.scales);
            let quant = i32::from(self.quants[block][input / 4][4 * place + input % 4]);
            let factor = self.factors[block][scale][place];
            *out = if self.has_minima {
                quant as f32 * factor - self.minima[block][scale][place]
            } else {
                (quant - self.zero) as f32 * factor
            };
        }
    }
}
