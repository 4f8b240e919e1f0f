//! `signalbox reload`: a running host reads its configuration anew, and what came of it is printed.

use anyhow::Result;
use signalbox_server::wire::reload::{Reload, ReloadedExperts};

use crate::{
    args::Reload as Args,
    client::{Client, read},
    term::{Spinner, say, say_json},
};

/// Asks the host, and says what changed, what did not, and what waits for a restart.
pub(crate) fn run(Args { plane, json }: Args) -> Result<()> {
    let waiting = Spinner::start("reload".to_owned());
    let answer = Client::new(&plane.admin, plane.token).post_nothing("/reload")?;
    drop(waiting);
    match json {
        true => say_json(&answer),
        false => report(&read(answer)?),
    }
    Ok(())
}

fn report(Reload { changed, experts, left, needs_restart }: &Reload) {
    let ReloadedExperts { added, replaced, described, removed, unchanged } = experts;
    let lists = [
        ("changed", changed),
        ("experts added", added),
        ("experts replaced", replaced),
        ("experts described anew", described),
        ("experts removed", removed),
        ("experts unchanged", unchanged),
    ];
    for (what, list) in lists.iter().filter(|(_, list)| !list.is_empty()) {
        say!("{what}: {}", list.join(", "));
    }
    if lists[..5].iter().all(|(_, list)| list.is_empty()) {
        say!("nothing has changed");
    }
    for left in left {
        say!("left as it is: {} ({})", left.key, left.reason);
    }
    for waiting in needs_restart {
        say!("needs a restart: {} ({})", waiting.key, waiting.reason);
    }
}
