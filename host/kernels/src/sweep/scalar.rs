//! The meaning of a sweep.

use crate::{
    activations::{Block, DEPTH},
    packed::{Layout, Panel, ROWS, expand},
};

/// Adds to `out`, a row for each of the activations', the products of the panel with `panel.blocks` blocks
/// of each row. Row `r` begins at block `r * stride`.
pub(crate) fn sweep(panel: &Panel, blocks: &[Block], stride: usize, out: &mut [[f32; ROWS]]) {
    for (row, out) in out.iter_mut().enumerate() {
        for (index, block) in blocks[row * stride..][..panel.blocks].iter().enumerate() {
            for (column, out) in out.iter_mut().enumerate() {
                *out += block.scale * product(panel, index, block, column);
            }
        }
    }
}

/// Adds to `out` the products of whole units, no more than a panel holds, with as many blocks of each row.
pub(crate) fn stream(
    layout: Layout,
    packed: &[u8],
    panel: &mut Panel,
    blocks: &[Block],
    stride: usize,
    out: &mut [[f32; ROWS]],
) {
    expand(layout, packed, panel);
    sweep(panel, blocks, stride, out);
}

/// One block times one row of weights.
fn product(panel: &Panel, index: usize, block: &Block, column: usize) -> f32 {
    let quads = DEPTH / 4 / panel.scales;
    let mut total = 0.0;
    for scale in 0..panel.scales {
        let (mut dot, mut sum) = (0i32, 0i32);
        for quad in scale * quads..(scale + 1) * quads {
            let xs = block.quads[quad].to_le_bytes();
            for (q, x) in panel.quants[index][quad][4 * column..].iter().zip(xs) {
                dot += i32::from(*q) * i32::from(x as i8);
                sum += i32::from(x as i8);
            }
        }
        let factor = panel.factors[index][scale][column];
        if panel.has_minima {
            total += factor * dot as f32 - panel.minima[index][scale][column] * sum as f32;
        } else {
            total += factor * (dot - panel.zero * sum) as f32;
        }
    }
    total
}
