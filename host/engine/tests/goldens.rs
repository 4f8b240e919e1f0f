//! Every golden checkpoint against the logits that transformers recorded for it: see tests/golden.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "goldens/case.rs"]
mod case;
#[path = "goldens/encoders.rs"]
mod encoders;
#[path = "goldens/rankers.rs"]
mod rankers;
#[path = "goldens/vectors.rs"]
mod vectors;

use case::{Case, EXACT, SERVING};
use signalbox_engine::{KvCacheDType, Scoring};

/// Runs a check on every case and reports all that fail it.
fn check(what: &str, holds: impl Fn(&Case) -> Result<(), String>) {
    let failed: Vec<String> = Case::all()
        .iter()
        .filter_map(|case| holds(case).err().map(|why| format!("{}: {why}", case.name)))
        .collect();
    assert!(failed.is_empty(), "{what}:\n{}", failed.join("\n"));
}

fn agrees(case: &Case, how: Scoring) -> Result<(), String> {
    let excess = case.agreement(how)?.excess(how.exact);
    if excess.is_empty() { Ok(()) } else { Err(excess.join("; ")) }
}

#[test]
fn the_reference_path_is_exact() {
    check("relative error over 1e-4", |case| agrees(case, EXACT));
}

#[test]
fn the_serving_path_is_faithful() {
    let what = "cosine under 0.999 or top-1 under 99 %";
    check(what, |case| agrees(case, SERVING));
}

/// The smallest cosine with 8 bits for keys and values in these small random models.
const NARROW_COSINE_MIN: f64 = 0.998;

#[test]
fn a_cache_of_8_bits_is_near_and_keys_with_biases_are_kept_from_it() {
    let narrow = Scoring { kv_cache_dtype: KvCacheDType::Int8, ..SERVING };
    let mut narrowed = 0;
    for case in Case::all() {
        let cosine = case.agreement(narrow).unwrap().cosine.0;
        assert!(cosine > NARROW_COSINE_MIN, "{}: a cosine of {cosine}", case.name);
        narrowed += usize::from(case.logits(narrow).unwrap() != case.logits(SERVING).unwrap());
        let biased = case.name.contains("key-bias");
        assert!(!biased || case.logits(narrow).unwrap() == case.logits(SERVING).unwrap());
    }
    assert!(narrowed > 30, "only {narrowed} caches were of 8 bits");
}

#[test]
fn neither_threads_nor_chunks_change_a_bit() {
    check("not the same as in one piece", |case| {
        let whole = case.logits(SERVING)?;
        let threads = [2, 3].map(|threads| Scoring { threads, ..SERVING });
        let chunks = (1..whole.len()).map(|size| Scoring { chunk: Some(size), ..SERVING });
        for how in threads.into_iter().chain(chunks) {
            if case.logits(how)? != whole {
                return Err(format!("{how:?}"));
            }
        }
        Ok(())
    });
}
