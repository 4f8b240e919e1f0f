//! `POST /reload`: the configuration is read anew.

use axum::{Json, extract::State, http::StatusCode};

use crate::{App, error::ApiError, reload::ReloadError, wire::reload::Reload};

/// Reads it, and puts in force what may change while the host serves.
pub(super) async fn run(State(app): State<App>) -> Result<Json<Reload>, ApiError> {
    let reloading = tokio::task::spawn_blocking(move || app.reload());
    let reloaded = reloading.await.unwrap_or_else(|panic| {
        Err(ReloadError::Mistakes(format!("reading it stopped in the middle: {panic}")))
    });
    match reloaded {
        Ok(reloaded) => Ok(Json(reloaded.into())),
        Err(error) => {
            let (status, code) = match &error {
                ReloadError::NoSource => (StatusCode::CONFLICT, "reload_impossible"),
                ReloadError::Mistakes(_) => {
                    (StatusCode::UNPROCESSABLE_ENTITY, "configuration_invalid")
                }
            };
            Err(ApiError::client(status, code, error.to_string()))
        }
    }
}
