//! What follows from what the labels of a question weigh.

/// How likely each label is, among all that a reply could begin with.
pub(crate) struct Weights {
    /// Among the labels alone, 1 together, in their order.
    pub(crate) probabilities: Vec<f64>,
    /// That a reply would begin with one of them at all.
    pub(crate) mass: f64,
}

impl Weights {
    /// Of these log probabilities, one at least.
    pub(crate) fn of(logprobs: &[f64]) -> Self {
        let most = logprobs.iter().copied().fold(f64::MIN, f64::max);
        let weights: Vec<f64> = logprobs.iter().map(|logprob| (logprob - most).exp()).collect();
        let sum: f64 = weights.iter().sum();
        let probabilities = weights.into_iter().map(|weight| weight / sum).collect();
        Self { probabilities, mass: (sum * most.exp()).min(1.0) }
    }
    /// The likeliest label, the first of equals.
    pub(crate) fn best(&self) -> usize {
        let likelier = |best: usize, at: usize| {
            if self.probabilities[at] > self.probabilities[best] { at } else { best }
        };
        (0..self.probabilities.len()).fold(0, likelier)
    }

    /// The label that is to be expected, where labels are levels.
    pub(crate) fn expected(&self) -> f64 {
        self.probabilities.iter().enumerate().map(|(level, share)| level as f64 * share).sum()
    }

    /// 1 where one label has it all, 0 where all are alike, as System One defines it.
    pub(crate) fn confidence(&self) -> f64 {
        let count = self.probabilities.len() as f64;
        let peak = self.probabilities[self.best()];
        if count > 1.0 { ((count * peak - 1.0) / (count - 1.0)).clamp(0.0, 1.0) } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(probabilities: &[f64], best: usize, expected: f64, confidence: f64) {
        let weights =
            Weights::of(&probabilities.iter().map(|share| share.ln()).collect::<Vec<_>>());
        let near = |is: f64, was: f64| (is - was).abs() < 1e-9;
        assert_eq!(weights.best(), best, "{probabilities:?}");
        assert!(near(weights.mass, probabilities.iter().sum()), "{probabilities:?}");
        assert!(near(weights.expected(), expected), "{}", weights.expected());
        assert!(near(weights.confidence(), confidence), "{}", weights.confidence());
        assert!(near(weights.probabilities.iter().sum(), 1.0), "{probabilities:?}");
    }

    #[test]
    fn numbers_follow_from_weights() {
        check(&[0.5, 0.25, 0.25], 0, 0.75, 0.25);
        check(&[0.1, 0.1], 0, 0.5, 0.0);
        check(&[0.2], 0, 0.0, 1.0);
        check(&[1e-300, 3e-300], 1, 0.75, 0.5);
        let impossible = Weights::of(&[f64::MIN, f64::MIN]);
        assert_eq!((impossible.probabilities, impossible.mass), (vec![0.5, 0.5], 0.0));
    }
}
