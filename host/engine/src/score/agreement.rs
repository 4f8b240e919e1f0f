//! How far a model's logits are from those that a reference computed for the same tokens.

use super::top1;

/// The worst and the share of many positions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Agreement {
    /// Positions compared.
    pub positions: usize,
    /// Largest `max |ours - theirs| / max |theirs|` of any position. Not a number once one is missing.
    pub relative_error: f64,
    /// Smallest cosine between the two at any position.
    pub cosine: f64,
    /// Positions at which both would have said the same token next.
    pub same_top1: usize,
}

impl Default for Agreement {
    fn default() -> Self {
        Self { positions: 0, relative_error: 0.0, cosine: 1.0, same_top1: 0 }
    }
}

impl Agreement {
    /// Compares one position's logits `(vocab)`.
    pub fn add(&mut self, ours: &[f32], theirs: &[f32]) {
        self.positions += 1;
        self.same_top1 += usize::from(top1(ours) == top1(theirs));
        let (error, cosine) = match ours.len() == theirs.len() {
            true => (relative_error(ours, theirs), cosine(ours, theirs)),
            false => (f64::NAN, f64::NAN),
        };
        // Written so that what is not a number stays.
        self.relative_error =
            if error <= self.relative_error { self.relative_error } else { error };
        self.cosine = if cosine >= self.cosine { self.cosine } else { cosine };
    }

    /// Share of positions with the same most likely token, 0 to 1.
    pub fn top1_share(&self) -> f64 {
        self.same_top1 as f64 / self.positions.max(1) as f64
    }

    /// What the f32 reference path promises: a relative error of at most 1e-4.
    pub fn is_exact(&self) -> bool {
        self.positions > 0 && self.relative_error <= 1e-4
    }

    /// What serving promises: cosines above 0.999, and 99 of 100 most likely tokens.
    pub fn is_faithful(&self) -> bool {
        self.positions > 0 && self.cosine > 0.999 && self.top1_share() >= 0.99
    }
}

fn relative_error(ours: &[f32], theirs: &[f32]) -> f64 {
    let apart = ours.iter().zip(theirs).map(|(a, b)| f64::from(*a) - f64::from(*b));
    let most = |values: &mut dyn Iterator<Item = f64>| {
        values.fold(0.0, |m: f64, v| if v.abs() <= m { m } else { v.abs() })
    };
    most(&mut apart.into_iter()) / most(&mut theirs.iter().map(|b| f64::from(*b)))
}

fn cosine(ours: &[f32], theirs: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    dot(ours, theirs) / (dot(ours, ours) * dot(theirs, theirs)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ours: &[f32], theirs: &[f32]) -> Agreement {
        let mut agreement = Agreement::default();
        agreement.add(&[1.0, 2.0], &[1.0, 2.0]);
        agreement.add(ours, theirs);
        agreement
    }

    #[test]
    fn the_worst_position_counts() {
        let same = check(&[0.0, -3.0], &[0.0, -3.0]);
        assert_eq!((same.positions, same.relative_error, same.top1_share()), (2, 0.0, 1.0));
        assert!(same.is_exact() && same.is_faithful() && (same.cosine - 1.0).abs() < 1e-12);
        let near = check(&[10.0, 0.002], &[10.0, 0.0]);
        assert!(
            (near.relative_error - 2e-4).abs() < 1e-9 && !near.is_exact() && near.is_faithful()
        );
        let off = check(&[1.0, 0.0], &[0.0, 1.0]);
        assert_eq!((off.cosine, off.same_top1, off.is_faithful()), (0.0, 1, false));
    }

    #[test]
    fn what_is_not_a_number_never_agrees() {
        for ours in [&[f32::NAN, 1.0][..], &[f32::INFINITY, 1.0], &[1.0]] {
            let agreement = check(ours, &[0.5, 1.0]);
            assert!(!agreement.is_exact() && !agreement.is_faithful(), "{ours:?}: {agreement:?}");
            let mut later = agreement;
            later.add(&[1.0, 2.0], &[1.0, 2.0]);
            assert!(!later.is_exact(), "{ours:?}: {later:?}");
        }
        assert!(!Agreement::default().is_exact() && !Agreement::default().is_faithful());
    }
}
