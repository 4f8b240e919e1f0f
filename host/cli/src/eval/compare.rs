//! A reference's logits, held against ours as they come.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use signalbox_engine::Agreement;

/// A comparison under way.
pub(super) struct Comparison {
    /// `(positions, vocab)`
    expected: Vec<Vec<f32>>,
    agreement: Agreement,
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
        Ok(Self { expected, agreement: Agreement::default() })
    }

    /// The next position.
    pub(super) fn see(&mut self, logits: &[f32]) {
        if let Some(expected) = self.expected.get(self.agreement.positions) {
            self.agreement.add(logits, expected);
        }
    }

    pub(super) fn verdict(&self) -> Agreement {
        self.agreement
    }
}

pub(super) fn as_json(agreement: &Agreement, exact: bool) -> Value {
    // JSON has no infinity.
    let finite = |number: f64| Some(number).filter(|number| number.is_finite());
    json!({
        "relative_error_max": finite(agreement.relative_error.0),
        "relative_error_at": agreement.relative_error.1,
        "cosine_min": finite(agreement.cosine.0),
        "cosine_at": agreement.cosine.1,
        "top1_agreement": agreement.top1_share(),
        "ok": agreement.excess(exact).is_empty(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_shape_is_refused() {
        let message = |rows, vocab, ids: &[u32]| {
            Comparison::new(rows, vocab, ids).err().map(|error| error.to_string()).unwrap()
        };
        assert!(message(vec![vec![0.0]], 1, &[1, 2]).contains("1 positions and there are 2 ids"));
        assert!(message(vec![vec![0.0]], 2, &[1]).contains("1 logits at a position"));
    }
}
