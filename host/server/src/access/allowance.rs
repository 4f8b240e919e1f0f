//! What the owner of a key may use, as an operator states it.

use signalbox_engine::Priority;

use crate::limits::LISTED_MAX;

/// What a key opens. By default everything, without a bound of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Ids of the experts that may be asked; all where there are none. Up to 64.
    pub experts: Vec<String>,
    /// Calls a minute, 1 to 1 000 000.
    pub requests_per_minute: Option<u32>,
    /// Tokens a minute, of prompts and replies together, 1 to 1 000 000 000.
    pub tokens_per_minute: Option<u32>,
    /// Calls at once, 1 to 65 536.
    pub concurrent_calls: Option<u32>,
    /// Which calls go first where not all can go at once.
    pub priority: Priority,
}

impl Allowance {
    /// Most calls a minute.
    pub const REQUESTS_MAX: u32 = 1_000_000;
    /// Most tokens a minute.
    pub const TOKENS_MAX: u32 = 1_000_000_000;
    /// Most calls at once.
    pub const CALLS_MAX: u32 = 65_536;

    /// Whether this expert may be asked.
    pub(crate) fn allows(&self, expert: &str) -> bool {
        self.experts.is_empty() || self.experts.iter().any(|allowed| allowed == expert)
    }

    /// Checks everything against its bounds, and says what is out of them.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.experts.len() > LISTED_MAX {
            return Err(format!("{} experts; at most {LISTED_MAX}", self.experts.len()));
        }
        let bounds = [
            ("requests_per_minute", self.requests_per_minute, Self::REQUESTS_MAX),
            ("tokens_per_minute", self.tokens_per_minute, Self::TOKENS_MAX),
            ("concurrent_calls", self.concurrent_calls, Self::CALLS_MAX),
        ];
        let odd = bounds
            .into_iter()
            .find(|(_, set, most)| set.is_some_and(|set| !(1..=*most).contains(&set)));
        match odd {
            Some((key, _, most)) => Err(format!("{key} must be 1 to {most}")),
            None => Ok(()),
        }
    }
}
