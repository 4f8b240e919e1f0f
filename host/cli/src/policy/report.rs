//! What the admin plane answered, for people.

use std::cmp::Reverse;

use indicatif::HumanBytes;
use serde_json::Value;
use signalbox_confine::clean;
use signalbox_policy::is_plain_wasi;
use signalbox_server::wire::{
    policies::{
        Activation, ActivationList, Pipeline, PipelineStatus, Policy, PolicyList, PolicyRef,
        Uploaded,
    },
    trials::{Canary, Comparison, Replay, Shadow, Side},
};

use crate::term::{say, say_table, short_revision, table};

/// Bytes of a message that are shown of a call.
const SHOWN: usize = 2000;

/// An accepted upload.
pub(super) fn upload(answer: &Uploaded) {
    let known = if answer.already_known { ", known already" } else { "" };
    let bytes = HumanBytes(answer.bytes);
    say!("{}@{} ({bytes}{known})", answer.name, short_revision(&answer.revision));
    say!("  hooks    {}", words(&answer.hooks));
    say!("  imports  {}", imports(&answer.imports));
    // A first revision gains everything; saying so twice helps nobody.
    if answer.imports_gained != answer.imports {
        say!("  gained   {}", imports(&answer.imports_gained));
        say!("  lost     {}", imports(&answer.imports_lost));
    }
    say!("  compiled in {} ms, probed in {} ms", answer.compile_ms, answer.probe_ms);
    if let Some(change) = &answer.activation {
        activation(change);
    }
}

/// A change of what is in force.
pub(super) fn activation(answer: &Activation) {
    for change in &answer.changes {
        say!("{}: {} -> {}", change.policy, digits(&change.from), digits(&change.to));
    }
    for change in &answer.canaries {
        match &change.to {
            Some(to) => say!("{}: canary {}", change.policy, short_revision(to)),
            None => say!("{}: canary {} ended", change.policy, digits(&change.from)),
        }
    }
    pipeline(&answer.after);
    say!("generation {}; experts untouched", answer.generation);
}

fn pipeline(names: &Pipeline) {
    let route = names.route.as_deref().unwrap_or("(the host's own choice)");
    say!("pre {} | route {route} | post {}", words(&names.pre), words(&names.post));
}

/// The pipeline as it runs.
pub(super) fn pipeline_status(answer: &PipelineStatus) {
    let seats = |refs: &[PolicyRef]| {
        let seats = refs.iter().map(seat).collect::<Vec<_>>();
        words(&seats)
    };
    let route = answer.route.as_ref().map_or("(the host's own choice)".to_owned(), seat);
    say!("pre    {}", seats(&answer.pre));
    say!("route  {route}");
    say!("post   {}", seats(&answer.post));
    say!("generation {}", answer.generation);
}

fn seat(policy: &PolicyRef) -> String {
    format!("{}@{}", policy.name, short_revision(&policy.revision))
}

/// One call.
pub(super) fn decision(answer: &Value) {
    let call = &answer["decision"];
    let word = |of: &Value| of.as_str().unwrap_or("-").to_owned();
    let number = |of: &Value| of.as_f64().map_or("-".to_owned(), |number| number.to_string());
    say!("{}  call {}", word(&call["decision"]), word(&call["id"]));
    for (what, of) in [
        ("caller", "caller"),
        ("asked for", "asked_for"),
        ("route", "route"),
        ("reason", "reason"),
        ("expert", "expert"),
        ("outcome", "outcome"),
        ("error", "error"),
    ] {
        say!("  {what:11}{}", word(&call[of]));
    }
    say!("  confidence {}", number(&call["confidence"]));
    let mut lines = table(&["hook", "policy", "calls", "us", "its own us", "ended"]);
    for run in call["hooks"].as_array().into_iter().flatten() {
        let counts = ["calls", "total_us", "guest_us"].map(|of| number(&run[of]));
        let [calls, total, own] = counts;
        let ended = run["ended"].as_str().unwrap_or("well").to_owned();
        lines.add_row([word(&run["hook"]), word(&run["policy"]), calls, total, own, ended]);
    }
    say_table(&lines);
    let mut lines = table(&["candidate", "state", "queue", "wait ms"]);
    for expert in call["candidates"].as_array().into_iter().flatten() {
        let [queue, wait] = ["queue_depth", "estimated_wait_ms"].map(|of| number(&expert[of]));
        lines.add_row([word(&expert["expert"]), word(&expert["state"]), queue, wait]);
    }
    say_table(&lines);
    for message in answer["seen"]["call"]["messages"].as_array().into_iter().flatten() {
        say!("{}: {}", word(&message["role"]), clean(&word(&message["content"]), SHOWN));
    }
}

