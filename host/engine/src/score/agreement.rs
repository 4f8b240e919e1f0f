//! How far a model's logits are from those that a reference computed for the same tokens.

use std::fmt;

use super::top1;

/// The f32 path must come this close: the largest difference over the reference's largest logit.
const RELATIVE_ERROR_MAX: f64 = 1e-4;
/// The serving path must point this much the same way at every position.
const COSINE_MIN: f64 = 0.999;
/// And must say the same next token at this share of the positions.
const TOP1_MIN: f64 = 0.99;

/// The worst of all positions, and where it was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Agreement {
    /// Positions compared.
    pub positions: usize,
    /// Largest `max |ours - theirs| / max |theirs|` and its position; infinite where a number is none.
    pub relative_error: (f64, usize),
    /// Smallest cosine of the angle between the two and its position; -1 where a number is none.
    pub cosine: (f64, usize),
    /// Positions at which both would have said the same token next.
    pub same_top1: usize,
}

impl Default for Agreement {
    fn default() -> Self {
        Self { positions: 0, relative_error: (0.0, 0), cosine: (1.0, 0), same_top1: 0 }
    }
}

impl Agreement {
    /// Compares the next position's logits, both `(vocab)`.
    pub fn add(&mut self, ours: &[f32], theirs: &[f32]) {
        let (error, cosine) = match ours.len() == theirs.len() {
            true => (relative_error(ours, theirs), cosine(ours, theirs)),
            false => (f64::INFINITY, -1.0),
        };
        if error > self.relative_error.0 {
            self.relative_error = (error, self.positions);
        }
        if cosine < self.cosine.0 {
            self.cosine = (cosine, self.positions);
        }
        self.same_top1 += usize::from(top1(ours) == top1(theirs));
        self.positions += 1;
    }

    /// Share of positions with the same most likely token, 0 to 1.
    pub fn top1_share(&self) -> f64 {
        self.same_top1 as f64 / self.positions.max(1) as f64
    }

    /// What is out of the bounds of a path, in words; empty when nothing is. The f32 reference path
    /// promises a relative error of at most 1e-4; the serving path cosines above 0.999 and 99 of 100
    /// most likely tokens.
    pub fn excess(&self, exact: bool) -> Vec<String> {
        let mut excess = Vec::new();
        if self.positions == 0 {
            excess.push("nothing was compared".to_owned());
        }
        let (error, at) = self.relative_error;
        if exact && error > RELATIVE_ERROR_MAX {
            excess.push(format!(
                "a relative error of {error:.2e} at position {at}, above {RELATIVE_ERROR_MAX:e}"
            ));
        }
        let (cosine, at) = self.cosine;
        if !exact && cosine <= COSINE_MIN {
            excess
                .push(format!("a cosine of {cosine:.6} at position {at}, not above {COSINE_MIN}"));
        }
        if !exact && self.top1_share() < TOP1_MIN {
            let (same, positions) = (self.same_top1, self.positions);
            excess.push(format!(
                "the same top-1 at {same} of {positions} positions, below {TOP1_MIN}"
            ));
        }
        excess
    }
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((error, worst), (cosine, odd)) = (self.relative_error, self.cosine);
        write!(
            f,
            "relative error {error:.2e} (position {worst}), cosine {cosine:.7} (position {odd}), \
             top-1 the same at {} of {}",
            self.same_top1, self.positions
        )
    }
}

fn relative_error(ours: &[f32], theirs: &[f32]) -> f64 {
    let largest = |most: f64, next: f64| if next.is_nan() { f64::INFINITY } else { most.max(next) };
    let pairs = ours.iter().zip(theirs);
    let off = pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs()).fold(0.0, largest);
    let scale = theirs.iter().map(|b| f64::from(*b).abs()).fold(0.0, largest);
    if off == 0.0 { 0.0 } else { off / scale.max(f64::MIN_POSITIVE) }
}

fn cosine(ours: &[f32], theirs: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    let lengths = (dot(ours, ours) * dot(theirs, theirs)).sqrt();
    let cosine = match lengths == 0.0 {
        true => f64::from(u8::from(ours == theirs)),
        false => dot(ours, theirs) / lengths,
    };
    if cosine.is_nan() { -1.0 } else { cosine }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(theirs: &[f32], ours: &[f32]) -> Agreement {
        let mut agreement = Agreement::default();
        agreement.add(&[1.0, 2.0], &[1.0, 2.0]);
        agreement.add(ours, theirs);
        agreement
    }

    #[test]
    fn errors_are_relative_to_the_largest_logit() {
        assert_eq!(compared(&[4.0, -8.0], &[4.0, -8.0]).excess(true), [""; 0]);
        let close = compared(&[4.0, -8.0], &[4.0, -8.000_5]);
        assert!((close.relative_error.0 - 6.25e-5).abs() < 1e-6, "{close}");
        assert!(close.excess(true).is_empty() && close.excess(false).is_empty());
        let far = compared(&[4.0, -8.0], &[4.0, -8.01]);
        assert!(far.excess(true)[0].starts_with("a relative error of 1.25e-3 at position 1"));
        assert!(far.excess(false).is_empty());
    }

    #[test]
    fn the_serving_path_is_judged_by_direction_and_choice() {
        let turned = compared(&[1.0, 0.0], &[1.0, 0.1]).excess(false);
        assert!(turned[0].starts_with("a cosine of 0.995037 at position 1"), "{turned:?}");
        let other = compared(&[1.0, 0.999_9], &[0.999_9, 1.0]);
        assert_eq!(other.excess(false), ["the same top-1 at 1 of 2 positions, below 0.99"]);
        assert_eq!(compared(&[0.0, 0.0], &[0.0, 0.0]).excess(false), [""; 0]);
    }

    #[test]
    fn what_is_no_number_or_not_there_never_agrees() {
        for ours in [&[f32::NAN, 2.0][..], &[f32::INFINITY, 2.0], &[2.0]] {
            let mut agreement = compared(&[1.0, 2.0], ours);
            agreement.add(&[1.0, 2.0], &[1.0, 2.0]);
            let excess = [true, false].map(|exact| agreement.excess(exact).len());
            assert!(excess.iter().all(|found| *found > 0), "{ours:?}: {agreement}");
        }
        assert_eq!(Agreement::default().excess(true), ["nothing was compared"]);
    }
}
