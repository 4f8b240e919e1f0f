//! Why a call is turned away, or its reply ended early.

use std::time::Duration;

use signalbox_engine::EngineError;
use signalbox_policy::PolicyError;

use crate::quota::Exceeded;

/// A call that gets no reply, or whose reply ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// As many calls run as may.
    #[error("{max} calls are in flight, which is all this server takes at once; retry later")]
    Full { max: usize },
    /// The caller has had what its key allows.
    #[error(transparent)]
    Exceeded(#[from] Exceeded),
    /// The caller's key does not allow this expert.
    #[error(
        "this key may not ask '{asked}'; it may ask {}, or \"auto\" to let the router decide among them",
        list(allowed)
    )]
    NotAllowed { asked: String, allowed: Vec<String> },
    /// The client named an expert that is not there.
    #[error(
        "there is no expert '{asked}'; name one of {}, or \"auto\" to let the router decide",
        list(known)
    )]
    UnknownExpert { asked: String, known: Vec<String> },
    /// Nobody can be asked.
    #[error("no expert can answer: {}", list(failed))]
    NoExpert { failed: Vec<String> },
    /// The call took longer than one may.
    #[error(
        "the reply took longer than {} s to begin or to go on, which is all it may take",
        limit.as_secs()
    )]
    TooSlow { limit: Duration },
    /// The engine's reason.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A policy's reason, or its failure.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// A refusal on its way to the client, and the id under which operators find its grounds.
#[derive(Debug, thiserror::Error)]
#[error("{refusal}")]
pub(crate) struct Refused {
    /// The call's.
    pub(crate) id: String,
    /// Its grounds, for operators.
    pub(crate) refusal: Refusal,
}

impl Refusal {
    /// Whether an operator, not the client, can mend it; load that passes by itself is no news.
    pub(crate) fn is_for_operators(&self) -> bool {
        use signalbox_engine::Blame as Engine;
        use signalbox_policy::Blame as Policy;
        match self {
            Self::Full { .. }
            | Self::Exceeded(_)
            | Self::NotAllowed { .. }
            | Self::UnknownExpert { .. } => false,
            Self::NoExpert { .. } | Self::TooSlow { .. } => true,
            Self::Engine(EngineError::QueueFull { .. } | EngineError::ShuttingDown) => false,
            Self::Engine(error) => error.blame() != Engine::Client,
            Self::Policy(error) => error.blame() != Policy::Client,
        }
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "(none is configured)".to_owned() } else { names.join(", ") }
}
