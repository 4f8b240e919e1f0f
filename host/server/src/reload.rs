//! Settings that change while the host serves: who may call, and other names of experts. They are read anew and checked as a
//! whole before any of it is in force; calls under way are not touched.

use std::collections::BTreeMap;

use crate::access::Access;

/// What may change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reloadable {
    /// Who may use the data plane.
    pub access: Access,
    /// Other names of experts, each with the id that it stands for.
    pub aliases: BTreeMap<String, String>,
    /// Sections that say something else than at the start, and are heeded at the next one.
    pub needs_restart: Vec<&'static str>,
}

/// Reads what may change, and checks it; the error says all that is wrong with it. Blocks.
pub type Source = Box<dyn Fn() -> Result<Reloadable, String> + Send + Sync>;

/// What a reload came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// What is in force now and was not before.
    pub changed: Vec<&'static str>,
    /// What waits for a restart.
    pub needs_restart: Vec<&'static str>,
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

impl Reloadable {
    /// What differs from what was in force.
    pub(crate) fn changes(
        &self,
        access: &Access,
        aliases: &BTreeMap<String, String>,
    ) -> Vec<&'static str> {
        let changes = [
            ("access.keys", self.access.keys != access.keys),
            ("access.origins", self.access.origins != access.origins),
            ("access.hosts", self.access.hosts != access.hosts),
            ("access.headers", self.access.headers != access.headers),
            ("access.open", self.access.open != access.open),
            ("experts[].aliases", self.aliases != *aliases),
        ];
        changes.into_iter().filter_map(|(what, changed)| changed.then_some(what)).collect()
    }
}
