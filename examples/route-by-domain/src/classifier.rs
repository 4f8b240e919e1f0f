//! The classifier: one table of weights, a row per feature and a column per domain, and a softmax over what they
//! sum up to. Training makes the table; it lies inside the component.

use crate::domains::DOMAINS;
use crate::features::{BUCKETS, Seen};

/// A text that stands on the one before it: "Now make it shorter". The column behind the domains.
pub(crate) const FOLLOW_UP: usize = DOMAINS.len();
/// Columns.
pub(crate) const CLASSES: usize = DOMAINS.len() + 1;

/// Bytes of the table, behind which the scale stands.
const TABLE: usize = BUCKETS * CLASSES;
/// Rows of columns, one byte each, and then what a step of a byte is worth, as a little-endian float.
static WEIGHTS: &[u8; TABLE + 4] = include_bytes!("weights.bin");

/// How probable each class is.
pub(crate) type Scores = [f32; CLASSES];

/// How probable each class is for a text.
pub(crate) fn scores(seen: &Seen) -> Scores {
    let mut sums = [0.0; CLASSES];
    for feature in &seen.features {
        for (class, sum) in sums.iter_mut().enumerate() {
            *sum += feature.weight * weight(feature.bucket, class);
        }
    }
    softmax(sums)
}

/// The words that speak most for `class` and against the others, the strongest first.
pub(crate) fn grounds(seen: &Seen, class: usize) -> Vec<&str> {
    let mut points = vec![0.0f32; seen.words.len()];
    for feature in &seen.features {
        let Some(word) = feature.word else { continue };
        let others: f32 = (0..CLASSES).map(|other| weight(feature.bucket, other)).sum();
        points[word] += feature.weight * (weight(feature.bucket, class) - others / CLASSES as f32);
    }
    let mut order: Vec<usize> = (0..points.len()).filter(|&word| points[word] > 0.0).collect();
    order.sort_by(|&a, &b| points[b].total_cmp(&points[a]).then(a.cmp(&b)));
    let mut words: Vec<&str> = Vec::new();
    for word in order.into_iter().map(|at| seen.words[at].as_str()) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

fn weight(bucket: usize, class: usize) -> f32 {
    let scale = f32::from_le_bytes([
        WEIGHTS[TABLE],
        WEIGHTS[TABLE + 1],
        WEIGHTS[TABLE + 2],
        WEIGHTS[TABLE + 3],
    ]);
    f32::from(WEIGHTS[bucket * CLASSES + class].cast_signed()) * scale
}

pub(crate) fn softmax(sums: Scores) -> Scores {
    let most = sums.iter().copied().fold(f32::MIN, f32::max);
    let powers = sums.map(|sum| exp(sum - most));
    let total: f32 = powers.iter().sum();
    powers.map(|power| power / total)
}

/// (1 + x/1024)^1024: with nothing but sums and products, so that every machine computes the same bits.
fn exp(x: f32) -> f32 {
    (0..10).fold((1.0 + x / 1024.0).max(0.0), |power, _| power * power)
}
