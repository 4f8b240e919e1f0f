//! How much of a prompt an expert has computed already: what a router weighs against sending a conversation elsewhere.

use std::sync::Arc;

use super::{handle::Handle, residency::SlotState};
use crate::{
    EngineError, Prompt,
    expert::{Beginnings, keys},
};

impl Handle {
    /// Tokens of the prompt that the expert need not compute, as things are: what it keeps may go at any time. A prompt is
    /// only read where something is kept in its scope.
    pub(super) async fn cached_tokens(
        &self,
        scope: u64,
        prompt: Prompt,
    ) -> Result<u32, EngineError> {
        let Some(beginnings) = self.beginnings().filter(|kept| kept.any(scope)) else {
            return Ok(0);
        };
        let chat = matches!(prompt, Prompt::Chat(_));
        let read = move |expert: &Handle| {
            expert.prompt_format()?.encode(expert.id(), &prompt, expert.context())
        };
        let encoded = self.aside(chat, read).await?;
        let pictures = encoded.images.iter();
        let pictures = pictures.map(|placed| (&placed.span, placed.image.fingerprint()));
        let common = beginnings.common(scope, &keys(&encoded.ids, pictures));
        Ok(u32::try_from(common).unwrap_or(u32::MAX))
    }

    /// What it keeps, if it is in memory.
    fn beginnings(&self) -> Option<Arc<Beginnings>> {
        match &self.shared.residency().slots[self.at].state {
            SlotState::Resident(expert) => Some(expert.beginnings.clone()),
            _ => None,
        }
    }
}
