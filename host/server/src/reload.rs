//! Settings that change while the host serves. They are read anew and checked as a whole before any of it is in force;
//! calls that were let in before are answered as they began.

use std::collections::BTreeMap;

use signalbox_confine::Bounded;
use signalbox_engine::{FleetChange, FleetSettings};
use signalbox_policy::{Configured, PolicySettings, Staged};

use crate::{ServerLimits, ServerSettings, access::Access};

/// What may change.
#[derive(Debug, Clone)]
pub struct Reloadable {
    /// Who may use the data plane, aliases, and limits of serving.
    pub server: ServerSettings,
    /// The experts.
    pub fleet: FleetSettings,
    /// What policies may use, and how they are configured.
    pub policies: PolicySettings,
    /// The policies that are to be in force.
    pub configured: Configured,
    /// What differs from the start and is heeded at the next one.
    pub needs_restart: Vec<Waiting>,
}

/// A key of the configuration that says what is not in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The key.
    pub key: String,
    /// Why it is not.
    pub reason: &'static str,
}

/// Reads what may change, and checks it; the error says all that is wrong with it. Blocks.
pub type Source = Box<dyn Fn() -> Result<Reloadable, String> + Send + Sync>;

/// What a reload came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Keys that are in force now as they were not before.
    pub changed: Vec<String>,
    /// What became of the experts.
    pub experts: FleetChange,
    /// Components of the configuration that stay as operators left them.
    pub left: Vec<Waiting>,
    /// What waits for a restart.
    pub needs_restart: Vec<Waiting>,
}

/// Nothing was changed, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReloadError {
    /// The host was started without a configuration file.
    #[error("this host was started without a configuration file; there is nothing to read anew")]
    NoSource,
    /// The configuration has mistakes.
    #[error("nothing was changed: {0}")]
    Mistakes(String),
}

impl ReloadError {
    /// The mistakes of these.
    pub(crate) fn of(mistakes: impl IntoIterator<Item: ToString>) -> Self {
        let words = mistakes.into_iter().map(|mistake| mistake.to_string());
        Self::Mistakes(words.collect::<Vec<_>>().join("; "))
    }
}

/// What of `wanted` may change beside what is in force, and which keys differ by that.
pub(crate) fn renewed(
    in_force: &ServerSettings,
    wanted: &ServerSettings,
) -> (ServerSettings, Vec<String>) {
    let may_change = |limit: &_| !ServerLimits::is_fixed(limit);
    let (limits, changed) = in_force.limits.renewed(&wanted.limits, may_change);
    let (access, aliases) = (&in_force.access, &in_force.aliases);
    let keys = differences((access, aliases), (&wanted.access, &wanted.aliases));
    let limited = changed.iter().filter_map(|limit| limit.key);
    let keys = keys.into_iter().chain(limited).map(str::to_owned).collect();
    let (access, aliases) = (wanted.access.clone(), wanted.aliases.clone());
    (ServerSettings { access, aliases, limits, ..in_force.clone() }, keys)
}

const LEFT: &str = "its revision is known here, so it stays as operators left it; `signalbox policy activate` puts it in force";

/// The keys of what was put in force of the configuration's policies, and what stays as operators left it.
pub(crate) fn deployed(staged: &Staged) -> (Vec<String>, Vec<Waiting>) {
    let left = staged.left().iter().map(|key| Waiting { key: key.clone(), reason: LEFT });
    (staged.keys().to_vec(), left.collect())
}

type Doors<'a> = (&'a Access, &'a BTreeMap<String, String>);

fn differences((access, aliases): Doors<'_>, (now, renamed): Doors<'_>) -> Vec<&'static str> {
    let changes = [
        ("access.keys", now.keys != access.keys),
        ("access.origins", now.origins != access.origins),
        ("access.hosts", now.hosts != access.hosts),
        ("access.headers", now.headers != access.headers),
        ("access.open", now.open != access.open),
        ("experts[].aliases", renamed != aliases),
    ];
    changes.into_iter().filter_map(|(what, changed)| changed.then_some(what)).collect()
}
