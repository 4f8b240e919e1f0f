//! The menu as policies see it.

use std::sync::Arc;

use wasmtime::component::Resource;

use super::shown::ShownExpert;
use crate::{
    ExpertState, ExpertView,
    bindings::signalbox::policy::{experts, types},
    store::State,
};

impl State {
    /// A handle for every line of `menu`.
    pub(crate) fn show_menu(
        &mut self,
        menu: &Arc<[ExpertView]>,
    ) -> wasmtime::Result<Vec<Resource<ShownExpert>>> {
        let mut shown = Vec::with_capacity(menu.len());
        for line in 0..menu.len() {
            shown.push(self.table.push(ShownExpert { menu: menu.clone(), line })?);
        }
        Ok(shown)
    }

    fn expert(&self, expert: &Resource<ShownExpert>) -> wasmtime::Result<&ExpertView> {
        let shown = self.table.get(expert)?;
        Ok(&shown.menu[shown.line])
    }
}

impl experts::Host for State {
    fn menu(&mut self) -> wasmtime::Result<Vec<Resource<ShownExpert>>> {
        let menu: Arc<[ExpertView]> = self.lent.world.menu().into();
        self.show_menu(&menu)
    }
}

impl From<&ExpertState> for types::ExpertState {
    fn from(state: &ExpertState) -> Self {
        match state {
            ExpertState::Resident => Self::Resident,
            ExpertState::Loading => Self::Loading,
            ExpertState::Cold => Self::Cold,
            ExpertState::Failed(why) => Self::Failed(why.clone()),
        }
    }
}

impl types::HostExpert for State {
    fn id(&mut self, this: Resource<ShownExpert>) -> wasmtime::Result<String> {
        Ok(self.expert(&this)?.id.clone())
    }

    fn domain(&mut self, this: Resource<ShownExpert>) -> wasmtime::Result<String> {
        Ok(self.expert(&this)?.domain.clone())
    }

    fn description(&mut self, this: Resource<ShownExpert>) -> wasmtime::Result<String> {
        Ok(self.expert(&this)?.description.clone())
    }

    fn priority(&mut self, this: Resource<ShownExpert>) -> wasmtime::Result<i32> {
        Ok(self.expert(&this)?.priority)
    }

    fn capabilities(&mut self, this: Resource<ShownExpert>) -> wasmtime::Result<Vec<String>> {
        Ok(self.expert(&this)?.capabilities.clone())
    }

    fn context_length(&mut self, this: Resource<ShownExpert>) -> wasmtime::Result<u32> {
        Ok(self.expert(&this)?.context_length)
    }

    fn state(&mut self, this: Resource<ShownExpert>) -> wasmtime::Result<types::ExpertState> {
        Ok((&self.expert(&this)?.state).into())
    }

    fn resident_bytes(&mut self, this: Resource<ShownExpert>) -> wasmtime::Result<u64> {
        Ok(self.expert(&this)?.resident_bytes)
    }

    fn queue_depth(&mut self, this: Resource<ShownExpert>) -> wasmtime::Result<u32> {
        Ok(self.expert(&this)?.queue_depth)
    }

    fn estimated_wait_ms(&mut self, this: Resource<ShownExpert>) -> wasmtime::Result<Option<u32>> {
        Ok(self.expert(&this)?.estimated_wait_ms)
    }

    fn estimated_load_ms(&mut self, this: Resource<ShownExpert>) -> wasmtime::Result<Option<u32>> {
        Ok(self.expert(&this)?.estimated_load_ms)
    }

    fn tokens_per_second(&mut self, this: Resource<ShownExpert>) -> wasmtime::Result<Option<f32>> {
        Ok(self.expert(&this)?.tokens_per_second)
    }

    /// Reading the prompt takes a moment, so that each expert is asked once, and the time is not the guest's own.
    async fn cached_tokens(
        &mut self,
        this: Resource<ShownExpert>,
    ) -> wasmtime::Result<Option<u32>> {
        let id = self.expert(&this)?.id.clone();
        let Some(call) = self.shown.clone() else { return Ok(None) };
        let Some(delegate) = call.on_behalf.delegate() else { return Ok(None) };
        if let Some(known) = self.cached_tokens.get(&id) {
            return Ok(*known);
        }
        let asking = self.turn.own_time.clone();
        let cached = asking.with_host(delegate.cached_tokens(&call, &id)).await;
        self.cached_tokens.insert(id, cached);
        Ok(cached)
    }

    fn drop(&mut self, this: Resource<ShownExpert>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}
