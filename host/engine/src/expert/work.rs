//! What an expert's thread does, whatever the expert makes.

use crate::EngineError;

/// The work of a thread.
pub(super) trait Work {
    /// Whose thread it is.
    fn id(&self) -> &str;
    /// Works until asked to stop, or until nobody can send any more and all is answered.
    fn run(&mut self);
    /// Fails every call that is still here.
    fn abandon(&mut self, error: &EngineError);
}
