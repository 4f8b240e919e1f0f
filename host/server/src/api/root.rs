//! `GET /`: what this is.

use axum::{Json, extract::State};
use serde::Serialize;
use signalbox_engine::{ExpertState, ExpertStatus};

use crate::App;

/// The server in one line.
#[derive(Serialize)]
pub(super) struct Root {
    name: &'static str,
    version: &'static str,
    #[serde(flatten)]
    models: Models,
    routing_enabled: bool,
}

/// How many experts there are to talk to.
#[derive(Serialize)]
pub(super) struct Models {
    models_loaded: usize,
    models_available: usize,
}

/// Name and version of this host.
pub(super) async fn show(State(app): State<App>) -> Json<Root> {
    Json(Root {
        name: "signalbox",
        version: env!("CARGO_PKG_VERSION"),
        models: models(&app.fleet().menu()),
        routing_enabled: app.policies().pipeline().route.is_some(),
    })
}

/// Counts a menu: in memory, and able to answer at all.
pub(super) fn models(menu: &[ExpertStatus]) -> Models {
    let loaded = menu.iter().filter(|expert| expert.state == ExpertState::Resident);
    let able = menu.iter().filter(|expert| !matches!(expert.state, ExpertState::Failed(_)));
    Models { models_loaded: loaded.count(), models_available: able.count() }
}
