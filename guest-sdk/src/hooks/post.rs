//! The hook on replies.

use crate::bindings;
use crate::call::Request;
use crate::ending::Ending;

bindings::hook!("post-policy");

/// After generation starts: look at the reply while it streams. One value per reply.
///
/// The *window* is the text held so far with the new text behind it, always whole characters. The
/// host bounds what may be held, in bytes and in milliseconds.
pub trait Post: Sized + 'static {
    /// Called when `expert` begins to answer `request`.
    fn open(request: &Request, expert: &str) -> Self;

    /// New text arrived.
    fn push(&mut self, window: &str) -> Action;

    /// The reply is complete, and `ended` says how; `window` is what is still held and may be empty.
    /// [`Action::Hold`] and a kept tail are invalid here.
    fn finish(&mut self, window: &str, ended: &Ending) -> Action {
        let _ = (window, ended);
        Action::Emit
    }
}

/// What happens to the window of a [`Post`] hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send it as it is.
    Emit,
    /// Keep it; the next window begins with it.
    Hold,
    /// Send other text for all but a kept tail.
    Replace {
        /// What the client gets.
        text: String,
        /// How many bytes at the end of the window stay held. Must fall on a character border.
        keep: usize,
    },
    /// Send this text and end the reply; the expert stops.
    Stop(String),
}

/// Between the trait and what the bindings want.
#[cfg(target_arch = "wasm32")]
mod glue {
    use std::cell::RefCell;

    use super::generated::exports::signalbox::policy::post;
    use super::{Action, Post};
    use crate::bindings::signalbox::policy::types;
    use crate::call::Request;
    use crate::ending::Ending;
    use crate::hooks::Exported;

    impl<P: Post> post::Guest for Exported<P> {
        type Session = Session<P>;
    }

    /// One reply's policy, behind the shared reference that the bindings give.
    #[derive(Debug)]
    pub struct Session<P>(RefCell<P>);

    impl<P: Post> post::GuestSession for Session<P> {
        fn new(request: &types::Request, expert: String) -> Self {
            Self(RefCell::new(P::open(&Request(request), &expert)))
        }

        fn push(&self, window: String) -> post::Action {
            self.0.borrow_mut().push(&window).into()
        }

        fn finish(&self, window: String, ended: &types::Ending) -> post::Action {
            self.0.borrow_mut().finish(&window, &Ending(ended)).into()
        }
    }

    impl From<Action> for post::Action {
        fn from(action: Action) -> Self {
            match action {
                Action::Emit => Self::Emit,
                Action::Hold => Self::Hold,
                Action::Replace { text, keep } => {
                    let keep = u32::try_from(keep).unwrap_or(u32::MAX);
                    Self::Replace(post::Replacement { text, keep })
                }
                Action::Stop(text) => Self::Stop(text),
            }
        }
    }
}
