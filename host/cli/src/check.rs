//! `signalbox check`: what is wrong with a configuration and its checkpoints, before anything is
//! loaded; and with `--deep`, whether every expert really loads and speaks.

use std::{path::Path, process::ExitCode};

use anyhow::Result;
use indicatif::HumanBytes;
use serde_json::{Value, json};
use signalbox_engine::{ExpertSettings, Finding, FleetSettings, Inspection, Severity, inspect};

use crate::{
    args::Check,
    report::{self, Entry},
    settings::{Machine, Settings, Unusable, would_be_exposed},
    term::{Spinner, say, say_json},
};

mod deep;
mod hash;
mod known;

use deep::Tested;

/// Prints the findings; the exit code is 1 when something keeps an expert from being served.
pub(crate) fn run(args: &Check) -> Result<ExitCode> {
    let settings = match Settings::load(args.what.path(), args.what.strict) {
        Ok(settings) => settings,
        Err(error) if args.json => return mistakes(error),
        Err(error) => return Err(error),
    };
    let looking = Spinner::start("reading headers");
    let inspections: Vec<_> =
        settings.fleet.experts.iter().map(|expert| whole(expert, &settings.fleet)).collect();
    drop(looking);
    let experts: Vec<_> = settings.fleet.experts.iter().zip(&inspections).collect();
    let deep = args.deep || args.write_manifest;
    let tested = deep.then(|| deep::test_all(&settings.fleet, args.write_manifest)).transpose()?;
    match args.json {
        true => say_json(&as_json(args.what.path(), &settings, &experts, tested.as_deref())),
        false => say_text(args.what.path(), &settings, &experts, tested.as_deref()),
    }
    let failed = tested.iter().flatten().any(|expert| expert.problem().is_some());
    let broken = failed || exposed(&settings).is_some() || inspections.iter().any(is_broken);
    Ok(if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What the files say, and whether there is memory for it.
fn whole(expert: &ExpertSettings, fleet: &FleetSettings) -> Inspection {
    let mut inspection = inspect(expert, &fleet.templates);
    let needed = inspection.memory_bytes.unwrap_or_default();
    if needed > fleet.memory_bytes_max {
        let mend = inspection.memory_mend(expert, fleet.memory_bytes_max);
        inspection.findings.insert(0, no_room(needed, fleet.memory_bytes_max, &mend));
    }
    inspection
}

fn no_room(needed: u64, limit: u64, mend: &str) -> Finding {
    Finding {
        severity: Severity::Error,
        code: "memory-over-limit",
        message: format!(
            "it needs {} and all experts together may use {}",
            HumanBytes(needed),
            HumanBytes(limit)
        ),
        mend: format!("raise memory.limit or lazy_loading.memory_threshold, or {mend}"),
    }
}

fn is_broken(inspection: &Inspection) -> bool {
    inspection.findings.iter().any(|finding| finding.severity == Severity::Error)
}

/// Why the data plane would not be opened.
fn exposed(settings: &Settings) -> Option<String> {
    would_be_exposed(&settings.data, &settings.server.access)
}

type Inspected<'i> = (&'i ExpertSettings, &'i Inspection);

fn say_text(
    config: &Path,
    settings: &Settings,
    experts: &[Inspected<'_>],
    tested: Option<&[Tested]>,
) {
    let entries: Vec<_> = experts.iter().map(|(e, found)| entry(e, found)).collect();
    let served = entries.iter().filter(|entry| !entry.is_broken()).count();
    say!("{}: {served} of {} experts can be served", config.display(), entries.len());
    report::say_experts(&entries);
    say!();
    say_memory(&settings.fleet, experts);
    if let Some(problem) = exposed(settings) {
        say!();
        say!("Access: {problem}");
    }
    if let Some(tested) = tested {
        say!();
        deep::say_all(tested);
    }
    if !settings.warnings.is_empty() {
        say!();
        say!("Hardly meant, and an error under --strict:");
        settings.warnings.iter().for_each(|warning| say!("  {warning}"));
    }
    if !settings.ignored.is_empty() {
        say!();
        say!("Keys that have no effect here:");
        report::say_ignored(&settings.ignored);
    }
}

fn say_memory(fleet: &FleetSettings, experts: &[Inspected<'_>]) {
    let all: u64 = experts.iter().filter_map(|(_, found)| found.memory_bytes).sum();
    let (limit, machine) = (fleet.memory_bytes_max, Machine::here().memory_bytes);
    say!(
        "Memory: all experts together need {} and may use {} of this machine's {}",
        HumanBytes(all),
        HumanBytes(limit),
        HumanBytes(machine)
    );
    if all > limit {
        say!("        not all fit at once: the least recently used idle expert makes room");
    }
}

fn entry<'e>(expert: &'e ExpertSettings, found: &'e Inspection) -> Entry<'e> {
    Entry {
        id: &expert.id,
        domain: &expert.domain,
        architecture: found.architecture.as_deref(),
        quantization: found.quantization.as_deref(),
        weight_bytes: found.weight_bytes,
        context_length: found.context_length,
        findings: &found.findings,
    }
}

fn as_json(
    config: &Path,
    settings: &Settings,
    experts: &[Inspected<'_>],
    tested: Option<&[Tested]>,
) -> Value {
    let mut listed: Vec<_> = experts.iter().map(|(e, found)| expert_json(e, found)).collect();
    for (expert, tested) in listed.iter_mut().zip(tested.unwrap_or_default()) {
        expert["proof"] = tested.as_json();
    }
    let failed = tested.unwrap_or_default().iter().any(|expert| expert.problem().is_some());
    let exposed = exposed(settings);
    json!({
        "config": config.display().to_string(),
        "ok": !failed && exposed.is_none() && !experts.iter().any(|(_, found)| is_broken(found)),
        "mistakes": [],
        "access": { "problem": exposed },
        "experts": listed,
        "memory": {
            "limit_bytes": settings.fleet.memory_bytes_max,
            "machine_bytes": Machine::here().memory_bytes,
        },
        "ignored": settings.ignored,
        "warnings": settings.warnings,
    })
}

fn expert_json(expert: &ExpertSettings, found: &Inspection) -> Value {
    json!({
        "id": expert.id,
        "path": expert.path.display().to_string(),
        "ok": !is_broken(found),
        "architecture": found.architecture,
        "quantization": found.quantization,
        "weight_bytes": found.weight_bytes,
        "kv_bytes_per_token": found.kv_bytes_per_token,
        "memory_bytes": found.memory_bytes,
        "context_length": found.context_length,
        "findings": found.findings.iter().map(finding_json).collect::<Vec<_>>(),
    })
}

fn finding_json(finding: &Finding) -> Value {
    json!({
        "severity": finding.severity.to_string(),
        "code": finding.code,
        "message": finding.message,
        "mend": finding.mend,
    })
}

/// A file that can't be used, for scripts: the same shape with no experts.
fn mistakes(error: anyhow::Error) -> Result<ExitCode> {
    let unusable = error.downcast::<Unusable>()?;
    say_json(&json!({
        "config": unusable.path.display().to_string(),
        "ok": false,
        "mistakes": unusable.mistakes,
        "experts": [],
        "memory": null,
        "ignored": [],
        "warnings": [],
    }));
    Ok(ExitCode::FAILURE)
}
