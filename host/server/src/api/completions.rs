//! `POST /v1/completions`: texts that an expert continues, sent as strings or as its tokens, or gaps that it fills.

use axum::{Extension, extract::State, response::Response};
use serde_json::value::RawValue;
use signalbox_policy::Message;

use super::{
    asked::{Asked, Granted},
    conversation::unmarked,
    fields::{Fields, Names, list, text},
    format,
    input::Admitted,
    logprobs, parameters,
    sampling::{self, Prompt},
    writer::Writer,
};
use crate::{
    App,
    caller::Caller,
    error::ApiError,
    limits::CHOICES_PER_CALL_MAX,
    pipeline::{Form, Refusal, Refused, Wishes},
    request_id::RequestId,
};

pub(super) const NAMES: Names = &[
    &["prompt"],
    sampling::NAMES,
    format::NAMES,
    logprobs::NAMES,
    parameters::REFUSED,
    parameters::BEGINNINGS,
    parameters::HARMLESS,
];

/// What is to be continued.
#[derive(Debug, PartialEq, Eq)]
enum Prompts {
    Texts(Vec<String>),
    Tokens(Vec<Vec<u32>>),
}

/// What was read of a body.
struct Read {
    prompts: Prompts,
    echo: bool,
    asked: Asked,
}

/// Continues texts.
pub(super) async fn create(
    State(app): State<App>,
    Extension(id): Extension<RequestId>,
    Extension(caller): Extension<Caller>,
    Admitted { body, permit }: Admitted,
) -> Result<Response, ApiError> {
    let deadline = app.pipeline().deadline();
    let (settings, name) = (app.clone(), id.clone());
    let reading = move |mut fields: Fields<'_>| {
        let prompts = prompts(&mut fields)?;
        let echo = fields.read("echo")?.unwrap_or(false);
        if echo && fields.see("logprobs").is_some() {
            let message = "'echo': log probabilities are of the reply alone; leave one of both out";
            return Err(ApiError::unsupported("echo", message));
        }
        let (messages, wishes) = said(fields.read::<String>("suffix")?.unwrap_or_default());
        let prompt = Prompt { form: Form::Text, messages, wishes, streams: false };
        let read = sampling::read(&mut fields, (&name, caller), prompt, &settings.settings());
        let (draft, delivery) = read?;
        let asked = Asked { draft, others: vec![], delivery, images: vec![] };
        Ok(Read { prompts, echo, asked })
    };
    let (Read { prompts, echo, asked }, held) = body.read(&app, NAMES, reading).await?;
    check_number(&prompts, asked.delivery.choices)?;
    let late = |refusal| Refused { id: id.as_str().to_owned(), refusal };
    let texts = deadline.within(texts(&app, &asked, prompts)).await.map_err(late)?;
    let texts = texts.map_err(late)?;
    let echoed = texts.iter().filter(|_| echo).map(|(text, _)| text.clone()).collect();
    let writer = Writer::new(Form::Text, &asked.delivery, &id).echoing(echoed);
    let mut drafts = texts.into_iter().map(|(text, ids)| asked.draft.saying(text, ids));
    let draft = drafts.next().unwrap_or_else(|| asked.draft.clone());
    let others = drafts.collect();
    let asked = Asked { draft, others, ..asked };
    asked.answer(app, Granted { permit, held, deadline, id }, writer).await
}

/// A place for the prompt, and behind it what stands behind the gap.
pub(super) fn said(behind: String) -> (Vec<Message>, Wishes) {
    let message = |(origin, content)| Message { role: "user".to_owned(), content, origin };
    let infill = !behind.is_empty();
    let behind = infill.then(|| (Some(1), unmarked(&behind).into_owned()));
    let messages = [(Some(0), String::new())].into_iter().chain(behind).map(message).collect();
    (messages, Wishes { infill, ..Wishes::default() })
}

/// Every prompt is a call, and so is every reply to it.
fn check_number(prompts: &Prompts, choices: u32) -> Result<(), ApiError> {
    let count = match prompts {
        Prompts::Texts(texts) => texts.len(),
        Prompts::Tokens(lists) => lists.len(),
    };
    if count.saturating_mul(choices as usize) > CHOICES_PER_CALL_MAX as usize {
        let message =
            format!("there are more than {CHOICES_PER_CALL_MAX} replies in one call; send fewer");
        return Err(ApiError::value("prompt", message));
    }
    Ok(())
}

