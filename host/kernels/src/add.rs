//! Sums of activations: residual streams and biases.

use crate::Compute;

/// What an element costs beside a multiplication: it comes from memory.
const COST: usize = 2;
/// Elements that a thread takes at once.
const TILE: usize = 1024;

/// `x += y`, element by element.
///
/// # Panics
/// When the lengths disagree.
pub fn add(x: &mut [f32], y: &[f32], compute: &Compute) {
    assert_eq!(x.len(), y.len(), "x and y differ in length");
    let ranges = compute.ranges(x.len(), TILE, x.len() * COST);
    compute.split(x, 1, &ranges, |range, x| {
        x.iter_mut().zip(&y[range]).for_each(|(x, y)| *x += y);
    });
}

/// `x += bias`, row by row; `x` is `(n, bias.len())`.
///
/// # Panics
/// When `x` is not whole rows.
pub fn add_bias(x: &mut [f32], bias: &[f32], compute: &Compute) {
    let width = bias.len();
    assert_eq!(x.len() % width, 0, "x is not whole rows of {width}");
    compute.rows(x, width, COST, |_, row| row.iter_mut().zip(bias).for_each(|(x, y)| *x += y));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Isa, samples::noise};

    #[test]
    fn threads_share_sums_and_change_none() {
        let (x, y) = (noise(1 << 20, 1), noise(1 << 20, 2));
        let expect: Vec<f32> = x.iter().zip(&y).map(|(x, y)| x + y).collect();
        for threads in [1, 3] {
            let (compute, mut sum) = (Compute::new(Isa::Scalar, threads).unwrap(), x.clone());
            add(&mut sum, &y, &compute);
            assert_eq!(sum, expect);
        }
    }

    #[test]
    fn a_bias_is_added_to_every_row() {
        let mut x = [1.0, 2.0, 3.0, 4.0];
        add_bias(&mut x, &[10.0, 20.0], &Compute::scalar());
        assert_eq!(x, [11.0, 22.0, 13.0, 24.0]);
    }
}
