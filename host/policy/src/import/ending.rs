//! How a reply ended, as `post` policies see it.

use wasmtime::component::Resource;

use crate::{
    bindings::signalbox::policy::types,
    hook::post::{Ending, Reason},
    store::State,
};

impl types::HostEnding for State {
    fn reason(&mut self, this: Resource<Ending>) -> wasmtime::Result<types::FinishReason> {
        Ok(match self.table.get(&this)?.reason {
            Reason::Stop => types::FinishReason::Stop,
            Reason::Length => types::FinishReason::Length,
            Reason::Policy => types::FinishReason::Policy,
        })
    }

    fn prompt_tokens(&mut self, this: Resource<Ending>) -> wasmtime::Result<Option<u32>> {
        Ok(self.table.get(&this)?.prompt_tokens)
    }

    fn cached_tokens(&mut self, this: Resource<Ending>) -> wasmtime::Result<Option<u32>> {
        Ok(self.table.get(&this)?.cached_tokens)
    }

    fn completion_tokens(&mut self, this: Resource<Ending>) -> wasmtime::Result<Option<u32>> {
        Ok(self.table.get(&this)?.completion_tokens)
    }

    fn drop(&mut self, this: Resource<Ending>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}
