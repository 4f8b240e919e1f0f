//! Every golden checkpoint against the logits that transformers recorded for it: see tests/golden.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "goldens/case.rs"]
mod case;

use case::{Case, EXACT, SERVING};
use signalbox_engine::Scoring;

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
