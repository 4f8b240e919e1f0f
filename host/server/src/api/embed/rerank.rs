//! `POST /v1/rerank`, as Jina and Cohere have it: documents by what a cross-encoder scores them for the query, or by the
//! cosine of their vectors and the query's.

use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
};
use serde_json::value::RawValue;

use super::{
    super::{
        fields::{Fields, Names, list, text},
        input::Admitted,
        parameters,
        reply::warning,
        sampling,
    },
    Asked, Granted, RERANK, Sent, answer,
};
use crate::{
    App,
    caller::Caller,
    error::ApiError,
    limits::TEXTS_MAX,
    pipeline::Vectors,
    request_id::RequestId,
    wire::embeddings::{EmbeddingUsage, Ranked, RankedDocument, RerankAnswer},
};

const NAMES: Names = &[
    &["model", "query", "documents", "top_n", "return_documents", "truncate"],
    parameters::HARMLESS,
];
const DOCUMENT_NAMES: Names = &[&["text"]];

/// How much of the ranking is wanted.
struct Wanted {
    top: usize,
    /// The documents as they were sent, where results are to bring them.
    documents: Option<Vec<String>>,
}

/// Ranks documents.
pub(in crate::api) async fn rerank(
    State(app): State<App>,
    Extension(id): Extension<RequestId>,
    Extension(caller): Extension<Caller>,
    Admitted { body, permit }: Admitted,
) -> Result<Response, ApiError> {
    let deadline = app.pipeline().deadline();
    let ((asked, wanted), held) = body.read(&app, NAMES, read).await?;
    let (warning, name) = (warning(&asked.warnings), id.as_str().to_owned());
    let granted = Granted { id, caller, permit, held, deadline };
    let (headers, made) = answer(&app, asked, RERANK, granted).await?;
    Ok((headers, warning, Json(ranked(name, made, wanted))).into_response())
}

fn read(mut fields: Fields<'_>) -> Result<(Asked, Wanted), ApiError> {
    let query = fields.read::<String>("query")?.ok_or_else(|| fields.missing("query"))?;
    if query.is_empty() {
        return Err(ApiError::value("query", "'query' is empty; say what is looked for"));
    }
    let documents = documents(fields.need("documents")?)?;
    let top = fields.count("top_n", 1, u32::MAX)?.map_or(usize::MAX, |top| top as usize);
    let returned = fields.read("return_documents")?.unwrap_or(false);
    let wanted = Wanted { top, documents: returned.then(|| documents.clone()) };
    let texts = [query].into_iter().chain(documents).map(Sent::Text).collect();
    let truncate = fields.read("truncate")?.unwrap_or(false);
    let model = sampling::model(&mut fields)?;
    let warnings = parameters::warnings(&fields);
    Ok((Asked { model, texts, truncate, keep_alive: None, warnings }, wanted))
}

fn documents(sent: &RawValue) -> Result<Vec<String>, ApiError> {
    // One text of a call is the query.
    let most = TEXTS_MAX - 1;
    let wrong = || {
        let message = format!(
            "'documents' must be a list of 1 to {most} strings, or objects with 'text', none of them empty"
        );
        ApiError::value("documents", message)
    };
    let one = |item: &RawValue| {
        let said = text(item).or_else(|| text(Fields::of(item, DOCUMENT_NAMES, "")?.take("text")?));
        Some(said?.into_owned()).filter(|text| !text.is_empty())
    };
    let items = list(sent, most).map_err(|_| wrong())?;
    let documents: Option<Vec<String>> = items.into_iter().map(one).collect();
    documents.filter(|documents| !documents.is_empty()).ok_or_else(wrong)
}

/// The most relevant first; the sort is stable, so that equals stay in the client's order.
fn ranked(id: String, made: Vectors, wanted: Wanted) -> RerankAnswer {
    let Vectors { model, vectors, scores, usage, .. } = made;
    let scores: Vec<f64> = match (scores, vectors.split_first()) {
        (true, _) => vectors.iter().flatten().map(|score| f64::from(*score)).collect(),
        (false, Some((query, documents))) => {
            documents.iter().map(|document| cosine(query, document)).collect()
        }
        (false, None) => vec![],
    };
    let mut scores: Vec<(usize, f64)> = scores.into_iter().enumerate().collect();
    scores.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    scores.truncate(wanted.top);
    let document = |index: usize| {
        let text = wanted.documents.as_ref()?.get(index)?.clone();
        Some(RankedDocument { text })
    };
    let results = scores.into_iter().map(|(index, relevance_score)| Ranked {
        index,
        relevance_score,
        document: document(index),
    });
    let usage =
        EmbeddingUsage { prompt_tokens: usage.prompt_tokens, total_tokens: usage.prompt_tokens };
    RerankAnswer { id, model, results: results.collect(), usage }
}

/// Of vectors of the length one.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let sum: f64 = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    sum.clamp(-1.0, 1.0)
}
