//! What a body asks for, whatever its dialect, and the way from there to the reply: its images are looked at, it
//! becomes a call, and the call's reply is sent in that dialect's words.

use axum::response::Response;

use super::{
    conversation::{Placed, pictures},
    reply::{Dialect, Sending},
    sampling::{Delivery, Draft},
};
use crate::{
    App,
    admission::Permit,
    bodies::Held,
    error::ApiError,
    pipeline::{Call, Deadline, Pictures, Refused},
    request_id::RequestId,
};

/// What a body asks for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) draft: Draft,
    /// Further calls beside it, which have no images.
    pub(super) others: Vec<Draft>,
    pub(super) delivery: Delivery,
    pub(super) images: Placed,
}

/// What a call has while it is answered.
pub(super) struct Granted {
    pub(super) permit: Permit,
    /// The memory of its body.
    pub(super) held: Held,
    pub(super) deadline: Deadline,
    pub(super) id: RequestId,
}

impl Asked {
    /// The call, when its images are there.
    pub(super) async fn call(self, app: &App) -> Result<Call, ApiError> {
        let Self { draft, images, .. } = self;
        let pictures = pictures(app.images(), draft.messages(), images).await?;
        Ok(draft.with(pictures))
    }

    /// Answers it in a dialect.
    pub(super) async fn answer<D: Dialect>(
        mut self,
        app: App,
        granted: Granted,
        dialect: D,
    ) -> Result<Response, ApiError> {
        let Granted { permit, mut held, deadline, id } = granted;
        let delivery = self.delivery.clone();
        let others = std::mem::take(&mut self.others);
        let late = |refusal| Refused { id: id.as_str().to_owned(), refusal };
        let call = deadline.within(self.call(&app)).await.map_err(late)??;
        let others = others.into_iter().map(|draft| draft.with(Pictures::default()));
        let calls: Vec<Call> = [call].into_iter().chain(others).collect();
        held.shrink(calls.iter().map(Call::text_bytes).sum());
        let progress = calls[0].progress.clone();
        let sending = Sending { dialect, delivery, progress };
        sending.send(app, calls, permit.holding(held), deadline).await
    }
}
