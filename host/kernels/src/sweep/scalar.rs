//! The meaning of a sweep.

use crate::{
    activations::{Block, STEPS, Step},
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

/// One block times one row of weights.
fn product(panel: &Panel, index: usize, block: &Block, column: usize) -> f32 {
    let steps = block.quads.chunks(STEP / 4).zip(block.scales).enumerate();
    let products = steps
        .map(|(step, (quads, scale))| scale * scaled(panel, index, step * STEP / 4, quads, column));
    products.sum()
}

/// Adds to `out`, to that of its row, the products of each step with the weights at its place.
pub(crate) fn sweep_steps(panel: &Panel, steps: &[Step], out: &mut [[f32; ROWS]]) {
    for step in steps {
        let (index, place) = (step.place as usize / STEPS, step.place as usize % STEPS);
        let first = place * STEP / 4;
        for (column, out) in out[step.row as usize].iter_mut().enumerate() {
            let scaled = scaled(panel, index, first, &step.quads, column);
            *out += step.scale * scaled;
        }
    }
}

/// As [`sweep_steps`]; the panel is the one that [`stream`] has filled.
pub(crate) fn stream_steps(
    _: Layout,
    _: &[u8],
    panel: &Panel,
    steps: &[Step],
    out: &mut [[f32; ROWS]],
) {
    sweep_steps(panel, steps, out);
}

/// Quads of activations times as many of one row of weights, which begin at quad `first` of block `index`:
/// integers under one scale are summed up first.
fn scaled(panel: &Panel, index: usize, first: usize, x: &[i32], column: usize) -> f32 {
    let shared = DEPTH / 4 / panel.scales;
    let mut total = 0.0;
    for (part, x) in x.chunks(shared).enumerate() {
        let (mut dot, mut sum) = (0i32, 0i32);
        let first = first + part * shared;
        for (quad, x) in x.iter().enumerate() {
            let quants = &panel.quants[index][first + quad][4 * column..];
            for (q, x) in quants.iter().zip(x.to_le_bytes()) {
                dot += i32::from(*q) * i32::from(x as i8);
                sum += i32::from(x as i8);
            }
        }
        let factor = panel.factors[index][first / shared][column];
        total += if panel.has_minima {
            factor * dot as f32 - panel.minima[index][first / shared][column] * sum as f32
        } else {
            factor * (dot - panel.zero * sum) as f32
        };
    }
    total
}
