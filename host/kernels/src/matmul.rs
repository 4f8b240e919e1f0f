//! Linear layers: activations times packed weights.

use crate::{
    Rows,
    cpu::{Body, dot, fastest},
};

/// Weight rows unpacked before the activations are swept, so that activations are read less often.
const TILE: usize = 4;

/// `y = x · Wᵀ`.
///
/// `x` is `(n, weight.cols())`, `y` is `(n, weight.rows())`. Each weight row is unpacked once per call,
/// whatever `n` is.
///
/// # Panics
/// When the lengths disagree.
pub fn matmul(x: &[f32], weight: &Rows, y: &mut [f32]) {
    assert_eq!(x.len() % weight.cols(), 0, "x is not whole rows of {}", weight.cols());
    assert_eq!(y.len(), x.len() / weight.cols() * weight.rows(), "y has the wrong length");
    fastest(Matmul { x, weight, y });
}

struct Matmul<'a> {
    x: &'a [f32],
    weight: &'a Rows,
    y: &'a mut [f32],
}

impl Body for Matmul<'_> {
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let (rows, cols) = (self.weight.rows(), self.weight.cols());
        let mut tile = vec![0.0; TILE * cols];
        for first in (0..rows).step_by(TILE) {
            let count = TILE.min(rows - first);
            for (row, out) in tile.chunks_exact_mut(cols).enumerate().take(count) {
                self.weight.unpack(first + row, out);
            }
            for (x, y) in self.x.chunks_exact(cols).zip(self.y.chunks_exact_mut(rows)) {
                let y = &mut y[first..first + count];
                for (weights, y) in tile.chunks_exact(cols).zip(y) {
                    *y = dot::<FMA>(x, weights);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Format;

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
            matmul(&x, &weight, &mut y);
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
        matmul(&x, &weight, &mut together);
        for (x, together) in x.chunks(70).zip(together.chunks(11)) {
            let mut alone = vec![0.0; 11];
            matmul(x, &weight, &mut alone);
            assert_eq!(alone, together);
        }
    }

    #[test]
    #[should_panic(expected = "y has the wrong length")]
    fn refuses_lengths_that_disagree() {
        matmul(&[0.0; 8], &weights(3, 4), &mut [0.0; 5]);
    }
}
