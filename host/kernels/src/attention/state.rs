//! What is known of query vectors after some of the tokens that they see.

use crate::{exp::exp, simd::LANES, vector::multiply_add};

/// Below every score. Finite, for the difference of two infinities is no number.
pub(super) const NOTHING_SEEN: f32 = -1e30;

/// The greatest score of each query vector, and sums of weights and of weighted values under it, where a
/// score as great as the greatest weighs 1.
#[derive(Debug)]
pub(crate) struct State {
    head_dim: usize,
    pub(super) greatest: Vec<f32>,
    /// Of weights, to be added up in the end.
    pub(super) sums: Vec<[f32; LANES]>,
    /// (vectors, head_dim)
    pub(super) mixed: Vec<f32>,
}

impl State {
    /// Of vectors that have seen nothing yet.
    pub(crate) fn new(vectors: usize, head_dim: usize) -> Self {
        Self {
            head_dim,
            greatest: vec![NOTHING_SEEN; vectors],
            sums: vec![[0.0; LANES]; vectors],
            mixed: vec![0.0; vectors * head_dim],
        }
    }

    /// Forgets what was seen.
    pub(super) fn clear(&mut self) {
        self.greatest.fill(NOTHING_SEEN);
        self.sums.fill([0.0; LANES]);
        self.mixed.fill(0.0);
    }

    /// What was seen here and what was seen there, in this order. Where one has seen nothing, it is
    /// the other, bit for bit.
    #[inline(always)]
    pub(crate) fn absorb<const FMA: bool>(&mut self, other: &Self) {
        let mixed = self.mixed.chunks_exact_mut(self.head_dim);
        let there = other.mixed.chunks_exact(self.head_dim);
        for (index, (mixed, there)) in mixed.zip(there).enumerate() {
            let (before, after) = (self.greatest[index], other.greatest[index]);
            let greatest = if after > before { after } else { before };
            let weigh = |score: f32| if FMA { exp::<true>(score) } else { score.exp() };
            let (kept, added) = (weigh(before - greatest), weigh(after - greatest));
            join::<FMA>(mixed, kept, there, added);
            join::<FMA>(&mut self.sums[index], kept, &other.sums[index], added);
            self.greatest[index] = greatest;
        }
    }

    /// Writes the mean of the values that a vector saw.
    pub(crate) fn write(&self, vector: usize, out: &mut [f32]) {
        let factor = 1.0 / total(self.sums[vector]);
        let mixed = &self.mixed[vector * self.head_dim..];
        for (out, mixed) in out.iter_mut().zip(mixed) {
            *out = mixed * factor;
        }
    }
}

/// `here = here * kept + there * added`
#[inline(always)]
fn join<const FMA: bool>(here: &mut [f32], kept: f32, there: &[f32], added: f32) {
    for (here, there) in here.iter_mut().zip(there) {
        *here = multiply_add::<FMA>(*here, kept, there * added);
    }
}

/// The sum of all, half by half.
fn total(mut sums: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            sums[lane] += sums[lane + half];
        }
        half /= 2;
    }
    sums[0]
}