/// Recent calls.
pub(super) fn decisions(answer: &Value) {
    let mut lines = table(&["call", "asked for", "route", "expert", "outcome", "ms", "reason"]);
    for call in answer["decisions"].as_array().into_iter().flatten() {
        let word = |of: &str| call[of].as_str().unwrap_or("-").to_owned();
        let took =
            call["timings"]["total_ms"].as_f64().map_or("-".to_owned(), |ms| format!("{ms:.0}"));
        lines.add_row([
            word("id"),
            word("asked_for"),
            word("route"),
            word("expert"),
            word("outcome"),
            took,
            word("reason"),
        ]);
    }
    say_table(&lines);
}

/// The history.
pub(super) fn activations(answer: &ActivationList) {
    let mut lines = table(&["generation", "cause", "policy", "from", "to", "router after"]);
    for past in &answer.activations {
        let row = |policy: &str, from: &str, to: &str| {
            let router = past.after.route.as_deref().unwrap_or("-");
            [&past.generation.to_string(), &*past.cause, policy, from, to, router]
                .map(str::to_owned)
        };
        match &past.changes[..] {
            [] if !past.canaries.is_empty() => past.canaries.iter().for_each(|change| {
                let canary = |revision| format!("canary {}", digits(revision));
                lines.add_row(row(&change.policy, &canary(&change.from), &canary(&change.to)));
            }),
            [] => lines.add_row(row(past.policy.as_deref().unwrap_or("-"), "-", "-")),
            changes => changes.iter().for_each(|change| {
                lines.add_row(row(&change.policy, digits(&change.from), digits(&change.to)));
            }),
        }
    }
    say_table(&lines);
}

/// All policies.
pub(super) fn list(answer: &PolicyList) {
    let mut lines =
        table(&["policy", "in force", "hooks", "in the pipeline", "out of service", "revisions"]);
    for policy in &answer.policies {
        let out: Vec<_> = policy.out_of_service.iter().map(|out| out.hook.as_ref()).collect();
        lines.add_row([
            policy.name.clone(),
            digits(&policy.active).to_owned(),
            words(&policy.hooks),
            words(&policy.in_pipeline),
            out.join(", "),
            policy.revisions.len().to_string(),
        ]);
    }
    say_table(&lines);
}

/// One policy.
pub(super) fn policy(answer: &Policy) {
    say!("{}", answer.name);
    say!("  in force   {}", digits(&answer.active));
    say!("  requested  {}", digits(&answer.requested));
    say!("  last good  {}", digits(&answer.last_good));
    if let Some(problem) = &answer.problem {
        say!("  problem    {problem}");
    }
    for out in &answer.out_of_service {
        let trial = if out.on_trial { ", on trial" } else { "" };
        say!("  {} is out of service{trial}: {}", out.hook, out.reason);
    }
    let (hooks, in_pipeline) = (words(&answer.hooks), words(&answer.in_pipeline));
    let learns = if answer.learns { "; learns from feedback" } else { "" };
    say!("  hooks      {hooks} (in the pipeline: {in_pipeline}){learns}");
    say!("  imports    {}", imports(&answer.imports));
    for (hook, counted) in &answer.counters {
        say!("  {hook:9}  {} calls, {} refusals", counted.calls, counted.refusals);
        for (failure, count) in &counted.failures {
            say!("             {count} x {failure}");
        }
    }
    if let Some(running) = &answer.canary {
        canary(running);
    }
    if let Some(running) = &answer.shadow {
        shadow(running);
    }
    say!("  revisions, newest first");
    for revision in &answer.revisions {
        let bytes = HumanBytes(revision.bytes);
        say!("    {}  {bytes}", short_revision(&revision.revision));
    }
}

