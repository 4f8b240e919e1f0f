//! The call as policies see it.

use std::sync::Arc;

use wasmtime::component::Resource;

use super::shown::ShownRequest;
use crate::{Call, bindings::signalbox::policy::types, store::State};

impl Call {
    /// Bytes of text in the conversation.
    pub(crate) fn text_bytes(&self) -> usize {
        self.messages.iter().map(|message| message.content.len()).sum()
    }
}

impl From<&crate::Message> for types::Message {
    fn from(message: &crate::Message) -> Self {
        Self { role: message.role.clone(), content: message.content.clone() }
    }
}

impl State {
    /// A handle for `call`, which the instance works on from now on.
    pub(crate) fn show(&mut self, call: Arc<Call>) -> wasmtime::Result<Resource<ShownRequest>> {
        self.notes = call.notes.clone();
        self.shown = Some(call.clone());
        Ok(self.table.push(ShownRequest(call))?)
    }

    fn call(&self, request: &Resource<ShownRequest>) -> wasmtime::Result<&Call> {
        Ok(&self.table.get(request)?.0)
    }
}

impl types::HostRequest for State {
    fn id(&mut self, this: Resource<ShownRequest>) -> wasmtime::Result<String> {
        Ok(self.call(&this)?.id.clone())
    }

    fn model(&mut self, this: Resource<ShownRequest>) -> wasmtime::Result<Option<String>> {
        Ok(self.call(&this)?.model.clone())
    }

    fn message_count(&mut self, this: Resource<ShownRequest>) -> wasmtime::Result<u32> {
        Ok(u32::try_from(self.call(&this)?.messages.len())?)
    }

    fn message(
        &mut self,
        this: Resource<ShownRequest>,
        index: u32,
    ) -> wasmtime::Result<Option<types::Message>> {
        Ok(self.call(&this)?.messages.get(index as usize).map(Into::into))
    }

    fn messages(&mut self, this: Resource<ShownRequest>) -> wasmtime::Result<Vec<types::Message>> {
        Ok(self.call(&this)?.messages.iter().map(Into::into).collect())
    }

    fn last_user_text(&mut self, this: Resource<ShownRequest>) -> wasmtime::Result<String> {
        let messages = &self.call(&this)?.messages;
        let newest = messages.iter().rev().find(|message| message.role == "user");
        Ok(newest.map(|message| message.content.clone()).unwrap_or_default())
    }

    fn max_tokens(&mut self, this: Resource<ShownRequest>) -> wasmtime::Result<Option<u32>> {
        Ok(self.call(&this)?.max_tokens)
    }

    fn temperature(&mut self, this: Resource<ShownRequest>) -> wasmtime::Result<Option<f32>> {
        Ok(self.call(&this)?.temperature)
    }

    fn streaming(&mut self, this: Resource<ShownRequest>) -> wasmtime::Result<bool> {
        Ok(self.call(&this)?.streaming)
    }

    fn hints(&mut self, this: Resource<ShownRequest>) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(self.call(&this)?.hints.clone())
    }

    fn tools(&mut self, this: Resource<ShownRequest>) -> wasmtime::Result<Vec<types::Tool>> {
        Ok(self.call(&this)?.parameters.tools.iter().map(Into::into).collect())
    }

    fn tool_choice(&mut self, this: Resource<ShownRequest>) -> wasmtime::Result<types::ToolChoice> {
        Ok((&self.call(&this)?.parameters.tool_choice).into())
    }

    fn response_format(
        &mut self,
        this: Resource<ShownRequest>,
    ) -> wasmtime::Result<types::ResponseFormat> {
        Ok((&self.call(&this)?.parameters.response_format).into())
    }

    fn top_p(&mut self, this: Resource<ShownRequest>) -> wasmtime::Result<Option<f32>> {
        Ok(self.call(&this)?.parameters.top_p)
    }

    fn seed(&mut self, this: Resource<ShownRequest>) -> wasmtime::Result<Option<u64>> {
        Ok(self.call(&this)?.parameters.seed)
    }

    fn stop(&mut self, this: Resource<ShownRequest>) -> wasmtime::Result<Vec<String>> {
        Ok(self.call(&this)?.parameters.stop.clone())
    }

    fn logprobs(&mut self, this: Resource<ShownRequest>) -> wasmtime::Result<Option<u32>> {
        Ok(self.call(&this)?.parameters.logprobs)
    }

    fn caller(&mut self, this: Resource<ShownRequest>) -> wasmtime::Result<String> {
        Ok(self.call(&this)?.sender.caller.clone())
    }

    fn session(&mut self, this: Resource<ShownRequest>) -> wasmtime::Result<Option<String>> {
        Ok(self.call(&this)?.sender.session.clone())
    }

    fn header(
        &mut self,
        this: Resource<ShownRequest>,
        name: String,
    ) -> wasmtime::Result<Option<String>> {
        let headers = &self.call(&this)?.sender.headers;
        let found = headers.iter().find(|(known, _)| *known == name);
        Ok(found.map(|(_, value)| value.clone()))
    }

    fn previous_expert(
        &mut self,
        this: Resource<ShownRequest>,
    ) -> wasmtime::Result<Option<String>> {
        Ok(self.call(&this)?.previous_expert.clone())
    }

    fn tool_loop_open(&mut self, this: Resource<ShownRequest>) -> wasmtime::Result<bool> {
        Ok(self.call(&this)?.messages.last().is_some_and(|message| message.role == "tool"))
    }

    fn time_left_ms(&mut self, _: Resource<ShownRequest>) -> wasmtime::Result<u32> {
        let left = self.turn.limit.saturating_sub(self.turn.own_time.spent_in_turn());
        Ok(u32::try_from(left.as_millis()).unwrap_or(u32::MAX))
    }

    fn drop(&mut self, this: Resource<ShownRequest>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}
