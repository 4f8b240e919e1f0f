//! llama.cpp's `POST /completion`: one text that an expert continues, in that server's words.

mod writer;

use axum::{Extension, extract::State, response::Response};

use super::{
    asked::{Asked, Granted},
    completions::{self, NAMES},
    fields::Fields,
    input::Admitted,
    sampling::{self, Prompt},
};
use crate::{App, caller::Caller, error::ApiError, pipeline::Form, request_id::RequestId};
use writer::Writer;

/// Continues a text.
pub(super) async fn create(
    State(app): State<App>,
    Extension(id): Extension<RequestId>,
    Extension(caller): Extension<Caller>,
    Admitted { body, permit }: Admitted,
) -> Result<Response, ApiError> {
    let deadline = app.pipeline().deadline();
    let (settings, name) = (app.clone(), id.clone());
    let reading = move |mut fields: Fields<'_>| {
        let text = completions::text_prompt(&mut fields)?;
        let (messages, wishes) = completions::said(String::new());
        let prompt = Prompt { form: Form::Text, messages, wishes, streams: false };
        let read = sampling::read(&mut fields, (&name, caller), prompt, &settings.settings());
        let (draft, delivery) = read?;
        draft.check_unweighed()?;
        delivery.check_single()?;
        let draft = draft.saying(text, None);
        Ok(Asked { draft, others: vec![], delivery, images: vec![] })
    };
    let (asked, held) = body.read(&app, NAMES, reading).await?;
    let writer = Writer::new(asked.draft.stops());
    asked.answer(app, Granted { permit, held, deadline, id }, writer).await
}
