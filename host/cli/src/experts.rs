//! `signalbox experts`: the experts of a running host.

use anyhow::Result;
use indicatif::HumanBytes;
use signalbox_server::wire::experts::{Expert, ExpertList};

use crate::{
    args::{Experts, ExpertsCommand, Lever},
    client::{Client, read},
    term::{Spinner, say, say_json, say_table, table},
};

/// Runs one of the `experts` commands.
pub(crate) fn run(args: Experts) -> Result<()> {
    match args.command {
        ExpertsCommand::List { plane, json } => {
            let answer = Client::new(&plane.url, plane.key).get("/experts")?;
            match json {
                true => say_json(&answer),
                false => list(&read(answer)?),
            }
            Ok(())
        }
        ExpertsCommand::Load(lever) => pull(lever, "load"),
        ExpertsCommand::Unload(lever) => pull(lever, "unload"),
        ExpertsCommand::Pin(lever) => pull(lever, "pin"),
        ExpertsCommand::Unpin(lever) => pull(lever, "unpin"),
    }
}

/// Does something with one expert, and says where it stands then.
fn pull(Lever { expert, plane }: Lever, action: &str) -> Result<()> {
    let waiting = Spinner::start(format!("{action} {expert}"));
    let admin = Client::new(&plane.admin, plane.token);
    let answer = admin.post_nothing(&format!("/experts/{expert}/{action}"))?;
    drop(waiting);
    let now: Expert = read(answer)?;
    let pinned = if now.pinned { ", pinned" } else { "" };
    say!("{}: {}{pinned}", now.expert_id, now.state);
    Ok(())
}

/// Where it stands; how far, while it loads.
fn state(expert: &Expert) -> String {
    match (expert.load_percent, &expert.waits_for[..]) {
        (_, [first, ..]) => format!("waits for {first}"),
        (Some(percent), _) => format!("{} {percent} %", expert.state),
        _ => expert.state.to_string(),
    }
}

fn list(ExpertList { experts }: &ExpertList) {
    let mut lines =
        table(&["expert", "domain", "state", "weights", "context", "loads", "calls", "tokens/s"]);
    for expert in experts {
        lines.add_row([
            expert.expert_id.clone(),
            expert.domain.clone(),
            state(expert),
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
