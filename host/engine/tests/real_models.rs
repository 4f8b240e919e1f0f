//! Models that people use, kept apart from the default run because they must be downloaded first.
//! What ours thinks of three passages is held to what transformers thought of them, and Qwen has to
//! write a program that works. Encoders make the vectors of transformers.
//!
//! ```sh
//! export SIGNALBOX_MODEL_CACHE=$(dirname "$(tests/models/fetch)")
//! cargo test --release -p signalbox-engine --test real_models -- --ignored --nocapture smollm2
//! ```
//!
//! After `tests/models/fetch all`, leave the last word out.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "real_models/passages.rs"]
mod passages;
#[path = "engine/support.rs"]
mod support;
#[path = "goldens/vectors.rs"]
mod vectors;

use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use passages::{GEMMA3, QWEN, SMOLLM2};
use signalbox_engine::{ExpertSettings, Fleet, Quantization, Sampling};
use support::{Reply, ask, chat, settings};

/// Tokens whose scores are compared bit for bit.
const CUT_TOKENS: usize = 48;
/// Between a vector of an encoder with weights of 8 bits and that of transformers.
const INT8_COSINE_MIN: f32 = 0.999;
/// A program of Qwen's that runs longer has failed.
const PROGRAM_TIME_MAX: Duration = Duration::from_secs(20);

fn cached(file: &str) -> PathBuf {
    let cache = env::var_os("SIGNALBOX_MODEL_CACHE").expect("set SIGNALBOX_MODEL_CACHE; see above");
    PathBuf::from(cache).join(file)
}

/// Every passage within the bounds; all are measured and printed before any may fail. How the work is
/// cut changes no number.
fn check_passages(name: &str, file: &str) {
    let measured = passages::measure(name, &cached(file));
    measured.iter().for_each(|passage| println!("{name} {passage}"));
    let wrong: Vec<_> = measured.iter().filter(|passage| !passage.is_within_bounds()).collect();
    assert!(measured.len() == 3 && wrong.is_empty(), "{name}: out of bounds: {}", wrong.len());
    check_cuts(name, file);
}

/// One thread or several, one piece or chunks: the same bits.
fn check_cuts(name: &str, file: &str) {
    let ids = &passages::recorded(name)["code"].ids[..CUT_TOKENS];
    let score =
        |threads, chunk| passages::score(&passages::open(&cached(file), threads, chunk), ids);
    let whole = score(1, None);
    for (threads, chunk) in [(2, None), (1, Some(7)), (2, Some(32)), (3, Some(1))] {
        assert!(score(threads, chunk) == whole, "{name}: {threads} threads, chunks of {chunk:?}");
    }
}

/// A fleet of one expert, `real`.
fn alone(file: &str, quantization: Option<Quantization>) -> Fleet {
    let mut settings = settings(&[]);
    settings.experts = vec![ExpertSettings {
        id: "real".into(),
        path: cached(file),
        max_model_len: Some(2048),
        quantization,
        ..support::toy("phi4_fast")
    }];
    settings.lazy_loading.max_loaded_experts = 1;
    Fleet::start(settings)
}

/// An encoder makes the vectors of transformers, and nearly the same ones with weights of 8 bits. What a short text
/// takes is printed.
async fn check_vectors(name: &str, folder: &str) {
    let recorded = vectors::expected(&support::folder("real").join(format!("{name}.json")));
    let plain = alone(folder, None);
    vectors::check(&plain, "real", &recorded).await;
    println!("{name}: {}", short_text(&plain, &recorded).await);

    let narrow = alone(folder, Some(Quantization::Int8));
    let request = vectors::of(vectors::texts(&recorded), false);
    let embedded = narrow.embed("real", request).await.unwrap();
    let cosine = vectors::least_cosine(&recorded, &embedded.vectors);
    println!("{name}, int8: cosine {cosine}, {}", short_text(&narrow, &recorded).await);
    assert!(cosine > INT8_COSINE_MIN, "{name}: {cosine}");
}

