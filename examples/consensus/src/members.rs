//! Who can answer, and who of them takes part.

use std::{cmp::Reverse, time::Duration};

use signalbox_sdk::{Expert, Request, State, config};

/// Most members, when the operator sets no `members`.
const MEMBERS: usize = 3;
/// The longest that one is waited for, when the operator sets no `wait-ms`.
const WAIT_MS: u64 = 2000;

/// An expert that can answer; what is needed of it is asked of the host once.
pub(crate) struct Candidate {
    pub(crate) id: String,
    domain: String,
    resident: bool,
    wait: Duration,
    priority: i32,
}

/// Those that did not fail, the best first: in memory, general, then by the operator's preference.
pub(crate) fn able(request: &Request, experts: &[Expert]) -> Vec<Candidate> {
    let sees = |expert: &&Expert| !request.has_images() || expert.can("images");
    let able = experts.iter().filter(|expert| !expert.is_failed()).filter(sees);
    let mut able: Vec<Candidate> = able
        .map(|expert| Candidate {
            id: expert.id(),
            domain: expert.domain(),
            resident: expert.state() == State::Resident,
            wait: expert.estimated_wait().unwrap_or_default(),
            priority: expert.priority(),
        })
        .collect();
    able.sort_by_key(|c| (!c.resident, c.domain != "general", Reverse(c.priority)));
    able
}

/// The best that are ready; of the operator's `domains`, where it sets them.
pub(crate) fn members(able: &[Candidate]) -> Vec<String> {
    let domains = config::get("domains");
    let wanted = |domain: &str| {
        let mut listed = domains.as_deref().unwrap_or_default().split(',').map(str::trim);
        domains.is_none() || listed.any(|listed| listed == domain)
    };
    let wait = Duration::from_millis(config::parse("wait-ms", WAIT_MS));
    let ready = |c: &&Candidate| c.resident && c.wait <= wait && wanted(&c.domain);
    let most = config::parse("members", MEMBERS);
    able.iter().filter(ready).take(most).map(|candidate| candidate.id.clone()).collect()
}
