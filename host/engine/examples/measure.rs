//! Prints the tables of the README's section "Is it right?": how far the engine is from transformers, on
//! every golden, and on the real models that tests/models/fetch has brought.
//!
//! ```sh
//! cargo run --release -p signalbox-engine --example measure
//! ```

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "it is run by hand")]

#[path = "../tests/goldens/case.rs"]
mod case;
#[path = "../tests/real_models/passages.rs"]
mod passages;

use std::{collections::BTreeMap, env, path::PathBuf, process::ExitCode};

use case::{Case, EXACT, SERVING};
use passages::{GEMMA3, QWEN, SMOLLM2};

/// What is shown in one line.
#[derive(Default)]
struct Line {
    goldens: usize,
    /// The f32 path's largest.
    relative_error: f64,
    /// The serving path's smallest, as its distance from one.
    off_cosine: f64,
    same_top1: usize,
    positions: usize,
}

/// Fails when anything is out of its bounds.
fn main() -> ExitCode {
    let sound = [goldens(), real_models()];
    if sound == [true; 2] { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn goldens() -> bool {
    let mut sound = true;
    let mut lines: BTreeMap<&str, Line> = BTreeMap::new();
    for case in Case::all() {
        let [exact, serving] = [EXACT, SERVING].map(|how| case.agreement(how).unwrap());
        sound &= exact.excess(true).is_empty() && serving.excess(false).is_empty();
        let line = lines.entry(kind(&case.name)).or_default();
        line.goldens += 1;
        line.relative_error = line.relative_error.max(exact.relative_error.0);
        line.off_cosine = line.off_cosine.max(1.0 - serving.cosine.0);
        line.same_top1 += serving.same_top1;
        line.positions += serving.positions;
    }
    println!(
        "| goldens | | f32 path: relative error | serving: 1 - cosine | serving: same top-1 |"
    );
    println!("|---|---|---|---|---|");
    for (kind, line) in lines {
        let Line { goldens, relative_error, off_cosine, same_top1, positions } = line;
        println!(
            "| {kind} | {goldens} | {relative_error:.1e} | {off_cosine:.1e} | {same_top1} of {positions} |"
        );
    }
    sound
}

/// What a golden is there for, by its name.
fn kind(name: &str) -> &'static str {
    let kinds = [
        ("gguf-", "GGUF: eleven tensor types, six architectures"),
        ("-awq", "AWQ: gemm, gemv, groups of 32 to 128"),
        ("-ct-", "compressed-tensors: symmetric, asymmetric, groups, channels"),
        ("-vision", "Gemma 3 with images"),
        ("gemma3", "Gemma 3"),
        ("phi3", "Phi 3, both rotary regimes"),
        ("mistral", "Mistral 0.1 and 0.2"),
        ("qwen2", "Qwen 2"),
        ("cohere", "Cohere"),
        ("llama", "Llama"),
    ];
    kinds.into_iter().find(|(part, _)| name.contains(part)).map_or("others", |(_, kind)| kind)
}

fn real_models() -> bool {
    let mut sound = true;
    let Some(cache) = env::var_os("SIGNALBOX_MODEL_CACHE").map(PathBuf::from) else { return sound };
    println!("\n| real model | passage | perplexity, ours | transformers' | same top-1 |");
    println!("|---|---|---|---|---|");
    for (name, file) in [("smollm2", SMOLLM2), ("gemma3", GEMMA3), ("qwen", QWEN)] {
        let file = cache.join(file);
        let measured = if file.exists() { passages::measure(name, &file) } else { Vec::new() };
        for passage in measured {
            sound &= passage.is_within_bounds();
            println!(
                "| {} | {} | {:.4} | {:.4} | {:.1} % |",
                file.file_stem().unwrap().display(),
                passage.passage,
                passage.ours,
                passage.theirs,
                100.0 * passage.agreement,
            );
        }
    }
    sound
}