/// The median of how long the first text takes.
async fn short_text(fleet: &Fleet, recorded: &[vectors::Expected]) -> String {
    let mut took: Vec<Duration> = Vec::new();
    for _ in 0..50 {
        let request = vectors::of(vectors::texts(&recorded[..1]), false);
        let began = Instant::now();
        fleet.embed("real", request).await.unwrap();
        took.push(began.elapsed());
    }
    took.sort();
    format!("{} tokens in {:?}", recorded[0].ids.len(), took[took.len() / 2])
}

/// A greedy answer of one expert.
async fn greedily(file: &str, question: &str, max_tokens: u32) -> Reply {
    let mut request = chat(question);
    request.sampling = Sampling { temperature: Some(0.0), ..Sampling::default() };
    request.max_tokens = Some(max_tokens);
    ask(&alone(file, None), "real", request).await.unwrap()
}

#[test]
#[ignore = "needs a downloaded model; tests/models/fetch gets it"]
fn smollm2_thinks_of_the_passages_as_transformers_does() {
    check_passages("smollm2", SMOLLM2);
}

#[tokio::test]
#[ignore = "needs a downloaded model; tests/models/fetch gets it"]
async fn smollm2_knows_the_capital_of_france() {
    let reply = greedily(SMOLLM2, "What is the capital of France?", 64).await;
    assert!(reply.text.contains("Paris"), "{}", reply.text);
}

#[tokio::test]
#[ignore = "needs a downloaded model; tests/models/fetch gets it"]
async fn minilm_makes_the_vectors_of_transformers() {
    check_vectors("minilm", "all-MiniLM-L6-v2").await;
}

#[tokio::test]
#[ignore = "needs a downloaded model; tests/models/fetch gets it"]
async fn e5_makes_the_vectors_of_transformers() {
    check_vectors("e5", "multilingual-e5-small").await;
}

#[test]
#[ignore = "needs a downloaded model; tests/models/fetch gets it"]
fn gemma3_thinks_of_the_passages_as_transformers_does() {
    check_passages("gemma3", GEMMA3);
}

#[test]
#[ignore = "needs a downloaded model; tests/models/fetch gets it"]
fn qwen_thinks_of_the_passages_as_transformers_does() {
    check_passages("qwen", QWEN);
}

#[tokio::test]
#[ignore = "needs a downloaded model; tests/models/fetch gets it"]
async fn qwen_writes_a_quicksort_that_runs() {
    let question = "Write a Python function quicksort(items) that returns a new sorted list. \
                    Answer with one code block: the function only, no example and no explanation.";
    let reply = greedily(QWEN, question, 320).await;
    let seconds = reply.timings.decode.as_secs_f64();
    println!("{}\n{:.2} tokens/s", reply.text, f64::from(reply.usage.completion_tokens) / seconds);
    let code = code_block(&reply.text).expect("the answer holds a code block");
    let program = format!("{code}\n{ASSERTIONS}");
    assert_eq!(run_python(&program).trim(), "sorted", "{program}");
}

/// Sorts lists whose order is known, behind the function under test.
const ASSERTIONS: &str = "
import random
dice = random.Random(7)
lists = [[], [1], [2, 1], [3, 3, 3], [5, -1, 5, 0, -1], list(range(50)), list(range(50, 0, -1))]
lists += [[dice.randrange(10) for _ in range(100)] for _ in range(20)]
lists += [[dice.random() for _ in range(100)], ['pear', 'fig', 'apple', 'fig']]
for items in lists:
    found = quicksort(list(items))
    assert found == sorted(items), (items, found)
print('sorted')
";

/// What stands in the first fenced block of an answer.
fn code_block(answer: &str) -> Option<&str> {
    let (_, fenced) = answer.split_once("```")?;
    let (_, body) = fenced.split_once('\n')?;
    body.split_once("```").map(|(code, _)| code)
}

/// What a program prints; one that fails or doesn't end fails the test.
fn run_python(program: &str) -> String {
    let mut child = Command::new("python3")
        .args(["-I", "-c", program])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3 is on the path");
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > PROGRAM_TIME_MAX {
            child.kill().unwrap();
            panic!("the program did not end:\n{program}");
        }
        thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{program}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
