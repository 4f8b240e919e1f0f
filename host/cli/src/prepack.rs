//! `signalbox prepack`: packs the weights of experts into files, so that no load has to.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use indicatif::HumanBytes;
use serde_json::{Value, json};
use signalbox_engine::{EngineError, ExpertSettings, PackFiles, PackProgress, Prepacked, prepack};

use crate::{
    args::Prepack,
    cache::{cache_dir, environment},
    settings::Settings,
    term::{self, say, say_json, say_table, table},
};

/// What became of one.
struct Packed {
    name: String,
    took: Duration,
    outcome: Result<Option<Prepacked>, EngineError>,
}

/// Packs what has no sound file yet; the exit code is 1 when something could not be packed.
pub(crate) fn run(args: &Prepack) -> Result<ExitCode> {
    let fleet = Settings::load(&args.what, false)?.fleet;
    let kept = match fleet.pack_files {
        PackFiles::Kept { cache, .. } => PackFiles::Kept { cache, bytes_min: 0 },
        PackFiles::Off => bail!("pack_files.enabled is false, so no packed weights are used"),
    };
    let packed: Vec<Packed> = fleet.experts.iter().map(|expert| pack(expert, &kept)).collect();
    match args.json {
        true => say_json(&Value::Array(packed.iter().map(as_json).collect())),
        false => say_all(&packed),
    }
    let failed = packed.iter().any(|packed| packed.outcome.is_err());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Without a configuration.
pub(crate) fn in_cache() -> PackFiles {
    PackFiles::Kept { cache: cache_dir(&environment), bytes_min: 0 }
}

fn pack(expert: &ExpertSettings, kept: &PackFiles) -> Packed {
    let ExpertSettings { id, path, quantization, .. } = expert;
    let bar = term::Progress::bytes(0, format!("packing {id}"));
    let began = Instant::now();
    let report = |PackProgress { done, whole }| bar.reach(done, whole);
    let outcome = prepack(path, *quantization, kept, &report);
    Packed { name: id.clone(), took: began.elapsed(), outcome }
}

fn say_all(packed: &[Packed]) {
    let mut lines = table(&["expert", "", "size", "time", "file"]);
    for Packed { name, took, outcome } in packed {
        let Ok(Some(Prepacked { file, bytes, made })) = outcome else { continue };
        lines.add_row([
            name.clone(),
            if *made { "packed" } else { "was packed" }.to_owned(),
            HumanBytes(*bytes).to_string(),
            format!("{:.1} s", took.as_secs_f64()),
            file.display().to_string(),
        ]);
    }
    say_table(&lines);
    for Packed { name, outcome, .. } in packed {
        if let Err(error) = outcome {
            say!("{name}: {error}");
        }
    }
}

fn as_json(Packed { name, took, outcome }: &Packed) -> Value {
    match outcome {
        Ok(Some(Prepacked { file, bytes, made })) => json!({
            "expert": name,
            "file": file,
            "bytes": bytes,
            "made": made,
            "ms": took.as_secs_f64() * 1e3,
        }),
        Ok(None) => json!({ "expert": name }),
        Err(error) => json!({ "expert": name, "error": error.to_string() }),
    }
}
