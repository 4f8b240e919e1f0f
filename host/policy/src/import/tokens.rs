//! Counts tokens for policies.

use crate::{TokenError, bindings::signalbox::policy::tokens, store::State};

impl From<TokenError> for tokens::Error {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::UnknownExpert(id) => Self::UnknownExpert(id),
            TokenError::Unavailable(why) => Self::Unavailable(why),
        }
    }
}

impl tokens::Host for State {
    async fn count(
        &mut self,
        text: String,
        expert: Option<String>,
    ) -> wasmtime::Result<Result<u32, tokens::Error>> {
        let (counting, world) = (&self.token_counts, &self.lent.world);
        let counted = counting.count(self.lent.lane(), world, &text, expert);
        let counted = self.turn.own_time.with_host(counted).await?;
        Ok(counted.map_err(Into::into))
    }
}
