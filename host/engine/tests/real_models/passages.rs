//! What a real model thinks of three passages, beside what transformers thought of them.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    thread,
    time::Instant,
};

use serde::Deserialize;
use signalbox_engine::{KvCacheDType, Scorer, Scoring, nll, top1};

/// The files that tests/models/fetch brings.
pub(crate) const SMOLLM2: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
pub(crate) const GEMMA3: &str = "gemma-3-270m.Q4_K_M.gguf";
pub(crate) const QWEN: &str = "Qwen2.5-Coder-1.5B-Instruct.Q4_K_M.gguf";

/// How far a perplexity may be off, relatively.
const PERPLEXITY_ERROR_MAX: f64 = 0.01;
/// How many of the most likely tokens must be the same.
const AGREEMENT_MIN: f64 = 0.97;

/// What transformers recorded of a model, in f32 from the dequantised weights.
#[derive(Deserialize)]
struct Recorded {
    passages: BTreeMap<String, Passage>,
}

/// A text and what transformers thought of it.
#[derive(Deserialize)]
pub(crate) struct Passage {
    pub(crate) ids: Vec<u32>,
    perplexity: f64,
    /// Of each token but the first, in nats.
    nll: Vec<f64>,
    /// The most likely token behind each.
    top1: Vec<u32>,
}

/// One passage, ours beside theirs.
pub(crate) struct Measured {
    pub(crate) passage: String,
    pub(crate) tokens: usize,
    pub(crate) ours: f64,
    pub(crate) theirs: f64,
    /// Share of the same most likely tokens.
    pub(crate) agreement: f64,
    /// The largest difference of a token's likelihood, nats.
    pub(crate) apart: f64,
    pub(crate) tokens_per_second: f64,
}

impl Measured {
    /// How much larger our perplexity is, relatively.
    pub(crate) fn error(&self) -> f64 {
        self.ours / self.theirs - 1.0
    }

    pub(crate) fn is_within_bounds(&self) -> bool {
        self.error().abs() <= PERPLEXITY_ERROR_MAX && self.agreement >= AGREEMENT_MIN
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} tokens, perplexity {:.4} against {:.4} ({:+.4} %), top-1 {:.2} %, largest \
             difference of a token {:.5} nats, {:.1} tokens/s",
            self.passage,
            self.tokens,
            self.ours,
            self.theirs,
            100.0 * self.error(),
            100.0 * self.agreement,
            self.apart,
            self.tokens_per_second,
        )
    }
}

/// Scores the three passages with the model in `file`, as serving computes.
pub(crate) fn measure(name: &str, file: &Path) -> Vec<Measured> {
    let scorer = open(file, cores(), None);
    let measured = recorded(name).into_iter().map(|(passage, theirs)| {
        let text = fs::read_to_string(real(&format!("passages/{passage}.txt"))).unwrap();
        assert_eq!(scorer.encode(&text).unwrap(), theirs.ids, "{name}: {passage}");
        beside(&scorer, passage, &theirs)
    });
    measured.collect()
}

fn beside(scorer: &Scorer, passage: String, theirs: &Passage) -> Measured {
    let begun = Instant::now();
    let (likelihoods, most_likely) = score(scorer, &theirs.ids);
    let tokens = theirs.ids.len();
    let tokens_per_second = tokens as f64 / begun.elapsed().as_secs_f64();
    assert_eq!((likelihoods.len(), most_likely.len()), (theirs.nll.len(), theirs.top1.len()));
    let same = most_likely.iter().zip(&theirs.top1).filter(|(ours, theirs)| ours == theirs).count();
    let gaps = likelihoods.iter().zip(&theirs.nll).map(|(ours, theirs)| (ours - theirs).abs());
    Measured {
        passage,
        tokens,
        ours: (likelihoods.iter().sum::<f64>() / likelihoods.len() as f64).exp(),
        theirs: theirs.perplexity,
        agreement: same as f64 / most_likely.len() as f64,
        apart: gaps.fold(0.0, f64::max),
        tokens_per_second,
    }
}

/// Of each token but the first, its negative log likelihood; behind each, the most likely token.
pub(crate) fn score(scorer: &Scorer, ids: &[u32]) -> (Vec<f64>, Vec<u32>) {
    let (mut likelihoods, mut most_likely) = (Vec::new(), Vec::new());
    let mut next = ids.iter().skip(1);
    let mut see = |logits: &[f32]| {
        most_likely.push(top1(logits));
        likelihoods.extend(next.next().map(|&id| nll(logits, id)));
    };
    scorer.score(ids, &[], &mut see).unwrap();
    (likelihoods, most_likely)
}

/// A model as serving computes it.
pub(crate) fn open(file: &Path, threads: usize, chunk: Option<usize>) -> Scorer {
    let kv_cache_dtype = KvCacheDType::Auto;
    Scorer::open(file, Scoring { exact: false, threads, chunk, kv_cache_dtype }).unwrap()
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// What transformers thought, by passage.
pub(crate) fn recorded(name: &str) -> BTreeMap<String, Passage> {
    let recorded = fs::read(real(&format!("{name}.json"))).unwrap();
    serde_json::from_slice::<Recorded>(&recorded).unwrap().passages
}

fn real(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/models/real").join(file)
}
