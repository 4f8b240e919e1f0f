//! Linear layers: activations times packed weights.

use std::ops::Range;

use crate::{Compute, Rows, table::Ops};

/// Weight rows unpacked before the activations are swept, so that activations are read less often.
const TILE: usize = 4;

/// `y = x · Wᵀ`.
///
/// `x` is `(n, weight.cols())`, `y` is `(n, weight.rows())`. Each weight row is unpacked once per call,
/// whatever `n` is.
///
/// # Panics
/// When the lengths disagree.
pub fn matmul(x: &[f32], weight: &Rows, y: &mut [f32], compute: &Compute) {
    let (rows, cols) = (weight.rows(), weight.cols());
    assert_eq!(x.len() % cols, 0, "x is not whole rows of {cols}");
    let n = x.len() / cols;
    assert_eq!(y.len(), n * rows, "y has the wrong length");
    let ranges = compute.ranges(rows, TILE, n * rows * cols);
    if ranges.len() <= 1 {
        return some(x, weight, 0..rows, y, compute.ops());
    }
    let parts = compute.spread(&ranges, |rows| {
        let mut y = vec![0.0; n * rows.len()]; // (n, rows of this part)
        some(x, weight, rows, &mut y, compute.ops());
        y
    });
    for (range, part) in ranges.into_iter().zip(parts) {
        for (y, part) in y.chunks_exact_mut(rows).zip(part.chunks_exact(range.len())) {
            y[range.clone()].copy_from_slice(part);
        }
    }
}

/// Some of the outputs: `y` is `(n, rows.len())`.
fn some(x: &[f32], weight: &Rows, rows: Range<usize>, y: &mut [f32], ops: &Ops) {
    let (width, cols) = (rows.len(), weight.cols());
    let mut tile = vec![0.0; TILE * cols];
    for first in (0..width).step_by(TILE) {
        let count = TILE.min(width - first);
        for (row, out) in tile.chunks_exact_mut(cols).enumerate().take(count) {
            (ops.unpack)(weight.format(), weight.packed(rows.start + first + row), out);
        }
        for (x, y) in x.chunks_exact(cols).zip(y.chunks_exact_mut(width)) {
            for (weights, y) in tile.chunks_exact(cols).zip(&mut y[first..first + count]) {
                *y = (ops.dot)(x, weights);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Format, Isa};

    fn wave(len: usize, step: f32) -> Vec<f32> {
        (0..len).map(|i| (i as f32 * step).sin()).collect()
    }

    fn weights(rows: usize, cols: usize) -> Rows {
        let bytes = wave(rows * cols, 0.7).iter().flat_map(|w| w.to_le_bytes()).collect();
        Rows::new(Format::F32, rows, cols, bytes).unwrap()
    }

    #[test]
    fn agrees_with_the_naive_formula() {
        for (n, rows, cols) in [(1, 1, 1), (1, 5, 33), (3, 4, 64), (7, 9, 130)] {
            let (x, weight) = (wave(n * cols, 0.3), weights(rows, cols));
            let mut y = vec![f32::NAN; n * rows];
            matmul(&x, &weight, &mut y, &Compute::serving());
            for (i, y) in y.iter().enumerate() {
                let (x, mut w) = (&x[i / rows * cols..][..cols], vec![0.0; cols]);
                weight.decode(i % rows, &mut w);
                let naive: f64 = x.iter().zip(&w).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
                assert!((f64::from(*y) - naive).abs() < 1e-4, "({n}, {rows}, {cols})[{i}]: {y}");
            }
        }
    }

    #[test]
    fn a_batch_gives_exactly_what_its_rows_give_alone() {
        let (x, weight) = (wave(6 * 70, 0.3), weights(11, 70));
        let mut together = vec![0.0; 6 * 11];
        matmul(&x, &weight, &mut together, &Compute::serving());
        for (x, together) in x.chunks(70).zip(together.chunks(11)) {
            let mut alone = vec![0.0; 11];
            matmul(x, &weight, &mut alone, &Compute::serving());
            assert_eq!(alone, together);
        }
    }

    #[test]
    fn threads_change_nothing_and_scalar_code_little() {
        // Enough work for three threads, over rows that are no whole tiles.
        let (n, rows, cols) = (40, 1023, 160);
        let (x, weight) = (wave(n * cols, 0.3), weights(rows, cols));
        let run = |isa, threads| {
            let mut y = vec![f32::NAN; n * rows];
            matmul(&x, &weight, &mut y, &Compute::new(isa, threads).unwrap());
            y
        };
        let exact = run(Isa::Scalar, 1);
        for isa in Isa::available() {
            let alone = run(isa, 1);
            assert_eq!(alone, run(isa, 3), "{isa}");
            for (fast, exact) in alone.iter().zip(&exact) {
                assert!((fast - exact).abs() < 1e-4, "{isa}: {fast} for {exact}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "y has the wrong length")]
    fn refuses_lengths_that_disagree() {
        matmul(&[0.0; 8], &weights(3, 4), &mut [0.0; 5], &Compute::serving());
    }
}
