//! OpenAI's `POST /v1/embeddings`.

use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::value::RawValue;

use super::{
    super::{
        fields::{Fields, Names, list, text},
        input::Admitted,
        parameters,
        reply::warning,
        sampling,
    },
    Asked, Granted, Sent, answer,
};
use crate::{
    App,
    caller::Caller,
    error::ApiError,
    limits::TEXTS_MAX,
    pipeline::Vectors,
    request_id::RequestId,
    wire::embeddings::{Embedding, EmbeddingList, EmbeddingUsage, Vector},
};

const NAMES: Names =
    &[&["model", "input", "encoding_format", "dimensions", "truncate"], parameters::HARMLESS];

/// How vectors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Float,
    Base64,
}

/// How many elements are wanted, and how they are written.
type Wanted = (Option<u32>, Encoding);

/// Makes vectors of texts.
pub(in crate::api) async fn embeddings(
    State(app): State<App>,
    Extension(id): Extension<RequestId>,
    Extension(caller): Extension<Caller>,
    Admitted { body, permit }: Admitted,
) -> Result<Response, ApiError> {
    let deadline = app.pipeline().deadline();
    let ((asked, (dimensions, encoding)), held) = body.read(&app, NAMES, read).await?;
    let warning = warning(&asked.warnings);
    let granted = Granted { id, caller, permit, held, deadline };
    let (headers, made) = answer(&app, asked, "embeddings", granted).await?;
    check_dimensions(dimensions, &made)?;
    Ok((headers, warning, Json(written(made, encoding))).into_response())
}

fn read(mut fields: Fields<'_>) -> Result<(Asked, Wanted), ApiError> {
    let texts = texts(&mut fields)?;
    let encoding = match fields.read::<String>("encoding_format")?.as_deref() {
        None | Some("float") => Encoding::Float,
        Some("base64") => Encoding::Base64,
        Some(_) => {
            let message = "'encoding_format' must be 'float' or 'base64'";
            return Err(ApiError::value("encoding_format", message));
        }
    };
    let dimensions = fields.count("dimensions", 1, u32::MAX)?;
    let truncate = fields.read("truncate")?.unwrap_or(false);
    let model = sampling::model(&mut fields)?;
    let warnings = parameters::warnings(&fields);
    Ok((Asked { model, texts, truncate, keep_alive: None, warnings }, (dimensions, encoding)))
}

/// A string or a list of tokens, or a list of either.
fn texts(fields: &mut Fields<'_>) -> Result<Vec<Sent>, ApiError> {
    let sent = fields.need("input")?;
    let wrong = || {
        let message = format!(
            "'input' must be a string or a list of tokens, or up to {TEXTS_MAX} of them, and none of them empty"
        );
        ApiError::value("input", message)
    };
    let one = |value: &RawValue| {
        let text = text(value).filter(|text| !text.is_empty())?;
        Some(Sent::Text(text.into_owned()))
    };
    let tokens = |value: &RawValue| {
        let ids: Option<Vec<u32>> = serde_json::from_str(value.get()).ok();
        ids.filter(|ids| !ids.is_empty()).map(Sent::Tokens)
    };
    let named = fields.see("model").and_then(text).is_some_and(|name| !sampling::is_auto(&name));
    let of_one =
        |texts: Vec<Sent>| match named || texts.iter().all(|sent| matches!(sent, Sent::Text(_))) {
            true => Ok(texts),
            false => {
                let message = "tokens are of one expert's vocabulary; name it in 'model'";
                Err(ApiError::value("input", message))
            }
        };
    if let Some(sent) = one(sent).or_else(|| tokens(sent)) {
        return of_one(vec![sent]);
    }
    let items = list(sent, TEXTS_MAX).map_err(|_| wrong())?;
    let texts: Option<Vec<Sent>> =
        items.iter().map(|item| one(item).or_else(|| tokens(item))).collect();
    of_one(texts.filter(|texts| !texts.is_empty()).ok_or_else(wrong)?)
}

/// Vectors are whole: a part of one means something only where the model was trained for that.
fn check_dimensions(wanted: Option<u32>, made: &Vectors) -> Result<(), ApiError> {
    let width = made.vectors.first().map_or(0, Vec::len);
    match wanted.filter(|wanted| *wanted as usize != width) {
        None => Ok(()),
        Some(wanted) => {
            let message = format!(
                "'dimensions' is {wanted}, but vectors of '{}' have {width} elements and are not cut; leave it out",
                made.model
            );
            Err(ApiError::unsupported("dimensions", message))
        }
    }
}

fn written(made: Vectors, encoding: Encoding) -> EmbeddingList {
    let vector = |numbers: Vec<f32>| match encoding {
        Encoding::Float => Vector::Float(numbers),
        Encoding::Base64 => {
            let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            Vector::Base64(STANDARD.encode(bytes))
        }
    };
    let embedding = |(index, numbers)| Embedding {
        object: "embedding".into(),
        index,
        embedding: vector(numbers),
    };
    EmbeddingList {
        object: "list".into(),
        data: made.vectors.into_iter().enumerate().map(embedding).collect(),
        model: made.model,
        usage: EmbeddingUsage {
            prompt_tokens: made.usage.prompt_tokens,
            total_tokens: made.usage.prompt_tokens,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, expect: Result<Vec<Sent>, &str>) {
        let body = format!(r#"{{"model": "x", "input": {input}}}"#);
        let read = texts(&mut Fields::parse(body.as_bytes(), NAMES).unwrap());
        let code = read.as_ref().map_err(ApiError::code);
        assert_eq!(code, expect.as_ref().map_err(|code| *code), "{input}");
    }

    #[test]
    fn inputs_are_strings_or_tokens() {
        let text = |text: &str| Sent::Text(text.to_owned());
        check(r#""once""#, Ok(vec![text("once")]));
        check(r#"["a", "b"]"#, Ok(vec![text("a"), text("b")]));
        check("[1, 2]", Ok(vec![Sent::Tokens(vec![1, 2])]));
        check("[[1], [2, 3]]", Ok(vec![Sent::Tokens(vec![1]), Sent::Tokens(vec![2, 3])]));
        let many = format!("[{}]", vec![r#""a""#; TEXTS_MAX + 1].join(","));
        for bad in [r#""""#, "[]", r#"["a", ""]"#, r#"["a", 1]"#, "[[]]", "[-1]", "7", "{}", &many]
        {
            check(bad, Err("invalid_value"));
        }
    }

    #[test]
    fn tokens_need_a_name() {
        for body in [r#"{"input": [1]}"#, r#"{"model": "auto", "input": [[1]]}"#] {
            let read = texts(&mut Fields::parse(body.as_bytes(), NAMES).unwrap());
            assert_eq!(read.unwrap_err().code(), "invalid_value", "{body}");
        }
    }
}
