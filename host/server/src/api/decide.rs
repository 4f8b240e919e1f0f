//! `POST /v1/decisions` and `POST /v1/systemone`: typed questions about a text, answered with probabilities. Two dialects
//! of one thing: `openai` and `systemone` read and write it, `question` says how it is asked, `answer` what follows from
//! what the labels weigh.

mod answer;
mod openai;
mod question;
mod systemone;

use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use signalbox_engine::{Ends, Progress, Sampling};
use signalbox_policy::Message;

use super::{
    conversation::unmarked,
    fields::{Fields, Names},
    input::Admitted,
    parameters,
    reply::{account, warning},
    sampling,
};
use crate::{
    App,
    caller::Caller,
    error::ApiError,
    pipeline::{Call, Decided, Form, Pictures, Wishes},
    request_id::RequestId,
};
use answer::{Answered, Weights};
use question::Question;

/// What a body asks.
struct Asked {
    model: Option<String>,
    text: String,
    questions: Vec<Question>,
    warnings: Vec<String>,
}

/// Answers questions in OpenAI's words.
pub(super) async fn decisions(
    State(app): State<App>,
    Extension(id): Extension<RequestId>,
    Extension(caller): Extension<Caller>,
    admitted: Admitted,
) -> Result<Response, ApiError> {
    answer(app, (id, caller), admitted, (openai::NAMES, openai::read), openai::written).await
}

/// Answers questions in the words of System One.
pub(super) async fn systemone(
    State(app): State<App>,
    Extension(id): Extension<RequestId>,
    Extension(caller): Extension<Caller>,
    admitted: Admitted,
) -> Result<Response, ApiError> {
    answer(app, (id, caller), admitted, (systemone::NAMES, systemone::read), systemone::written)
        .await
}

/// How a dialect is read.
type Reader = fn(&mut Fields<'_>) -> Result<(String, Vec<Question>), ApiError>;

async fn answer<T: Serialize>(
    app: App,
    (id, caller): (RequestId, Caller),
    Admitted { body, permit }: Admitted,
    (names, reader): (Names, Reader),
    written: impl FnOnce(Answered) -> T,
) -> Result<Response, ApiError> {
    let deadline = app.pipeline().deadline();
    let reading = move |mut fields: Fields<'_>| {
        let (text, questions) = reader(&mut fields)?;
        let model = sampling::model(&mut fields)?;
        parameters::refuse(&mut fields, Form::Chat)?;
        Ok(Asked { model, text, questions, warnings: parameters::warnings(&fields) })
    };
    let (asked, mut held) = body.read(&app, names, reading).await?;
    let warning = warning(&asked.warnings);
    let (call, questions) = asked.call(&id, caller);
    held.shrink(call.text_bytes());
    let _permit = permit.holding(held);
    let labels: Vec<_> = questions.iter().map(|question| question.labels.clone()).collect();
    let decided = app.pipeline().decide(call, &labels, deadline).await?;
    let Decided { model, route, reason, decision, answers, usage } = decided;
    let headers = account(&model, &route, &reason, &decision);
    let weights =
        answers.into_iter().map(|logprobs| logprobs.map(|logprobs| Weights::of(&logprobs)));
    let answers = questions.into_iter().zip(weights).collect();
    let written = written(Answered { id, model, answers, usage });
    Ok((headers, warning, Json(written)).into_response())
}

impl Asked {
    /// The call as policies see it: the text, and behind it a message for each question.
    fn call(self, id: &RequestId, caller: Caller) -> (Call, Vec<Question>) {
        let Self { model, text, questions, .. } = self;
        let asked = questions.iter().map(|question| question.text.as_str());
        let message = |(at, text): (usize, &str)| Message {
            role: "user".to_owned(),
            content: unmarked(text).into_owned(),
            origin: Some(at),
        };
        let messages = [text.as_str()].into_iter().chain(asked).enumerate().map(message).collect();
        let view = signalbox_policy::Call {
            id: id.as_str().to_owned(),
            caller: caller.number(),
            model,
            messages,
            hints: vec![("endpoint".to_owned(), "decisions".to_owned())],
            ..signalbox_policy::Call::default()
        };
        let call = Call {
            view,
            caller,
            pictures: Pictures::default(),
            wishes: Wishes { logprobs: Some(0), ..Wishes::default() },
            form: Form::Chat,
            sampling: Sampling::default(),
            stop: vec![],
            ends: Ends::default(),
            progress: Progress::default(),
        };
        (call, questions)
    }
}
