//! What policies saw of a call, written down where the operator wants texts in the decision log, so that another policy
//! can be tried on the same call later.

use serde::{Deserialize, Serialize};
use signalbox_policy::{Call, ExpertView, OnBehalf};

/// One call in the eyes of policies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// The call as the first `pre` policy saw it.
    pub(crate) call: Call,
    /// The call as the router saw it, where `pre` policies made another one of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) routed: Option<Call>,
    /// The experts there were; empty when the call never came to a router.
    #[serde(default)]
    pub(crate) menu: Vec<ExpertView>,
}

impl Seen {
    /// Of a call as it comes in.
    pub(super) fn of(call: &Call) -> Self {
        Self { call: alone(call), routed: None, menu: Vec::new() }
    }

    /// The call comes to the router.
    pub(super) fn routing(&mut self, call: &Call, menu: &[ExpertView]) {
        self.routed = call.is_edited_from(&self.call).then(|| alone(call));
        self.menu = menu.to_vec();
    }

    /// Bytes of its texts, and a guess at the rest.
    pub(super) fn bytes(&self) -> usize {
        let calls = std::iter::once(&self.call).chain(&self.routed);
        calls.map(Call::written_bytes).sum::<usize>() + 512 * self.menu.len()
    }
}

/// The call without whom policies may ask for it: that would keep what belongs to the call as long as the log keeps this.
fn alone(call: &Call) -> Call {
    Call { on_behalf: OnBehalf::default(), ..call.clone() }
}
