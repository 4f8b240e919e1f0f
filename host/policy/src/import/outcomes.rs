//! What came of a call, as the router that decided it sees it.

use wasmtime::component::Resource;

use crate::{
    CallEnd, CallOutcome, Fault,
    bindings::signalbox::policy::outcomes::{Blame, End, Host, HostOutcome},
    store::State,
};

impl Host for State {}

impl HostOutcome for State {
    fn expert(&mut self, this: Resource<CallOutcome>) -> wasmtime::Result<Option<String>> {
        Ok(self.table.get(&this)?.expert.clone())
    }

    fn end(&mut self, this: Resource<CallOutcome>) -> wasmtime::Result<End> {
        Ok(match self.table.get(&this)?.end {
            CallEnd::Whole => End::Whole,
            CallEnd::Length => End::Length,
            CallEnd::Stopped => End::Stopped,
            CallEnd::Failed(fault) => End::Failed(fault.into()),
            CallEnd::Left => End::Left,
        })
    }

    fn first_text_ms(&mut self, this: Resource<CallOutcome>) -> wasmtime::Result<Option<u32>> {
        Ok(self.table.get(&this)?.first_text_ms)
    }

    fn total_ms(&mut self, this: Resource<CallOutcome>) -> wasmtime::Result<u32> {
        Ok(self.table.get(&this)?.total_ms)
    }

    fn prompt_tokens(&mut self, this: Resource<CallOutcome>) -> wasmtime::Result<Option<u32>> {
        Ok(self.table.get(&this)?.prompt_tokens)
    }

    fn cached_tokens(&mut self, this: Resource<CallOutcome>) -> wasmtime::Result<Option<u32>> {
        Ok(self.table.get(&this)?.cached_tokens)
    }

    fn completion_tokens(&mut self, this: Resource<CallOutcome>) -> wasmtime::Result<Option<u32>> {
        Ok(self.table.get(&this)?.completion_tokens)
    }

    fn rating(&mut self, this: Resource<CallOutcome>) -> wasmtime::Result<Option<f32>> {
        Ok(self.table.get(&this)?.rating.as_ref().map(|rating| rating.value))
    }

    fn note(&mut self, this: Resource<CallOutcome>) -> wasmtime::Result<Option<String>> {
        let rating = self.table.get(&this)?.rating.as_ref();
        Ok(rating.and_then(|rating| rating.note.clone()))
    }

    fn drop(&mut self, this: Resource<CallOutcome>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl From<Fault> for Blame {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Client => Self::Client,
            Fault::Policy => Self::Policy,
            Fault::Expert => Self::Expert,
            Fault::Host => Self::Host,
        }
    }
}
