//! The call as policies see it.

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

    fn drop(&mut self, this: Resource<ShownRequest>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}
