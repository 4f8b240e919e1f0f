//! The meaning of a sweep.

use crate::{
    activations::Block,
    blocking::{DEPTH, ROWS, STEP},
    packed::{Layout, Panel, expand},
};

/// Adds to `out`, a row for each of the activations', the products of the panel with `panel.blocks` blocks
/// of each row. Row `r` begins at block `r * stride`.
pub(crate) fn sweep(panel: &Panel, blocks: &[Block], stride: usize, out: &mut [[f32; ROWS]]) {
    for (row, out) in out.iter_mut().enumerate() {
        for (index, block) in blocks[row * stride..][..panel.blocks].iter().enumerate() {
            for (column, out) in out.iter_mut().enumerate() {
                *out += product(panel, index, block, column);
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

/// One block times one row of weights: integers under one scale on both sides are summed up first.
fn product(panel: &Panel, index: usize, block: &Block, column: usize) -> f32 {
    let parts = panel.scales.max(DEPTH / STEP);
    let quads = DEPTH / 4 / parts;
    let mut total = 0.0;
    for part in 0..parts {
        let (mut dot, mut sum) = (0i32, 0i32);
        for quad in part * quads..(part + 1) * quads {
            let quants = &panel.quants[index][quad][4 * column..];
            for (q, x) in quants.iter().zip(block.quads[quad].to_le_bytes()) {
                dot += i32::from(*q) * i32::from(x as i8);
                sum += i32::from(x as i8);
            }
        }
        let scale = part * panel.scales / parts;
        let factor = panel.factors[index][scale][column];
        let product = if panel.has_minima {
            factor * dot as f32 - panel.minima[index][scale][column] * sum as f32
        } else {
            factor * (dot - panel.zero * sum) as f32
        };
        total += block.scales[part * quads * 4 / STEP] * product;
    }
    total
}
