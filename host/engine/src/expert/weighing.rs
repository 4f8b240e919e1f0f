//! Texts that are weighed as what comes next, instead of drawing it: the log probability of a text is the sum of those of its
//! tokens, each behind the tokens before it. Texts that begin alike share what is computed for that.

use std::collections::BTreeSet;

use super::logprobs::Distribution;

/// Labels to weigh behind a prompt.
pub(crate) struct Weighing {
    labels: usize,
    spellings: Vec<Spelling>,
    /// What stands between the prompt and tokens that are still to be weighed, in the order in which each begins as the
    /// one before it does, but for its last token.
    places: BTreeSet<Vec<u32>>,
}

/// One way to write a label.
struct Spelling {
    label: usize,
    tokens: Vec<u32>,
    /// Of the tokens that were weighed so far.
    logprob: f64,
}

impl Weighing {
    /// Labels `(label)(spelling)(token)`: each has one spelling at least, and each of these one token.
    pub(crate) fn new(labels: Vec<Vec<Vec<u32>>>) -> Self {
        let count = labels.len();
        let spelling = |label| move |tokens| Spelling { label, tokens, logprob: 0.0 };
        let of_label =
            |(label, spellings): (usize, Vec<_>)| spellings.into_iter().map(spelling(label));
        let spellings: Vec<Spelling> = labels.into_iter().enumerate().flat_map(of_label).collect();
        let beginnings = |spelling: &Spelling| {
            let tokens = spelling.tokens.clone();
            (0..tokens.len()).map(move |end| tokens[..end].to_vec())
        };
        let places = spellings.iter().flat_map(beginnings).collect();
        Self { labels: count, spellings, places }
    }

    /// Tokens of the longest spelling.
    pub(crate) fn longest(&self) -> u32 {
        let longest = self.spellings.iter().map(|spelling| spelling.tokens.len()).max();
        longest.map_or(0, |tokens| u32::try_from(tokens).unwrap_or(u32::MAX))
    }

    /// What stands between the prompt and the tokens that are weighed next; `None` when all are.
    pub(super) fn place(&self) -> Option<&[u32]> {
        self.places.first().map(Vec::as_slice)
    }

    /// Weighs the tokens that may stand behind the first place. False when the logits `(vocab)` are no numbers.
    pub(super) fn take(&mut self, logits: &[f32]) -> bool {
        let Some(place) = self.places.pop_first() else { return true };
        let Some(distribution) = Distribution::of(logits) else { return false };
        for spelling in &mut self.spellings {
            if let Some([token, ..]) = spelling.tokens.strip_prefix(place.as_slice()) {
                spelling.logprob += distribution.logprob(*token);
            }
        }
        true
    }

    /// The log probability of each label, however it is spelt.
    pub(super) fn logprobs(&self) -> Vec<f64> {
        let of_label = |label| {
            let own = self.spellings.iter().filter(move |spelling| spelling.label == label);
            let own = own.map(|spelling| spelling.logprob.max(f64::MIN)); // JSON has no infinity
            let most = own.clone().fold(f64::MIN, f64::max);
            most + own.map(|logprob| (logprob - most).exp()).sum::<f64>().ln()
        };
        (0..self.labels).map(of_label).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The softmax of these probabilities' logarithms is these probabilities.
    fn logits<const N: usize>(probabilities: [f32; N]) -> [f32; N] {
        probabilities.map(f32::ln)
    }

    #[test]
    fn a_text_weighs_what_its_tokens_weigh_one_behind_the_other() {
        let labels = vec![vec![vec![0]], vec![vec![1, 0], vec![2]], vec![vec![1, 2, 1]]];
        let mut weighing = Weighing::new(labels);
        assert_eq!(weighing.longest(), 3);
        let mut places = vec![];
        while let Some(place) = weighing.place() {
            places.push(place.to_vec());
            let probabilities = match place {
                [] => [0.5, 0.25, 0.25],
                [1] => [0.75, 0.0, 0.25],
                _ => [0.0, 0.5, 0.5],
            };
            assert!(weighing.take(&logits(probabilities)));
        }
        assert_eq!(places, [vec![], vec![1], vec![1, 2]], "each place once");
        let found: Vec<f64> = weighing.logprobs().into_iter().map(f64::exp).collect();
        let expect = [0.5, 0.25 * 0.75 + 0.25, 0.25 * 0.25 * 0.5];
        let near = found.iter().zip(expect).all(|(found, expect)| (found - expect).abs() < 1e-6);
        assert!(near, "{found:?}");
    }

    #[test]
    fn what_can_not_be_is_a_number_and_what_is_none_is_told() {
        let mut weighing = Weighing::new(vec![vec![vec![0]], vec![vec![9]]]);
        assert!(weighing.take(&[0.0, 0.0]));
        assert_eq!(weighing.logprobs()[1], f64::MIN);
        assert!(!Weighing::new(vec![vec![vec![0]]]).take(&[f32::NAN, f32::NAN]));
    }
}
