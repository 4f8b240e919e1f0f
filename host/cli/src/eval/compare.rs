//! How far the logits are from a reference's.

use std::fmt;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use signalbox_engine::top1;

/// The f32 path must come this close: the largest difference over the reference's largest logit.
const RELATIVE_MAX: f64 = 1e-4;
/// The serving path must point this much the same way at every position.
const COSINE_MIN: f64 = 0.999;
/// And must say the same next token at this share of the positions.
const TOP1_MIN: f64 = 0.99;

/// A comparison under way.
pub(super) struct Comparison {
    /// `(positions, vocab)`
    expected: Vec<Vec<f32>>,
    seen: usize,
    worst: Worst,
    agreed: usize,
}

/// The worst of all positions, and where it was.
#[derive(Debug, Clone, Copy)]
struct Worst {
    relative: (f64, usize),
    cosine: (f64, usize),
}

/// How a comparison came out.
pub(super) struct Verdict {
    positions: usize,
    worst: Worst,
    agreed: usize,
}

impl Comparison {
    /// # Errors
    /// A reference of another shape.
    pub(super) fn new(expected: Vec<Vec<f32>>, vocab: usize, ids: &[u32]) -> Result<Self> {
        ensure!(
            expected.len() == ids.len(),
            "the reference has logits for {} positions and there are {} ids; compare the same text",
            expected.len(),
            ids.len()
        );
        if let Some(row) = expected.iter().find(|row| row.len() != vocab) {
            let found = row.len();
            anyhow::bail!(
                "the reference has {found} logits at a position and the model knows {vocab} tokens; \
                 compare the same checkpoint"
            );
        }
        let worst = Worst { relative: (0.0, 0), cosine: (1.0, 0) };
        Ok(Self { expected, seen: 0, worst, agreed: 0 })
    }

    /// The next position.
    pub(super) fn see(&mut self, logits: &[f32]) {
        let Some(expected) = self.expected.get(self.seen) else { return };
        let (relative, cosine) = (relative(logits, expected), cosine(logits, expected));
        if relative > self.worst.relative.0 {
            self.worst.relative = (relative, self.seen);
        }
        if cosine < self.worst.cosine.0 {
            self.worst.cosine = (cosine, self.seen);
        }
        self.agreed += usize::from(top1(logits) == top1(expected));
        self.seen += 1;
    }

    pub(super) fn verdict(self) -> Verdict {
        Verdict { positions: self.seen, worst: self.worst, agreed: self.agreed }
    }
}

impl Verdict {
    fn agreement(&self) -> f64 {
        self.agreed as f64 / self.positions.max(1) as f64
    }

    /// What is out of the bounds of the path that was run; empty when nothing is.
    pub(super) fn excess(&self, exact: bool) -> Vec<String> {
        let Worst { relative, cosine } = self.worst;
        let mut excess = Vec::new();
        if exact && relative.0 > RELATIVE_MAX {
            let (error, at) = relative;
            excess.push(format!(
                "a relative error of {error:.2e} at position {at}, above {RELATIVE_MAX:e}"
            ));
        }
        if !exact && cosine.0 <= COSINE_MIN {
            let (cosine, at) = cosine;
            excess
                .push(format!("a cosine of {cosine:.6} at position {at}, not above {COSINE_MIN}"));
        }
        if !exact && self.agreement() < TOP1_MIN {
            let (agreed, positions) = (self.agreed, self.positions);
            excess.push(format!(
                "the same top-1 at {agreed} of {positions} positions, below {TOP1_MIN}"
            ));
        }
        excess
    }

    pub(super) fn as_json(&self, exact: bool) -> Value {
        let Worst { relative, cosine } = self.worst;
        json!({
            "relative_error_max": finite(relative.0),
            "relative_error_at": relative.1,
            "cosine_min": finite(cosine.0),
            "cosine_at": cosine.1,
            "top1_agreement": self.agreement(),
            "ok": self.excess(exact).is_empty(),
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Worst { relative, cosine } = self.worst;
        write!(
            f,
            "against the reference: relative error {:.2e} (position {}), cosine {:.7} (position {}), \
             top-1 the same at {} of {}",
            relative.0, relative.1, cosine.0, cosine.1, self.agreed, self.positions
        )
    }
}

/// JSON has no infinity.
fn finite(number: f64) -> Option<f64> {
    Some(number).filter(|number| number.is_finite())
}

/// max|a - b| / max|b|; infinite where a number is none.
fn relative(logits: &[f32], expected: &[f32]) -> f64 {
    let largest = |most: f64, next: f64| if next.is_nan() { f64::INFINITY } else { most.max(next) };
    let pairs = logits.iter().zip(expected);
    let off = pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs()).fold(0.0, largest);
    let scale = expected.iter().map(|b| f64::from(*b).abs()).fold(0.0, largest);
    if off == 0.0 { 0.0 } else { off / scale.max(f64::MIN_POSITIVE) }
}

/// The cosine of the angle between them; -1 where a number is none.
fn cosine(logits: &[f32], expected: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    let lengths = (dot(logits, logits) * dot(expected, expected)).sqrt();
    let cosine = if lengths == 0.0 {
        f64::from(u8::from(logits == expected))
    } else {
        dot(logits, expected) / lengths
    };
    if cosine.is_nan() { -1.0 } else { cosine }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(expected: &[f32], logits: &[f32]) -> Verdict {
        let mut comparison =
            Comparison::new(vec![expected.to_vec()], expected.len(), &[1]).unwrap();
        comparison.see(logits);
        comparison.verdict()
    }

    #[test]
    fn errors_are_relative_to_the_largest_logit() {
        assert_eq!(compared(&[4.0, -8.0], &[4.0, -8.0]).excess(true), [""; 0]);
        let close = compared(&[4.0, -8.0], &[4.0, -8.000_5]);
        assert!((close.worst.relative.0 - 6.25e-5).abs() < 1e-6, "{:?}", close.worst);
        assert!(close.excess(true).is_empty() && close.excess(false).is_empty());
        let far = compared(&[4.0, -8.0], &[4.0, -8.01]);
        assert!(far.excess(true)[0].starts_with("a relative error of 1.25e-3 at position 0"));
        assert!(far.excess(false).is_empty());
    }

    #[test]
    fn the_serving_path_is_judged_by_direction_and_choice() {
        let turned = compared(&[1.0, 0.0], &[1.0, 0.1]);
        assert!(
            turned.excess(false)[0].starts_with("a cosine of 0.995037"),
            "{:?}",
            turned.excess(false)
        );
        let other = compared(&[1.0, 0.999_9], &[0.999_9, 1.0]);
        assert_eq!(other.excess(false), ["the same top-1 at 0 of 1 positions, below 0.99"]);
        assert_eq!(compared(&[0.0, 0.0], &[0.0, 0.0]).excess(false), [""; 0]);
    }

    #[test]
    fn what_is_no_number_is_out_of_bounds() {
        for odd in [f32::NAN, f32::INFINITY] {
            let verdict = compared(&[1.0, 2.0], &[odd, 2.0]);
            assert!(!verdict.excess(true).is_empty() && !verdict.excess(false).is_empty(), "{odd}");
        }
    }

    #[test]
    fn another_shape_is_refused() {
        let told = |rows, vocab, ids: &[u32]| {
            Comparison::new(rows, vocab, ids).err().map(|error| error.to_string()).unwrap()
        };
        assert!(told(vec![vec![0.0]], 1, &[1, 2]).contains("1 positions and there are 2 ids"));
        assert!(told(vec![vec![0.0]], 2, &[1]).contains("1 logits at a position"));
    }
}
