//! The changes of a `pre` policy, as they come.

use wasmtime::component::Resource;

use crate::{bindings::signalbox::policy::types, edits::Edits, store::State};

impl types::HostEdits for State {
    fn set_content(
        &mut self,
        this: Resource<Edits>,
        index: u32,
        content: String,
    ) -> wasmtime::Result<()> {
        Ok(self.table.get_mut(&this)?.set_content(index as usize, content)?)
    }

    fn insert_message(
        &mut self,
        this: Resource<Edits>,
        index: u32,
        message: types::Message,
    ) -> wasmtime::Result<()> {
        Ok(self.table.get_mut(&this)?.insert(index as usize, message.role, message.content)?)
    }

    fn set_max_tokens(&mut self, this: Resource<Edits>, max_tokens: u32) -> wasmtime::Result<()> {
        Ok(self.table.get_mut(&this)?.set_max_tokens(max_tokens)?)
    }

    fn set_temperature(&mut self, this: Resource<Edits>, temperature: f32) -> wasmtime::Result<()> {
        Ok(self.table.get_mut(&this)?.set_temperature(temperature)?)
    }

    fn add_hint(
        &mut self,
        this: Resource<Edits>,
        key: String,
        value: String,
    ) -> wasmtime::Result<()> {
        Ok(self.table.get_mut(&this)?.add_hint(key, value)?)
    }

    fn drop(&mut self, this: Resource<Edits>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}
