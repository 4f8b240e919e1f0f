//! `signalbox experts`: the experts of a running host.

use anyhow::Result;
use indicatif::HumanBytes;
use signalbox_server::wire::experts::ExpertList;

use crate::{
    args::{Experts, ExpertsCommand},
    client::{Client, read},
    term::{say, say_json, say_table, table},
};

/// Runs one of the `experts` commands.
pub(crate) fn run(args: Experts) -> Result<()> {
    let ExpertsCommand::List { plane, json } = args.command;
    let answer = Client::new(&plane.url, plane.key).get("/experts")?;
    match json {
        true => say_json(&answer),
        false => list(&read(answer)?),
    }
    Ok(())
}

fn list(ExpertList { experts }: &ExpertList) {
    let mut lines =
        table(&["expert", "domain", "state", "weights", "context", "loads", "calls", "tokens/s"]);
    for expert in experts {
        lines.add_row([
            expert.expert_id.clone(),
            expert.domain.clone(),
            expert.state.to_string(),
            HumanBytes(expert.weight_bytes).to_string(),
            expert.context_length.to_string(),
            expert.load_count.to_string(),
            expert.total_requests.to_string(),
            expert.tokens_per_second.map_or("-".to_owned(), |speed| format!("{speed:.1}")),
        ]);
    }
    say_table(&lines);
    for expert in experts {
        if let Some(reason) = &expert.reason {
            say!("{}: {reason}", expert.expert_id);
        }
    }
}
