//! `GET /`: what this is.

use axum::{Json, extract::State};
use signalbox_engine::{ExpertState, ExpertStatus};

use crate::{
    App,
    wire::models::{Models, Root},
};

/// Name and version of this host.
pub(super) async fn show(State(app): State<App>) -> Json<Root> {
    Json(Root {
        name: "signalbox".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        models: models(&app.fleet().menu()),
        routing_enabled: app.policies().pipeline().policies.route.is_some(),
    })
}

/// Those that can't be served.
pub(super) fn failed(menu: &[ExpertStatus]) -> Vec<String> {
    let failed = menu.iter().filter(|expert| matches!(expert.state, ExpertState::Failed(_)));
    failed.map(|expert| expert.id.clone()).collect()
}

/// Counts a menu: in memory, and able to answer at all.
pub(super) fn models(menu: &[ExpertStatus]) -> Models {
    let loaded = menu.iter().filter(|expert| expert.state == ExpertState::Resident);
    let able = menu.iter().filter(|expert| !matches!(expert.state, ExpertState::Failed(_)));
    Models { models_loaded: loaded.count(), models_available: able.count() }
}
