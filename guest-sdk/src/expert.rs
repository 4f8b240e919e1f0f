//! One expert on the menu, as it was when the menu was made.

use std::time::Duration;

use crate::bindings::signalbox::policy::types;
use crate::host;

/// Whether an expert's weights are in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Loaded and able to answer now.
    Resident,
    /// Being loaded.
    Loading,
    /// Not loaded; the first call loads it.
    Cold,
    /// Can't be loaded, and why.
    Failed(String),
    /// A state newer than this SDK, by its name.
    Other(String),
}

impl From<types::ExpertState> for State {
    fn from(state: types::ExpertState) -> Self {
        match state {
            types::ExpertState::Resident => Self::Resident,
            types::ExpertState::Loading => Self::Loading,
            types::ExpertState::Cold => Self::Cold,
            types::ExpertState::Failed(reason) => Self::Failed(reason),
            types::ExpertState::Other(name) => Self::Other(name),
        }
    }
}

/// An expert that may be chosen. Every method asks the host.
#[derive(Debug)]
pub struct Expert(pub(crate) host::Expert);

impl Expert {
    /// The name that a decision uses.
    pub fn id(&self) -> String {
        self.0.id()
    }

    /// What it is for: `general`, `coding`, ...
    pub fn domain(&self) -> String {
        self.0.domain()
    }

    /// The operator's words about it, and behind `Use cases: ` what it is for, parted by `; `.
    pub fn description(&self) -> String {
        self.0.description()
    }

    /// Higher means preferred by the operator.
    pub fn priority(&self) -> i32 {
        self.0.priority()
    }

    /// What it can do beyond text: `images`, ...
    pub fn capabilities(&self) -> Vec<String> {
        self.0.capabilities()
    }

    /// Whether `capability` is among its capabilities.
    pub fn can(&self, capability: &str) -> bool {
        self.capabilities().iter().any(|known| known == capability)
    }

    /// Longest prompt plus reply, in tokens.
    pub fn context_length(&self) -> u32 {
        self.0.context_length()
    }

    /// Whether it can answer now.
    pub fn state(&self) -> State {
        self.0.state().into()
    }

    /// Whether it can't be loaded. The host passes over a failed expert that a plan names.
    pub fn is_failed(&self) -> bool {
        matches!(self.state(), State::Failed(_))
    }

    /// Bytes of memory its weights take, or would take.
    pub fn resident_bytes(&self) -> u64 {
        self.0.resident_bytes()
    }

    /// Calls that run or wait on it.
    pub fn queue_depth(&self) -> u32 {
        self.0.queue_depth()
    }

    /// Measured time until a new call would start; `None` before anything was measured.
    pub fn estimated_wait(&self) -> Option<Duration> {
        self.0.estimated_wait_ms().map(milliseconds)
    }

    /// How long its last load took; `None` when it was never loaded.
    pub fn estimated_load(&self) -> Option<Duration> {
        self.0.estimated_load_ms().map(milliseconds)
    }

    /// Measured decode speed of recent replies, in tokens per second; `None` before the first.
    pub fn tokens_per_second(&self) -> Option<f32> {
        self.0.tokens_per_second()
    }

    /// How many tokens of this call's prompt, as it is now, it has computed for earlier calls and need not compute again; 0
    /// when it is not in memory, `None` when that is not known. Asking takes a moment, for the prompt is rendered.
    pub fn cached_tokens(&self) -> Option<u32> {
        self.0.cached_tokens()
    }
}

fn milliseconds(count: u32) -> Duration {
    Duration::from_millis(count.into())
}
