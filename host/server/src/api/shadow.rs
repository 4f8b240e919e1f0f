//! `/policies/{name}/shadow`: a staged revision works beside the one in force and is only compared.

use axum::{Json, extract::State, http::StatusCode};

use super::{
    fields::Fields,
    input::{Document, Named},
    policies::blocking,
};
use crate::{App, error::ApiError, wire::trials::Shadow};

/// Lets a revision work in shadow.
pub(super) async fn cast(
    State(app): State<App>,
    Named(name): Named<String>,
    Document(body): Document,
) -> Result<Json<Shadow>, ApiError> {
    let reading = |mut fields: Fields<'_>| -> Result<(String, Option<bool>), ApiError> {
        let revision = fields.read("revision")?.ok_or_else(|| fields.missing("revision"))?;
        Ok((revision, fields.read("allow_new_imports")?))
    };
    let ((revision, allowed), _) =
        body.read(&app, &[&["revision", "allow_new_imports"]], reading).await?;
    let new_imports = allowed.unwrap_or_default().into();
    Ok(Json(blocking(&app, move |p| p.shadow(&name, &revision, new_imports)).await?.into()))
}

/// Ends it.
pub(super) async fn end(
    State(app): State<App>,
    Named(name): Named<String>,
) -> Result<StatusCode, ApiError> {
    blocking(&app, move |policies| policies.end_shadow(&name)).await?;
    Ok(StatusCode::NO_CONTENT)
}
