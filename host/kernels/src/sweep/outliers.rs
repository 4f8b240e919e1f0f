//! The products of what rounding lost of some steps: those of one place meet the same weights and form tiles,
//! whichever rows they belong to.

use super::tile::{add_scale, dots, load, start, store};
use crate::{
    activations::{STEPS, Step},
    blocking::{PARTS, ROWS},
    packed::Panel,
    simd::Simd,
};

/// As [`super::scalar::sweep_steps`].
#[inline(always)]
pub(crate) fn sweep_steps<S: Simd>(
    simd: S,
    panel: &Panel,
    steps: &[Step],
    out: &mut [[f32; ROWS]],
) {
    for steps in steps.chunk_by(|a, b| a.place == b.place) {
        for steps in steps.chunks(S::TILE) {
            match steps.len() {
                6 if S::TILE >= 6 => by_scales::<S, 6>(simd, panel, steps, out),
                5 if S::TILE >= 5 => by_scales::<S, 5>(simd, panel, steps, out),
                4 if S::TILE >= 4 => by_scales::<S, 4>(simd, panel, steps, out),
                3 if S::TILE >= 3 => by_scales::<S, 3>(simd, panel, steps, out),
                2 => by_scales::<S, 2>(simd, panel, steps, out),
                _ => by_scales::<S, 1>(simd, panel, steps, out),
            }
        }
    }
}

#[inline(always)]
fn by_scales<S: Simd, const R: usize>(
    simd: S,
    panel: &Panel,
    steps: &[Step],
    out: &mut [[f32; ROWS]],
) {
    let mut x = [&steps[0]; R];
    x.iter_mut().zip(steps).for_each(|(x, step)| *x = step);
    match (panel.scales, panel.has_minima, panel.is_wide()) {
        (1 | 4, true, false) => tile_step::<S, R, 1, true, false>(simd, panel, x, out),
        (1 | 4, true, true) => tile_step::<S, R, 1, true, true>(simd, panel, x, out),
        (4, false, false) => tile_step::<S, R, 1, false, false>(simd, panel, x, out),
        (4, false, true) => tile_step::<S, R, 1, false, true>(simd, panel, x, out),
        _ => tile_step::<S, R, 2, false, false>(simd, panel, x, out),
    }
}

/// Steps of one place times a strip of weights, of which `SCALES` belong to a step.
#[inline(always)]
fn tile_step<S: Simd, const R: usize, const SCALES: usize, const MINIMA: bool, const WIDE: bool>(
    simd: S,
    panel: &Panel,
    x: [&Step; R],
    out: &mut [[f32; ROWS]],
) {
    let (block, place) = (x[0].place as usize / STEPS, x[0].place as usize % STEPS);
    let mut total = [[simd.splat(0.0); PARTS]; R];
    for (row, x) in x.iter().enumerate() {
        total[row] = load(simd, &out[x.row as usize]);
    }
    let weights = panel.quants[block].as_chunks().0;
    let worth = |row: usize| (x[row].scale, x[row].worth);
    if SCALES == 1 {
        let start = start::<S, R, MINIMA, WIDE>(simd, x.map(|x| i32::from(x.sum)), panel.zero);
        let dots = dots::<S, R, 8, WIDE>(simd, &weights[place], x.map(|x| &x.quads), start);
        let at = place * panel.scales / STEPS;
        let (factors, minima) = (&panel.factors[block][at], &panel.minima[block][at]);
        add_scale::<S, R, MINIMA>(simd, &mut total, dots, worth, factors, minima);
    } else {
        let halves = weights[place].as_chunks().0;
        for (half, weights) in halves.iter().enumerate() {
            let sums = x.map(|x| i32::from(x.sums16[half]));
            let start = start::<S, R, MINIMA, WIDE>(simd, sums, panel.zero);
            let quads = x.map(|x| &x.quads.as_chunks().0[half]);
            let dots = dots::<S, R, 4, WIDE>(simd, weights, quads, start);
            let at = 2 * place + half;
            let (factors, minima) = (&panel.factors[block][at], &panel.minima[block][at]);
            add_scale::<S, R, MINIMA>(simd, &mut total, dots, worth, factors, minima);
        }
    }
    for (x, total) in x.iter().zip(total) {
        store(simd, total, &mut out[x.row as usize]);
    }
}