/// The prompts as text, which is what policies see, beside the tokens that were sent for it.
async fn texts(
    app: &App,
    asked: &Asked,
    prompts: Prompts,
) -> Result<Vec<(String, Option<Vec<u32>>)>, Refusal> {
    let lists = match prompts {
        Prompts::Texts(texts) => {
            return Ok(texts.into_iter().map(|text| (text, None)).collect());
        }
        Prompts::Tokens(lists) => lists,
    };
    let named = asked.draft.model().unwrap_or_default();
    let expert = app.pipeline().meant(named).ok_or_else(|| {
        let known = app.fleet().menu().into_iter().map(|expert| expert.id).collect();
        Refusal::UnknownExpert { asked: named.to_owned(), known }
    })?;
    let mut texts = Vec::with_capacity(lists.len());
    for ids in lists {
        let text = app.fleet().detokenize(&expert, ids.clone()).await?;
        texts.push((unmarked(&text).into_owned(), Some(ids)));
    }
    Ok(texts)
}

/// One string.
pub(super) fn text_prompt(fields: &mut Fields<'_>) -> Result<String, ApiError> {
    match prompts(fields)? {
        Prompts::Texts(mut texts) if texts.len() == 1 => Ok(texts.swap_remove(0)),
        _ => Err(ApiError::value("prompt", "'prompt' must be one string here")),
    }
}

/// A string or a list of tokens, or a list of either.
fn prompts(fields: &mut Fields<'_>) -> Result<Prompts, ApiError> {
    let sent = fields.need("prompt")?;
    let wrong = || {
        let message = format!(
            "'prompt' must be a string or a list of tokens, or up to {CHOICES_PER_CALL_MAX} of them, and \
             none of them empty"
        );
        ApiError::value("prompt", message)
    };
    let one = |value: &RawValue| {
        let text = text(value).filter(|text| !text.is_empty());
        text.map(|text| unmarked(&text).into_owned())
    };
    let tokens = |value: &RawValue| {
        let ids: Option<Vec<u32>> = serde_json::from_str(value.get()).ok();
        ids.filter(|ids| !ids.is_empty())
    };
    if let Some(text) = one(sent) {
        return Ok(Prompts::Texts(vec![text]));
    }
    let named = fields.see("model").and_then(text).is_some_and(|name| !sampling::is_auto(&name));
    let of_one = |lists| match named {
        true => Ok(Prompts::Tokens(lists)),
        false => {
            let message = "tokens are of one expert's vocabulary; name it in 'model'";
            Err(ApiError::value("prompt", message))
        }
    };
    if let Some(ids) = tokens(sent) {
        return of_one(vec![ids]);
    }
    let items = list(sent, CHOICES_PER_CALL_MAX as usize).map_err(|_| wrong())?;
    let texts: Option<Vec<_>> = items.iter().map(|item| one(item)).collect();
    let lists = || items.iter().map(|item| tokens(item)).collect::<Option<Vec<_>>>();
    match (items.is_empty(), texts) {
        (true, _) => Err(wrong()),
        (false, Some(texts)) => Ok(Prompts::Texts(texts)),
        (false, None) => of_one(lists().ok_or_else(wrong)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expect: Result<Prompts, &str>) {
        let read = prompts(&mut Fields::parse(body.as_bytes(), NAMES).unwrap());
        assert_eq!(
            read.as_ref().map_err(ApiError::code),
            expect.as_ref().map_err(|e| *e),
            "{body}"
        );
    }

    #[test]
    fn prompts_are_strings_or_tokens() {
        let texts =
            |texts: &[&str]| Ok(Prompts::Texts(texts.iter().map(|t| (*t).into()).collect()));
        check(r#"{"prompt": "once"}"#, texts(&["once"]));
        check(r#"{"prompt": ["once"]}"#, texts(&["once"]));
        check(r#"{"prompt": ["a", "b"]}"#, texts(&["a", "b"]));
        let named = |prompt: &str| format!(r#"{{"model": "x", "prompt": {prompt}}}"#);
        check(&named("[1, 2]"), Ok(Prompts::Tokens(vec![vec![1, 2]])));
        check(&named("[[1], [2, 3]]"), Ok(Prompts::Tokens(vec![vec![1], vec![2, 3]])));
        check(r"{}", Err("missing_parameter"));
        let many = format!("[{}]", vec![r#""a""#; 17].join(","));
        for bad in [r#""""#, "[]", r#"["a", ""]"#, r#"["a", 1]"#, "[[]]", "[-1]", "7", &many] {
            check(&named(bad), Err("invalid_value"));
        }
        check(r#"{"prompt": [1, 2]}"#, Err("invalid_value"));
        check(r#"{"model": "auto", "prompt": [1, 2]}"#, Err("invalid_value"));
    }
}
