//! Vectors that transformers recorded, and whether a fleet makes the same ones.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::path::Path;

use serde::Deserialize;
use signalbox_engine::{EmbedRequest, Embeddable, Fleet};

/// The largest error, of the largest element.
const ERROR_MAX: f32 = 1e-4;

/// A text, its tokens, and its vector.
#[derive(Deserialize)]
pub(crate) struct Expected {
    pub(crate) text: String,
    pub(crate) ids: Vec<u32>,
    vector: Vec<f32>,
}

pub(crate) fn expected(file: &Path) -> Vec<Expected> {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

pub(crate) fn texts(expected: &[Expected]) -> Vec<Embeddable> {
    expected.iter().map(|one| Embeddable::Text(one.text.clone())).collect()
}

pub(crate) fn of(texts: Vec<Embeddable>, truncate: bool) -> EmbedRequest {
    EmbedRequest { texts, truncate, ..EmbedRequest::default() }
}

/// The smallest cosine between a vector and the one that was recorded.
pub(crate) fn least_cosine(expected: &[Expected], vectors: &[Vec<f32>]) -> f32 {
    let cosine = |(one, vector): (&Expected, &Vec<f32>)| {
        one.vector.iter().zip(vector).map(|(a, b)| a * b).sum::<f32>()
    };
    expected.iter().zip(vectors).map(cosine).fold(1.0, f32::min)
}

/// Every vector within the bound and of the length one, every text of as many tokens, and the same bits when tokens are
/// sent in place of texts.
pub(crate) async fn check(fleet: &Fleet, name: &str, expected: &[Expected]) {
    let embedded = fleet.embed(name, of(texts(expected), false)).await.unwrap();
    for ((one, vector), tokens) in expected.iter().zip(&embedded.vectors).zip(embedded.tokens) {
        let text = &one.text;
        assert_eq!(tokens as usize, one.ids.len(), "{name}: tokens of '{text}'");
        let largest = one.vector.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        let error = one.vector.iter().zip(vector).map(|(a, b)| (a - b).abs());
        let error = error.fold(0.0, f32::max) / largest;
        assert!(error < ERROR_MAX, "{name}: '{text}' is off by {error}");
        let length: f32 = vector.iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-5, "{name}: a vector of the length {length}");
    }
    let tokens = expected.iter().map(|one| Embeddable::Tokens(one.ids.clone())).collect();
    let again = fleet.embed(name, of(tokens, false)).await.unwrap();
    assert_eq!(again.vectors, embedded.vectors, "{name}: sent as tokens");
}
