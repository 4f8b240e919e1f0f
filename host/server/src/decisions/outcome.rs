//! What came of a call, in the words that a router is told it in.

use signalbox_engine::Finish;
use signalbox_policy::{CallEnd, Fault};

use crate::pipeline::{end::Ending, refusal::Refusal};

/// How a reply that is complete ended.
pub(super) fn ended(ending: &Ending) -> CallEnd {
    match ending {
        Ending::Expert(Finish::Length) => CallEnd::Length,
        Ending::Expert(Finish::Stop | Finish::StopString(_)) | Ending::Called => CallEnd::Whole,
        Ending::Stopped(_) => CallEnd::Stopped,
    }
}

/// Whose it was that a call got no reply, or one that ended early.
pub(super) fn fault(refusal: &Refusal) -> Fault {
    use signalbox_engine::Blame as Engine;
    use signalbox_policy::Blame as Policy;
    match refusal {
        Refusal::Exceeded(_) | Refusal::NotAllowed { .. } | Refusal::UnknownExpert { .. } => {
            Fault::Client
        }
        Refusal::NoExpert { .. } => Fault::Expert,
        Refusal::Full { .. } | Refusal::TooSlow { .. } => Fault::Host,
        Refusal::Engine(error) => match error.blame() {
            Engine::Client => Fault::Client,
            Engine::Expert => Fault::Expert,
            Engine::Host => Fault::Host,
        },
        Refusal::Policy(error) => match error.blame() {
            Policy::Client => Fault::Client,
            Policy::Policy => Fault::Policy,
            Policy::Host => Fault::Host,
        },
    }
}
