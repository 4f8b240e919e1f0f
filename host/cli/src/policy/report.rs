//! What the admin plane answered, for people.

use indicatif::HumanBytes;
use serde_json::Value;

use crate::term::{say, say_table, short_revision, table};

/// WASI packages that come with a language's runtime; no file, socket or variable is behind them.
const PLAIN_WASI: [&str; 6] =
    ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];

/// An accepted upload.
pub(super) fn upload(answer: &Value) {
    let known = if answer["already_known"] == true { ", known already" } else { "" };
    let bytes = HumanBytes(answer["bytes"].as_u64().unwrap_or_default());
    say!("{}@{} ({bytes}{known})", text(&answer["name"]), digits(&answer["revision"]));
    say!("  hooks    {}", words(&answer["hooks"]));
    say!("  imports  {}", imports(&answer["imports"]));
    // A first revision gains everything; saying so twice helps nobody.
    if answer["imports_gained"] != answer["imports"] {
        say!("  gained   {}", imports(&answer["imports_gained"]));
        say!("  lost     {}", imports(&answer["imports_lost"]));
    }
    say!("  compiled in {} ms, probed in {} ms", answer["compile_ms"], answer["probe_ms"]);
    if !answer["activation"].is_null() {
        activation(&answer["activation"]);
    }
}

/// A change of what is in force.
pub(super) fn activation(answer: &Value) {
    for change in answer["changes"].as_array().into_iter().flatten() {
        say!(
            "{}: {} -> {}",
            text(&change["policy"]),
            digits(&change["from"]),
            digits(&change["to"])
        );
    }
    pipeline(&answer["after"]);
    say!("generation {}; experts untouched", answer["generation"]);
}

fn pipeline(names: &Value) {
    let route = names["route"].as_str().unwrap_or("(the host's own choice)");
    say!("pre {} | route {route} | post {}", words(&names["pre"]), words(&names["post"]));
}

/// All policies.
pub(super) fn list(answer: &Value) {
    let mut lines =
        table(&["policy", "in force", "hooks", "in the pipeline", "out of service", "revisions"]);
    for policy in answer["policies"].as_array().into_iter().flatten() {
        let revisions = policy["revisions"].as_array().map_or(0, Vec::len);
        lines.add_row([
            text(&policy["name"]).to_owned(),
            digits(&policy["active"]).to_owned(),
            words(&policy["hooks"]),
            words(&policy["in_pipeline"]),
            out_of_service(policy).map(|out| text(&out["hook"])).collect::<Vec<_>>().join(", "),
            revisions.to_string(),
        ]);
    }
    say_table(&lines);
}

/// One policy.
pub(super) fn policy(answer: &Value) {
    say!("{}", text(&answer["name"]));
    say!("  in force   {}", digits(&answer["active"]));
    say!("  requested  {}", digits(&answer["requested"]));
    say!("  last good  {}", digits(&answer["last_good"]));
    if let Some(problem) = answer["problem"].as_str() {
        say!("  problem    {problem}");
    }
    for out in out_of_service(answer) {
        let trial = if out["on_trial"] == true { ", on trial" } else { "" };
        let (hook, reason) = (text(&out["hook"]), text(&out["reason"]));
        say!("  {hook} is out of service{trial}: {reason}");
    }
    say!(
        "  hooks      {} (in the pipeline: {})",
        words(&answer["hooks"]),
        words(&answer["in_pipeline"])
    );
    say!("  imports    {}", imports(&answer["imports"]));
    for (hook, counted) in answer["counters"].as_object().into_iter().flatten() {
        say!("  {hook:9}  {} calls, {} refusals", counted["calls"], counted["refusals"]);
        for (failure, count) in counted["failures"].as_object().into_iter().flatten() {
            say!("             {count} x {failure}");
        }
    }
    say!("  revisions, newest first");
    for revision in answer["revisions"].as_array().into_iter().flatten() {
        let bytes = HumanBytes(revision["bytes"].as_u64().unwrap_or_default());
        say!("    {}  {bytes}", digits(&revision["revision"]));
    }
}

fn out_of_service(policy: &Value) -> impl Iterator<Item = &Value> {
    policy["out_of_service"].as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

fn digits(value: &Value) -> &str {
    value.as_str().map_or("-", short_revision)
}

/// A list of names in one line.
fn words(value: &Value) -> String {
    let names: Vec<_> = names(value).collect();
    if names.is_empty() { "-".to_owned() } else { names.join(", ") }
}

/// What a component asks of the host. The dozen WASI interfaces that every language's runtime
/// brings along are one word; `--json` has them all.
fn imports(value: &Value) -> String {
    let is_plain = |name: &&str| PLAIN_WASI.iter().any(|package| name.starts_with(package));
    let (plain, special): (Vec<_>, Vec<_>) = names(value).partition(is_plain);
    let rest = (!plain.is_empty()).then_some("plain WASI");
    let message: Vec<_> = special.into_iter().chain(rest).collect();
    if message.is_empty() { "-".to_owned() } else { message.join(", ") }
}

fn names(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn plain_wasi_is_one_word() {
        let check = |names: Value, expect| assert_eq!(imports(&names), expect, "{names}");
        check(json!([]), "-");
        check(json!(["wasi:io/poll@0.2.6", "wasi:cli/exit@0.2.6"]), "plain WASI");
        let mixed = json!(["wasi:io/poll@0.2.6", "wasi:config/store@0.2.0-rc.1"]);
        check(mixed, "wasi:config/store@0.2.0-rc.1, plain WASI");
    }
}
