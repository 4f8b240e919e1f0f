//! `signalbox eval`: what a checkpoint thinks of a given text, position by position, and how far that
//! is from a reference. The tool that shows on a user's own machine that the arithmetic is right.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, bail, ensure};
use serde_json::{Value, json};
use signalbox_engine::{Agreement, EngineError, KvCacheDType, Scorer, Scoring, nll, top1};

use crate::{
    args::Eval,
    runtime::cores,
    term::{Progress, Spinner, say, say_json},
};

mod compare;
mod input;
mod record;

use compare::Comparison;
use input::Input;
use record::Record;

/// Scores; the exit code is 1 when the reference is farther away than it may be.
pub(crate) fn run(args: &Eval) -> Result<ExitCode> {
    let how = Scoring {
        exact: args.exact,
        threads: args.threads.map_or_else(cores, usize::from),
        chunk: args.chunk.map(|tokens| tokens as usize),
        kv_cache_dtype: KvCacheDType::Auto,
    };
    let input = Input::read(args)?;
    let loading = Spinner::start(format!("loading {}", args.model.display()));
    let scorer = Scorer::open(&args.model, how).map_err(described)?;
    drop(loading);
    let (ids, images, expected) = input.resolve(|text| scorer.encode(text).map_err(described))?;
    let record = args.logits.as_deref().map(|file| Record::begin(file, &ids)).transpose()?;
    let comparison = expected.map(|rows| Comparison::new(rows, scorer.vocab_size(), &ids));
    let mut watch = Watch::new(&ids, record, comparison.transpose()?);
    let began = Instant::now();
    scorer.score(&ids, &images, &mut |logits| watch.see(logits)).map_err(described)?;
    let scores = watch.finish(began.elapsed())?;
    match args.json {
        true => say_json(&scores.as_json(args, how, &ids)),
        false => scores.say(args, how, &ids),
    }
    scores.judge(how.exact)
}

/// The engine's error without its talk of experts: here is only one checkpoint.
pub(crate) fn described(error: EngineError) -> anyhow::Error {
    match error {
        EngineError::Unloadable { faults, .. } => anyhow!(faults.to_string()),
        other => other.into(),
    }
}

/// Looks at the logits of each position as they come; none of them are kept.
struct Watch<'i> {
    ids: &'i [u32],
    nll: Vec<f64>,
    top1: Vec<u32>,
    record: Option<Record>,
    comparison: Option<Comparison>,
    /// The first that could not be written; what comes behind it is not tried.
    failed: Option<anyhow::Error>,
    bar: Progress,
}

/// What was seen.
struct Scores {
    /// Of every id but the first, in nats.
    nll: Vec<f64>,
    /// The most likely id behind every position.
    top1: Vec<u32>,
    verdict: Option<Agreement>,
    took: Duration,
}

impl<'i> Watch<'i> {
    fn new(ids: &'i [u32], record: Option<Record>, comparison: Option<Comparison>) -> Self {
        let bar = Progress::count(ids.len() as u64, "scoring");
        Self { ids, nll: vec![], top1: vec![], record, comparison, failed: None, bar }
    }

    fn see(&mut self, logits: &[f32]) {
        let next = self.ids.get(self.top1.len() + 1);
        self.nll.extend(next.map(|&next| nll(logits, next)));
        self.top1.push(top1(logits));
        if let Some(comparison) = &mut self.comparison {
            comparison.see(logits);
        }
        if let Some(record) = self.record.as_mut().filter(|_| self.failed.is_none()) {
            self.failed = record.write(logits).err();
        }
        self.bar.add(1);
    }

    fn finish(self, took: Duration) -> Result<Scores> {
        drop(self.bar);
        self.failed.map_or(Ok(()), Err)?;
        let positions = self.top1.len();
        ensure!(
            positions == self.ids.len(),
            "the model scored {positions} positions of {}; this is a mistake in the engine",
            self.ids.len()
        );
        self.record.map_or(Ok(()), Record::finish)?;
        let verdict = self.comparison.as_ref().map(Comparison::verdict);
        Ok(Scores { nll: self.nll, top1: self.top1, verdict, took })
    }
}

impl Scores {
    /// Nats per token; `None` for a single token, of which nothing foretells anything.
    fn mean(&self) -> Option<f64> {
        (!self.nll.is_empty()).then(|| self.nll.iter().sum::<f64>() / self.nll.len() as f64)
    }

    fn tokens_per_second(&self) -> f64 {
        self.top1.len() as f64 / self.took.as_secs_f64().max(1e-9)
    }

    fn say(&self, args: &Eval, how: Scoring, ids: &[u32]) {
        let path = if how.exact { "f32 reference path" } else { "serving path" };
        let chunk =
            how.chunk.map_or("all at once".to_owned(), |tokens| format!("{tokens} at a time"));
        let (model, count, threads) = (args.model.display(), ids.len(), how.threads);
        say!("{model}: {count} tokens, {path}, {threads} threads, {chunk}");
        say!("{:>8} {:>8} {:>8} {:>12}", "position", "id", "top-1", "nll");
        let likelihoods = [None].into_iter().chain(self.nll.iter().map(Some));
        for (at, ((id, top), nll)) in ids.iter().zip(&self.top1).zip(likelihoods).enumerate() {
            let nll = nll.map_or("-".to_owned(), |nll| format!("{nll:.6}"));
            say!("{at:>8} {id:>8} {top:>8} {nll:>12}");
        }
        if let Some(mean) = self.mean() {
            let foretold = self.nll.len();
            say!("mean NLL {mean:.6} nats, perplexity {:.4}, over {foretold} tokens", mean.exp());
        }
        let speed = self.tokens_per_second();
        say!("scored in {:.3} s, {speed:.1} tokens/s", self.took.as_secs_f64());
        if let Some(verdict) = &self.verdict {
            say!("against the reference: {verdict}");
        }
    }

    fn as_json(&self, args: &Eval, how: Scoring, ids: &[u32]) -> Value {
        json!({
            "model": args.model.display().to_string(),
            "exact": how.exact,
            "threads": how.threads,
            "chunk": how.chunk,
            "ids": ids,
            "top1": self.top1,
            "nll": self.nll,
            "mean_nll": self.mean(),
            "perplexity": self.mean().map(f64::exp),
            "seconds": self.took.as_secs_f64(),
            "tokens_per_second": self.tokens_per_second(),
            "comparison": self.verdict.as_ref().map(|verdict| compare::as_json(verdict, how.exact)),
        })
    }

    /// Whether everything is as it should be. Results are printed before this, whatever it says.
    fn judge(&self, exact: bool) -> Result<ExitCode> {
        if let Some(at) = self.nll.iter().position(|nll| !nll.is_finite()) {
            bail!(
                "the logits at position {at} are not finite numbers; `signalbox check --deep` looks why"
            );
        }
        let excess = self.verdict.as_ref().map(|verdict| verdict.excess(exact)).unwrap_or_default();
        ensure!(excess.is_empty(), "out of bounds: {}", excess.join("; "));
        Ok(ExitCode::SUCCESS)
    }
}
