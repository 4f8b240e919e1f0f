//! The hook before routing.

use super::Refusal;
use crate::bindings;
use crate::call::{Edits, Request};

bindings::hook!("pre-policy");

/// Before routing: look at a call, edit it, answer it, or refuse it.
pub trait Pre {
    /// Called once per call, in pipeline order.
    ///
    /// # Errors
    /// A refusal ends the call; the client reads its message.
    fn handle(request: &Request, edits: &Edits) -> Result<Outcome, Refusal>;
}

/// What happens to a call after a [`Pre`] hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Go on, with the edits that were made.
    Proceed,
    /// Answer with this text; no expert is asked.
    Answer(String),
}

/// Between the trait and what the bindings want.
#[cfg(target_arch = "wasm32")]
mod glue {
    use super::generated::exports::signalbox::policy::pre;
    use super::{Outcome, Pre};
    use crate::bindings::signalbox::policy::types;
    use crate::call::{Edits, Request};
    use crate::hooks::Exported;

    impl<P: Pre> pre::Guest for Exported<P> {
        fn handle(
            request: &types::Request,
            edits: &types::Edits,
        ) -> Result<pre::Outcome, types::Refusal> {
            Ok(P::handle(&Request(request), &Edits(edits))?.into())
        }
    }

    impl From<Outcome> for pre::Outcome {
        fn from(outcome: Outcome) -> Self {
            match outcome {
                Outcome::Proceed => Self::Proceed,
                Outcome::Answer(text) => Self::Answer(text),
            }
        }
    }
}
