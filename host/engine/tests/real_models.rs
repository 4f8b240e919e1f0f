//! Models that people use, kept apart from the default run because they must be downloaded first.
//! What ours thinks of three passages is held to what transformers thought of them, and Qwen has to
//! write a program that works.
//!
//! ```sh
//! export SIGNALBOX_MODEL_CACHE=$(dirname "$(tests/models/fetch)")
//! cargo test --release -p signalbox-engine --test real_models -- --ignored --nocapture smollm2
//! ```
//!
//! After `tests/models/fetch all`, leave the last word out.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "engine/support.rs"]
mod support;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde::Deserialize;
use signalbox_engine::{ExpertSettings, Fleet, Sampling, Scorer, Scoring, nll, top1};
use support::{Reply, ask, chat, settings};

const SMOLLM2: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
const GEMMA3: &str = "gemma-3-270m.Q4_K_M.gguf";
const QWEN: &str = "Qwen2.5-Coder-1.5B-Instruct.Q4_K_M.gguf";

/// How far a perplexity may be off, relatively.
const PERPLEXITY_ERROR_MAX: f64 = 0.01;
/// How many of the most likely tokens must be the same.
const AGREEMENT_MIN: f64 = 0.97;
/// A program of Qwen's that runs longer has failed.
const PROGRAM_TIME_MAX: Duration = Duration::from_secs(20);

fn cached(file: &str) -> PathBuf {
    let cache = env::var_os("SIGNALBOX_MODEL_CACHE").expect("set SIGNALBOX_MODEL_CACHE; see above");
    PathBuf::from(cache).join(file)
}

fn recorded(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/models/real").join(name)
}

/// What transformers recorded of a model, in f32 from the dequantised weights.
#[derive(Deserialize)]
struct Recorded {
    passages: BTreeMap<String, Passage>,
}

#[derive(Deserialize)]
struct Passage {
    ids: Vec<u32>,
    perplexity: f64,
    /// Of each token but the first, in nats.
    nll: Vec<f64>,
    /// The most likely token behind each.
    top1: Vec<u32>,
}

/// What ours says of a passage.
#[derive(Default)]
struct Scored {
    nll: Vec<f64>,
    top1: Vec<u32>,
}

impl Scored {
    fn of(scorer: &Scorer, ids: &[u32]) -> Self {
        let mut scored = Self::default();
        let mut next = ids.iter().skip(1);
        scorer
            .score(ids, &[], &mut |logits| {
                scored.top1.push(top1(logits));
                scored.nll.extend(next.next().map(|&id| nll(logits, id)));
            })
            .unwrap();
        scored
    }

    fn perplexity(&self) -> f64 {
        (self.nll.iter().sum::<f64>() / self.nll.len() as f64).exp()
    }
}

/// Every passage within the bounds; all are measured and printed before any may fail.
fn check_passages(name: &str, file: &str) {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let how = Scoring { exact: false, threads, chunk: None };
    let scorer = Scorer::open(&cached(file), how).unwrap();
    let recorded = fs::read(recorded(&format!("{name}.json"))).unwrap();
    let recorded: Recorded = serde_json::from_slice(&recorded).unwrap();
    assert_eq!(recorded.passages.len(), 3);
    let check = |(passage, expected): (&String, &Passage)| {
        let text = fs::read_to_string(recorded(&format!("passages/{passage}.txt"))).unwrap();
        assert_eq!(scorer.encode(&text).unwrap(), expected.ids, "{name}: {passage}");
        !measure(&scorer, &format!("{name} {passage}"), expected)
    };
    let wrong = recorded.passages.iter().map(check).filter(|wrong| *wrong).count();
    assert_eq!(wrong, 0, "{name}: passages out of bounds; see above");
}

fn measure(scorer: &Scorer, title: &str, expected: &Passage) -> bool {
    let begun = Instant::now();
    let ours = Scored::of(scorer, &expected.ids);
    let speed = expected.ids.len() as f64 / begun.elapsed().as_secs_f64();
    assert_eq!((ours.nll.len(), ours.top1.len()), (expected.nll.len(), expected.top1.len()));
    let same = ours.top1.iter().zip(&expected.top1).filter(|(ours, theirs)| ours == theirs).count();
    let agreement = same as f64 / expected.top1.len() as f64;
    let error = ours.perplexity() / expected.perplexity - 1.0;
    let gaps = ours.nll.iter().zip(&expected.nll).map(|(ours, theirs)| (ours - theirs).abs());
    println!(
        "{title}: {} tokens, perplexity {:.4} against {:.4} ({:+.3} %), top-1 {:.2} %, largest \
         difference of a token {:.4} nats, {speed:.1} tokens/s",
        expected.ids.len(),
        ours.perplexity(),
        expected.perplexity,
        100.0 * error,
        100.0 * agreement,
        gaps.fold(0.0, f64::max),
    );
    error.abs() <= PERPLEXITY_ERROR_MAX && agreement >= AGREEMENT_MIN
}

/// A greedy answer of one expert, alone in its fleet.
async fn greedily(file: &str, question: &str, max_tokens: u32) -> Reply {
    let mut settings = settings(&[]);
    settings.experts = vec![ExpertSettings {
        id: "real".into(),
        path: cached(file),
        max_model_len: Some(2048),
        ..support::toy("phi4_fast")
    }];
    settings.lazy_loading.max_loaded_experts = 1;
    let mut request = chat(question);
    request.sampling = Sampling { temperature: Some(0.0), ..Sampling::default() };
    request.max_tokens = Some(max_tokens);
    ask(&Fleet::start(settings), "real", request).await.unwrap()
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
    let program = format!("{code}\n{PROOF}");
    assert_eq!(run_python(&program).trim(), "sorted", "{program}");
}

/// Sorts lists whose order is known, behind the function to be proved.
const PROOF: &str = "
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
