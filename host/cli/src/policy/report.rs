//! What the admin plane answered, for people.

use indicatif::HumanBytes;
use serde_json::Value;
use signalbox_policy::is_plain_wasi;
use signalbox_server::wire::policies::{
    Activation, ActivationList, Pipeline, PipelineStatus, Policy, PolicyList, PolicyRef, Uploaded,
};

use crate::term::{say, say_table, short_revision, table};

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
    say!("  hooks      {hooks} (in the pipeline: {in_pipeline})");
    say!("  imports    {}", imports(&answer.imports));
    for (hook, counted) in &answer.counters {
        say!("  {hook:9}  {} calls, {} refusals", counted.calls, counted.refusals);
        for (failure, count) in &counted.failures {
            say!("             {count} x {failure}");
        }
    }
    say!("  revisions, newest first");
    for revision in &answer.revisions {
        let bytes = HumanBytes(revision.bytes);
        say!("    {}  {bytes}", short_revision(&revision.revision));
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
