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
        let row = row(feature.bucket);
        for (sum, weight) in sums.iter_mut().zip(row) {
            *sum += feature.weight * weight;
        }
    }
    softmax(sums)
}

/// The words that speak most for `class` and against the others, the strongest first.
pub(crate) fn grounds(seen: &Seen, class: usize) -> Vec<&str> {
    let mut points = vec![0.0f32; seen.words.len()];
    for feature in &seen.features {
        let Some(word) = feature.word else { continue };
        let row = row(feature.bucket);
        let others: f32 = row.iter().sum();
        points[usize::from(word)] += feature.weight * (row[class] - others / CLASSES as f32);
    }
    let mut order: Vec<usize> = (0..points.len()).filter(|&word| points[word] > 0.0).collect();
    order.sort_by(|&a, &b| points[b].total_cmp(&points[a]).then(a.cmp(&b)));
    let mut words: Vec<&str> = Vec::new();
    for word in order.into_iter().filter_map(|at| seen.words.get(at)) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

/// The weights of one bucket.
fn row(bucket: u16) -> Scores {
    const SCALE: f32 = f32::from_le_bytes([
        WEIGHTS[TABLE],
        WEIGHTS[TABLE + 1],
        WEIGHTS[TABLE + 2],
        WEIGHTS[TABLE + 3],
    ]);
    let at = usize::from(bucket) * CLASSES;
    std::array::from_fn(|class| f32::from(WEIGHTS[at + class].cast_signed()) * SCALE)
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
