//! Scores to probabilities.

use crate::Compute;

/// Replaces `scores` by `exp(score - max) / sum`, in place. An empty slice stays empty.
pub fn softmax(scores: &mut [f32], compute: &Compute) {
    (compute.ops().softmax)(scores);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_naive_formula() {
        let mut scores = [0.5f32, -1.0, 2.0];
        let sum: f32 = scores.iter().map(|s| s.exp()).sum();
        let naive = scores.map(|s| s.exp() / sum);
        softmax(&mut scores, &Compute::serving());
        for (ours, naive) in scores.iter().zip(naive) {
            assert!((ours - naive).abs() < 1e-6, "{ours} for {naive}");
        }
    }

    #[test]
    fn large_scores_do_not_overflow() {
        let mut scores = [1000.0, 1000.0];
        softmax(&mut scores, &Compute::serving());
        assert_eq!(scores, [0.5, 0.5]);
        softmax(&mut [], &Compute::serving());
    }
}
