//! `signalbox bench`: how fast a checkpoint computes, and what share that is of what the machine allows.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use signalbox_engine::{Bench, Roofline, Synthetic, cpu_name};
use tempfile::TempDir;

use crate::{
    args,
    eval::described,
    prepack::in_cache,
    roofline::{measure, say_roofline},
    runtime::cores,
    term::{Spinner, say, say_json, say_table, table},
};

/// Measures and prints.
pub(crate) fn run(args: &args::Bench) -> Result<()> {
    let roofline = measure(args.threads);
    let measured = match (&args.model, &args.synthetic) {
        (Some(model), _) => Measured::of(model, args)?,
        (None, Some(synthetic)) => Measured::of(made_up(synthetic)?.path(), args)?,
        (None, None) => unreachable!("clap asks for one of both"),
    };
    match args.json {
        true => say_json(&measured.as_json(args, &roofline)),
        false => measured.say(args, &roofline),
    }
    Ok(())
}

/// A checkpoint of random weights, for as long as the folder is held.
fn made_up(synthetic: &Synthetic) -> Result<TempDir> {
    let _waiting = Spinner::start("writing random weights");
    let folder = tempfile::tempdir().context("there is no folder for random weights")?;
    synthetic
        .write(folder.path())
        .with_context(|| format!("{} can't be written", folder.path().display()))?;
    Ok(folder)
}

/// What was measured; medians.
struct Measured {
    stored: String,
    load: Duration,
    packed_load: Option<Duration>,
    bytes_per_token: u64,
    multiplications_per_token: u64,
    /// Tokens per second.
    prefill: f64,
    decode: Vec<Decode>,
}

/// Of so many sequences together.
struct Decode {
    batch: u16,
    /// Of all sequences.
    tokens_per_second: f64,
}

impl Measured {
    fn of(model: &Path, args: &args::Bench) -> Result<Self> {
        let loading = Spinner::start(format!("loading {}", model.display()));
        let threads = args.threads.map_or_else(cores, usize::from);
        let bench = Bench::open(model, threads, &in_cache()).map_err(described)?;
        drop(loading);
        let [prompt, generate, context] =
            [args.prompt, args.generate, args.context].map(|tokens| tokens as usize);
        let longest = prompt.max(context + generate);
        ensure!(
            longest <= bench.context_length(),
            "the model takes {} tokens, which is less than {longest}",
            bench.context_length()
        );
        let _measuring = Spinner::start("measuring");
        let median =
            |once: &dyn Fn() -> Duration| median((0..args.repeat).map(|_| once()).collect());
        let prefill = prompt as f64 / median(&|| bench.prefill(prompt)).as_secs_f64();
        let decode = args.batch.iter().map(|&batch| {
            let sequences = usize::from(batch);
            let took = median(&|| bench.decode(context, sequences, generate));
            let tokens_per_second = (sequences * generate) as f64 / took.as_secs_f64();
            Decode { batch, tokens_per_second }
        });
        Ok(Self {
            stored: bench.stored().to_owned(),
            load: bench.load(),
            packed_load: bench.packed_load(),
            bytes_per_token: bench.token_cost().bytes,
            multiplications_per_token: bench.token_cost().multiplications,
            prefill,
            decode: decode.collect(),
        })
    }

    /// Bytes of weights per second that decoding reads.
    fn read(&self, decode: &Decode) -> f64 {
        decode.tokens_per_second / f64::from(decode.batch) * self.bytes_per_token as f64
    }

    /// Operations per second of prefill.
    fn operations(&self) -> f64 {
        2.0 * self.prefill * self.multiplications_per_token as f64
    }

    fn say(&self, args: &args::Bench, roofline: &Roofline) {
        say_roofline(roofline);
        let megabytes = self.bytes_per_token as f64 / 1e6;
        say!(
            "{}, {megabytes:.0} MB per token, packed and loaded in {} ms, loaded again in {}",
            self.stored,
            self.load.as_millis(),
            self.packed_load.map_or("-".to_owned(), |took| format!("{} ms", took.as_millis()))
        );
        if let Some((some, all)) = args.synthetic.as_ref().map(Synthetic::layers)
            && some != all
        {
            say!("{some} of {all} layers: nothing here is the speed of the whole model");
        }
        let mut lines = table(&["", "tokens/s", "of the roofline"]);
        let share = 100.0 * self.operations() / roofline.int8_operations_per_second;
        let what = format!("prefill {}", args.prompt);
        lines.add_row([what, format!("{:.1}", self.prefill), format!("{share:.0} % of int8")]);
        for decode in &self.decode {
            let share = 100.0 * self.read(decode) / roofline.read_bytes_per_second;
            lines.add_row([
                format!("decode {}, batch {}", args.generate, decode.batch),
                format!("{:.1}", decode.tokens_per_second),
                format!("{share:.0} % of reading"),
            ]);
        }
        say_table(&lines);
    }

    fn as_json(&self, args: &args::Bench, roofline: &Roofline) -> Value {
        let batches = self.decode.iter().map(|decode| {
            json!({
                "batch": decode.batch,
                "decode_tokens_per_second": decode.tokens_per_second,
                "read_gb_per_second": self.read(decode) / 1e9,
                "read_bandwidth_percent": 100.0 * self.read(decode) / roofline.read_bytes_per_second,
            })
        });
        let batches: Vec<Value> = batches.collect();
        let first = self.decode.first();
        json!({
            "cpu": cpu_name(),
            "isa": roofline.isa,
            "threads": roofline.threads,
            "stored": self.stored,
            "layers": args.synthetic.as_ref().map(|synthetic| synthetic.layers().0),
            "prompt": args.prompt,
            "generate": args.generate,
            "context": args.context,
            "load_ms": self.load.as_secs_f64() * 1e3,
            "packed_load_ms": self.packed_load.map(|took| took.as_secs_f64() * 1e3),
            "prefill_tokens_per_second": self.prefill,
            "decode_tokens_per_second": first.map(|decode| decode.tokens_per_second),
            "bytes_per_token": self.bytes_per_token,
            "read_gb_per_second": first.map(|decode| self.read(decode) / 1e9),
            "read_bandwidth_percent":
                first.map(|decode| 100.0 * self.read(decode) / roofline.read_bytes_per_second),
            "int8_peak_percent": 100.0 * self.operations() / roofline.int8_operations_per_second,
            "batches": batches,
            "roofline": {
                "read_gb_per_second": roofline.read_bytes_per_second / 1e9,
                "int8_tops": roofline.int8_operations_per_second / 1e12,
            },
        })
    }
}

/// The middle of some durations; there is at least one.
fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort_unstable();
    durations.get(durations.len() / 2).copied().unwrap_or_default()
}