/// What a canary and the revision in force said.
fn canary(answer: &Canary) {
    say!("  canary     {} for {} % of the calls", short_revision(&answer.revision), answer.percent);
    let side = |side: &Side| {
        let mut verdicts: Vec<_> = side.verdicts.iter().collect();
        verdicts.sort_by_key(|(_, count)| Reverse(**count));
        let most = verdicts.iter().take(5).map(|(words, count)| format!("{count} x {words}"));
        let most = most.collect::<Vec<_>>().join(", ");
        format!("{} calls, {} refused: {most}", side.calls, side.refusals)
    };
    for (hook, sides) in &answer.hooks {
        say!("    {hook} in force  {}", side(&sides.active));
        say!("    {hook} canary    {}", side(&sides.canary));
    }
}

/// What a revision in shadow has shown.
pub(super) fn shadow(answer: &Shadow) {
    let stopped = if answer.stopped { "; it kept failing and is not asked any more" } else { "" };
    say!("  in shadow  {}{stopped}", short_revision(&answer.revision));
    for (hook, seen) in &answer.hooks {
        say!("    {hook}: {}", agreement(seen));
        comparison(seen);
    }
}

/// What a component made of recorded calls.
pub(super) fn replay(answer: &Replay) {
    let (revision, against) = (short_revision(&answer.revision), short_revision(&answer.against));
    say!("{revision} beside {against}: {} calls, {} left out", answer.calls, answer.left_out);
    for (hook, seen) in &answer.hooks {
        say!("  {hook}: {}", agreement(seen));
        comparison(seen);
    }
}

fn agreement(seen: &Comparison) -> String {
    let Some(share) = seen.agreement else { return "no call was compared yet".to_owned() };
    let added = seen.added_us.unwrap_or_default();
    format!(
        "agrees in {} of {} calls ({:.1} %), {added:+.0} us a call, {} not shown",
        seen.agreed,
        seen.compared,
        share * 100.0,
        seen.dropped
    )
}

/// What became of what.
fn comparison(seen: &Comparison) {
    for flip in &seen.flips {
        say!("      {} x {} -> {}", flip.calls, flip.from, flip.to);
    }
    if seen.more_flips > 0 {
        say!("      {} x others", seen.more_flips);
    }
    for (failure, count) in &seen.failures {
        say!("      {count} x {failure}");
    }
}

fn digits(revision: &Option<String>) -> &str {
    revision.as_deref().map_or("-", short_revision)
}

/// A list of names in one line.
fn words(names: &[impl AsRef<str>]) -> String {
    let names: Vec<_> = names.iter().map(AsRef::as_ref).collect();
    if names.is_empty() { "-".to_owned() } else { names.join(", ") }
}

/// What a component asks of the host. The dozen WASI interfaces that every language's runtime
/// brings along are one word; `--json` has them all.
fn imports(names: &[String]) -> String {
    let (plain, special): (Vec<_>, Vec<_>) =
        names.iter().map(String::as_str).partition(|name| is_plain_wasi(name));
    let rest = (!plain.is_empty()).then_some("plain WASI");
    words(&special.into_iter().chain(rest).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_wasi_is_one_word() {
        let check = |names: &[&str], expect| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(imports(&names), expect, "{names:?}");
        };
        check(&[], "-");
        check(&["wasi:io/poll@0.2.6", "wasi:cli/exit@0.2.6"], "plain WASI");
        let mixed = ["wasi:io/poll@0.2.6", "wasi:config/store@0.2.0-rc.1"];
        check(&mixed, "wasi:config/store@0.2.0-rc.1, plain WASI");
    }
}
