//! `signalbox policy test`: a policy's cases, run under the limits of a host and compared with what they
//! expect.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use indicatif::BinaryBytes;
use serde_json::{Value, json};
use signalbox_policy::Uploaded;

use super::component::Upload;
use crate::{
    output::complain,
    term::{Spinner, say, say_json, short_revision},
};
use case::Case;
use difference::{Difference, between};
use runner::{Cost, Tried};

mod bucket;
mod case;
mod delegate;
mod difference;
mod given_outcome;
mod operator;
mod outcome;
pub(super) mod profile;
mod runner;
mod script;
mod stage;

pub(super) use operator::Operator;

/// What came of one case over all its runs.
struct Verdict<'a> {
    case: &'a Case,
    /// Of the first run that was not as expected; otherwise of the first one.
    outcome: Value,
    differences: Vec<Difference>,
    /// The one in the middle of all runs, by its wall clock.
    costs: Vec<Cost>,
    /// What the policy asked that the case does not answer.
    unanswered: Vec<String>,
}

/// Runs the cases in `folder` against the component and says what came of them.
///
/// # Errors
/// Cases that make no sense, a component that a host would refuse, and outcomes that are not as expected.
pub(super) fn run(
    upload: Upload,
    folder: &Path,
    operator: &Operator,
    repeat: u32,
    json: bool,
) -> Result<()> {
    let cases = case::read_all(folder)?;
    let waiting = Spinner::start(format!("{} is being compiled and probed", upload.name));
    let (uploaded, tried) = runner::run(upload, &cases, operator, repeat)?;
    drop(waiting);
    let verdicts: Vec<_> =
        cases.iter().zip(tried).map(|(case, runs)| Verdict::of(case, runs)).collect();
    let differ = verdicts.iter().filter(|verdict| !verdict.differences.is_empty()).count();
    match json {
        true => say_json(&as_json(&uploaded, &verdicts)),
        false => {
            say_component(&uploaded);
            verdicts.iter().for_each(Verdict::say);
        }
    }
    match differ {
        0 if json => Ok(()),
        0 => {
            complain!("{} as expected", count(verdicts.len()));
            Ok(())
        }
        _ => bail!("{} of {} not as expected", differ, count(verdicts.len())),
    }
}

/// Where the cases of a policy in `dir` lie.
pub(super) fn folder_of(dir: &str) -> PathBuf {
    Path::new(dir).join("tests")
}

fn count(cases: usize) -> String {
    if cases == 1 { "1 case".to_owned() } else { format!("{cases} cases") }
}

impl<'a> Verdict<'a> {
    fn of(case: &'a Case, mut runs: Vec<Tried>) -> Self {
        let expected = Value::Object(case.expect.clone());
        let differs = |run: &Tried| !between("", &expected, &run.outcome).is_empty();
        let judged = runs.iter().position(differs).unwrap_or(0);
        let outcome = runs[judged].outcome.take();
        let unanswered = std::mem::take(&mut runs[judged].unanswered);
        runs.sort_by_key(|run| run.costs.iter().map(|cost| cost.wall_us).sum::<u64>());
        let costs = runs.swap_remove(runs.len() / 2).costs;
        Self { case, differences: between("", &expected, &outcome), outcome, costs, unanswered }
    }

    fn say(&self) {
        let verdict = if self.differences.is_empty() { "ok" } else { "differs" };
        let file = self.case.file.file_name().unwrap_or_default().to_string_lossy();
        say!("{verdict:7}  {file}: {}", self.case.name);
        for difference in &self.differences {
            say!("           {}", difference.at);
            difference.lines().iter().for_each(|line| say!("             {line}"));
        }
        if !self.differences.is_empty() {
            // Why a hook failed, or what it answered instead, says more than what is missing.
            for part in ["failed", "refused"] {
                let met = self.outcome.get(part).and_then(|part| part.get("message"));
                if let Some(message) = met.and_then(Value::as_str) {
                    say!("           {part}: {message}");
                }
            }
            self.unanswered.iter().for_each(|what| say!("           asked: {what}"));
        }
        self.costs.iter().for_each(say_cost);
    }

    fn as_json(&self) -> Value {
        let differences: Vec<_> = self.differences.iter().map(difference_as_json).collect();
        let costs = self.costs.iter().map(|cost| (cost.hook.name().to_owned(), cost_as_json(cost)));
        json!({
            "file": self.case.file.display().to_string(),
            "name": self.case.name,
            "ok": self.differences.is_empty(),
            "differences": differences,
            "outcome": self.outcome,
            "unanswered": self.unanswered,
            "hooks": costs.collect::<Value>(),
        })
    }
}

fn say_component(of: &Uploaded) {
    let hooks: Vec<_> = of.hooks.iter().map(ToString::to_string).collect();
    say!("{}@{}  {}", of.name, short_revision(&of.revision), hooks.join(", "));
    let size = BinaryBytes(of.bytes);
    say!("  {size}, compiled in {} ms, probed in {} ms", of.compile_ms, of.probe_ms);
}

fn say_cost(cost: &Cost) {
    let Cost { hook, calls, guest_us, wall_us, deadline_ms, memory_bytes } = *cost;
    let (own, memory) = (milliseconds(guest_us), BinaryBytes(memory_bytes));
    let calls = if calls == 1 { String::new() } else { format!(" in {calls} calls") };
    say!(
        "           {hook}{calls}: {wall_us} µs, of which {own} of its own ({deadline_ms} ms a call allowed), {memory}"
    );
}

fn milliseconds(us: u64) -> String {
    format!("{:.3} ms", us as f64 / 1e3)
}

fn difference_as_json(difference: &Difference) -> Value {
    let Difference { at, expected, got } = difference;
    json!({"at": at, "expected": expected, "got": got})
}

fn cost_as_json(cost: &Cost) -> Value {
    json!({
        "calls": cost.calls,
        "wall_us": cost.wall_us,
        "guest_us": cost.guest_us,
        "deadline_ms": cost.deadline_ms,
        "memory_bytes": cost.memory_bytes,
    })
}

fn as_json(of: &Uploaded, verdicts: &[Verdict<'_>]) -> Value {
    json!({
        "name": of.name,
        "revision": of.revision,
        "bytes": of.bytes,
        "compile_ms": of.compile_ms,
        "probe_ms": of.probe_ms,
        "cases": verdicts.iter().map(Verdict::as_json).collect::<Vec<_>>(),
    })
}
