//! Every golden cross-encoder against the scores that transformers recorded for pairs of texts, by way of a fleet.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use signalbox_engine::{
    EmbedRequest, Embeddable, EngineError, Fleet, Templates, inspect, self_test,
};

use crate::encoders::{cases_of, expert, fleet_of, id};

/// The largest error of a score between 0 and 1.
const ERROR_MAX: f32 = 1e-4;

/// A pair, how many of its tokens are read, how many there are, and its score.
#[derive(Deserialize)]
struct Expected {
    query: String,
    text: String,
    most: Option<u32>,
    tokens: u32,
    score: f32,
}

fn cases() -> Vec<PathBuf> {
    cases_of("rankers", 3)
}

fn fleet() -> Fleet {
    fleet_of(cases().into_iter())
}

fn expected(folder: &Path) -> Vec<Expected> {
    serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap()
}

fn pair(one: &Expected) -> Embeddable {
    Embeddable::Pair(one.query.as_str().into(), one.text.clone())
}

/// Pairs of which at most so many tokens are read.
fn of(texts: Vec<Embeddable>, tokens_max: Option<u32>) -> EmbedRequest {
    EmbedRequest { texts, tokens_max, truncate: tokens_max.is_some(), ..EmbedRequest::default() }
}

#[tokio::test]
async fn scores_and_tokens_are_those_of_transformers() {
    let fleet = fleet();
    for folder in cases() {
        let (name, expected) = (id(&folder), expected(&folder));
        assert!(expected.iter().any(|one| one.most.is_some()), "{name}: none is cut");
        for one in &expected {
            let scored = fleet.embed(&name, of(vec![pair(one)], one.most)).await.unwrap();
            let what = format!("{name}: '{}' for '{}'", one.text, one.query);
            assert_eq!(scored.tokens, [one.tokens], "{what}");
            let error = (scored.vectors[0][0] - one.score).abs();
            assert!(scored.vectors[0].len() == 1 && error < ERROR_MAX, "{what} is off by {error}");
        }
        let whole = expected.iter().filter(|one| one.most.is_none());
        let (pairs, alone): (Vec<_>, Vec<_>) = whole.map(|one| (pair(one), one.score)).unzip();
        let together = fleet.embed(&name, of(pairs.clone(), None)).await.unwrap().vectors;
        for ((pair, vector), score) in pairs.into_iter().zip(&together).zip(alone) {
            assert!((vector[0] - score).abs() < ERROR_MAX, "{name}: among others");
            let alone = fleet.embed(&name, of(vec![pair], None)).await.unwrap().vectors;
            assert_eq!(alone[0], *vector, "{name}: the same bits alone and among others");
        }
    }
}

#[tokio::test]
async fn a_cross_encoder_scores_pairs_and_nothing_else() {
    let (fleet, folder) = (fleet(), cases().remove(0));
    let (name, expected) = (id(&folder), expected(&folder));
    assert_eq!(fleet.status(&name).unwrap().capabilities, ["rerank"]);
    let text = Embeddable::Text("Hello".into());
    let error = fleet.embed(&name, of(vec![text], None)).await.unwrap_err();
    assert!(matches!(error, EngineError::NoVectors { .. }), "{error}");
    let short = EmbedRequest { tokens_max: Some(9), ..of(vec![pair(&expected[4])], None) };
    let error = fleet.embed(&name, short).await.unwrap_err();
    assert!(matches!(error, EngineError::TextTooLong { context: 9, .. }), "{error}");
    let settings = expert(folder);
    let seen = inspect(&settings, &Templates::InProcess);
    assert_eq!((seen.failure(), seen.ranks, seen.vector_width), (None, true, Some(1)));
    let tested = self_test(&settings, &Templates::InProcess, 1 << 30).await.unwrap();
    assert_eq!((tested.vector_width, tested.tokens), (Some(1), 0));
}
