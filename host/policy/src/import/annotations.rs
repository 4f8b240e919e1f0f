//! What a policy notes about a call for operators.

use crate::{bindings::signalbox::policy::annotations, store::State};

impl annotations::Host for State {
    fn annotate(&mut self, key: String, value: String) -> wasmtime::Result<()> {
        self.notes.add(&self.lent.policy.name, &key, &value);
        Ok(())
    }
}
