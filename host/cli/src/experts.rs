//! `signalbox experts`: the experts of a running host.

use anyhow::Result;
use indicatif::HumanBytes;
use serde_json::Value;

use crate::{
    args::{Experts, ExpertsCommand},
    client::Client,
    term::{say, say_json, say_table, table},
};

/// Runs one of the `experts` commands.
pub(crate) fn run(args: Experts) -> Result<()> {
    let ExpertsCommand::List { plane, json } = args.command;
    let answer = Client::new(&plane.url, plane.key).get("/experts")?;
    match json {
        true => say_json(&answer),
        false => list(&answer),
    }
    Ok(())
}

fn list(answer: &Value) {
    let mut lines =
        table(&["expert", "domain", "state", "weights", "context", "loads", "calls", "tokens/s"]);
    let experts = answer["experts"].as_array().map(Vec::as_slice).unwrap_or_default();
    for expert in experts {
        let text = |key: &str| expert[key].as_str().unwrap_or("-").to_owned();
        let number = |key: &str| expert[key].as_u64().map_or("-".to_owned(), |n| n.to_string());
        lines.add_row([
            text("expert_id"),
            text("domain"),
            text("state"),
            HumanBytes(expert["weight_bytes"].as_u64().unwrap_or_default()).to_string(),
            number("context_length"),
            number("load_count"),
            number("total_requests"),
            expert["tokens_per_second"].as_f64().map_or("-".to_owned(), |n| format!("{n:.1}")),
        ]);
    }
    say_table(&lines);
    for expert in experts {
        if let Some(reason) = expert["reason"].as_str() {
            say!("{}: {reason}", expert["expert_id"].as_str().unwrap_or("-"));
        }
    }
}
