//! Which steps of a row are rounded twice. One input that stands out makes the quants of the 32 that share its
//! scale coarse; where such steps lose too much of a row, what they lost is kept beside them (an outlier
//! decomposition like that of LLM.int8(), arXiv 2208.07339, by steps of a row).

use super::block::QUANT_MAX;
use crate::blocking::STEP;

/// Bisections of the range of magnitudes: each halves its logarithm.
const BISECTIONS: usize = 6;

/// Marks steps as outliers, by a negative maximum, the largest first, until rounding the others loses no more
/// energy than `allowed`.
pub(super) fn mark(maxima: &mut [f32], allowed: f32) {
    if energy_lost(maxima, f32::INFINITY) <= allowed {
        return;
    }
    let max = maxima.iter().copied().fold(0.0, f32::max);
    // Were every step as large as this, the row would lose what is allowed.
    let quant = (allowed / (maxima.len() as f32 * STEP as f32 / 12.0)).sqrt();
    let (mut kept, mut marked) = (quant * QUANT_MAX, max);
    for _ in 0..BISECTIONS {
        let middle = (kept * marked).sqrt();
        if energy_lost(maxima, middle) <= allowed {
            kept = middle;
        } else {
            marked = middle;
        }
    }
    maxima.iter_mut().filter(|max| **max > kept).for_each(|max| *max = -*max);
}

/// The energy that rounding the steps up to a size loses on average: a twelfth of the square of a quant for
/// each input.
fn energy_lost(maxima: &[f32], size: f32) -> f32 {
    let squares = maxima.iter().map(|max| if *max <= size { max * max } else { 0.0 });
    squares.sum::<f32>() * (STEP as f32 / 12.0 / (QUANT_MAX * QUANT_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(maxima: &[f32], allowed: f32, expect: &[f32]) {
        let mut ours = maxima.to_vec();
        mark(&mut ours, allowed);
        assert_eq!(ours, expect);
    }

    #[test]
    fn the_largest_are_marked_until_the_rest_is_fine() {
        let even = [1.0; 8];
        let all = energy_lost(&even, 1.0);
        check(&even, all * 1.01, &even);
        let outlier = [1.0, 1.0, 50.0, 1.0, 1.0, 1.0, 1.0, 1.0];
        check(&outlier, all * 1.01, &[1.0, 1.0, -50.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
        let two = [1.0, 9.0, 50.0, 1.0, 1.0, 1.0, 1.0, 1.0];
        check(&two, all * 1.01, &[1.0, -9.0, -50.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
        check(&[0.0; 4], 0.0, &[0.0; 4]);
    }

    #[test]
    fn what_is_no_number_is_left_alone() {
        check(&[f32::INFINITY, 1.0], f32::NAN, &[f32::INFINITY, 1.0]);
        check(&[f32::INFINITY, 1.0], f32::INFINITY, &[f32::INFINITY, 1.0]);
    }
}
