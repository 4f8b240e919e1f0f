//! The changes of a `pre` policy, as they come.

use wasmtime::component::Resource;

use crate::{Failure, ToolChoice, bindings::signalbox::policy::types, edits::Edits, store::State};

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

    fn keep_tools(&mut self, this: Resource<Edits>, names: Vec<String>) -> wasmtime::Result<()> {
        Ok(self.table.get_mut(&this)?.parameters().keep_tools(&names)?)
    }

    fn set_tool_choice(
        &mut self,
        this: Resource<Edits>,
        choice: types::ToolChoice,
    ) -> wasmtime::Result<()> {
        let choice = match choice {
            types::ToolChoice::Auto => ToolChoice::Auto,
            types::ToolChoice::None => ToolChoice::None,
            types::ToolChoice::Required => ToolChoice::Required,
            types::ToolChoice::Tool(name) => ToolChoice::Tool(name),
            types::ToolChoice::Other(name) => {
                let message = format!("the tool choice '{name}' is not known here");
                return Err(Failure::Invalid(message).into());
            }
        };
        self.table.get_mut(&this)?.parameters().tool_choice = choice;
        Ok(())
    }

    fn set_response_format(
        &mut self,
        this: Resource<Edits>,
        format: types::ResponseFormat,
    ) -> wasmtime::Result<()> {
        Ok(self.table.get_mut(&this)?.set_response_format(format.into())?)
    }

    fn set_top_p(&mut self, this: Resource<Edits>, top_p: f32) -> wasmtime::Result<()> {
        Ok(self.table.get_mut(&this)?.parameters().set_top_p(top_p)?)
    }

    fn set_seed(&mut self, this: Resource<Edits>, seed: u64) -> wasmtime::Result<()> {
        self.table.get_mut(&this)?.parameters().seed = Some(seed);
        Ok(())
    }

    fn set_stop(&mut self, this: Resource<Edits>, stop: Vec<String>) -> wasmtime::Result<()> {
        Ok(self.table.get_mut(&this)?.parameters().set_stop(stop)?)
    }

    fn drop(&mut self, this: Resource<Edits>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}
