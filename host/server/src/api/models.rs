//! `GET /v1/models`: the experts in OpenAI's words, behind `auto`, which lets the router decide, and before their
//! aliases.

use std::time::SystemTime;

use axum::{Extension, Json, extract::State};
use signalbox_engine::{ExpertState, ExpertStatus};

use super::{input::Named, root, writer::unix_seconds};
use crate::{
    App,
    caller::Caller,
    error::ApiError,
    pipeline::{Refusal, Refused},
    request_id::RequestId,
    wire::models::{Model, ModelList},
};

/// The name that leaves the choice to the router.
const AUTO: &str = "auto";

/// Every model there is to name.
pub(super) async fn list(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Json<ModelList> {
    let created = created(&app);
    let menu = app.menu(&caller);
    // Where nobody can answer, there is nobody to choose.
    let auto = (root::models(&menu).models_available > 0).then(|| auto(created));
    let other = |(alias, id): (&String, &String)| {
        let expert = app.fleet().status(id).filter(|expert| caller.may_ask(&expert.id))?;
        Some(Model { id: alias.clone(), ..model(expert, created) })
    };
    let aliases = app.pipeline().aliases.load();
    let aliases = aliases.iter().filter_map(other);
    let experts = menu.into_iter().map(|expert| model(expert, created));
    let data = auto.into_iter().chain(experts).chain(aliases).collect();
    Json(ModelList { object: "list".into(), data })
}

/// One model by its name.
pub(super) async fn show(
    State(app): State<App>,
    Extension(request): Extension<RequestId>,
    Extension(caller): Extension<Caller>,
    Named(id): Named<String>,
) -> Result<Json<Model>, ApiError> {
    let created = created(&app);
    let meant = app.pipeline().meant(&id);
    let found = meant.and_then(|meant| app.fleet().status(&meant));
    match found.filter(|expert| caller.may_ask(&expert.id)) {
        Some(expert) => {
            let alias = app.pipeline().aliases.load().contains_key(&id);
            let named = model(expert, created);
            Ok(Json(if alias { Model { id, ..named } } else { named }))
        }
        None if id == AUTO => Ok(Json(auto(created))),
        None => {
            let known = app.menu(&caller).into_iter().map(|expert| expert.id).collect();
            let refusal = Refusal::UnknownExpert { asked: id, known };
            Err(Refused { id: request.as_str().to_owned(), refusal }.into())
        }
    }
}

/// The start of the server: a model is no newer for being listed again.
fn created(app: &App) -> u64 {
    let (_, at): (_, SystemTime) = app.started();
    unix_seconds(at)
}

fn model(expert: ExpertStatus, created: u64) -> Model {
    Model {
        status: status(&expert.state).into(),
        root: expert.id.clone(),
        description: expert.description,
        domain: Some(expert.domain),
        priority: Some(expert.priority),
        context_length: (expert.context_length > 0).then_some(expert.context_length),
        capabilities: Some(capabilities(expert.capabilities)),
        ..blank(expert.id, created)
    }
}

/// What an expert can do here: whoever converses answers questions with probabilities, too.
fn capabilities(mut own: Vec<String>) -> Vec<String> {
    if own.iter().any(|known| known == "chat") {
        own.push("decisions".to_owned());
    }
    own
}

fn auto(created: u64) -> Model {
    let description = "the router chooses an expert for every call".to_owned();
    Model { description, ..blank(AUTO.to_owned(), created) }
}

fn blank(id: String, created: u64) -> Model {
    Model {
        root: id.clone(),
        id,
        object: "model".into(),
        created,
        owned_by: "signalbox".into(),
        permission: [],
        parent: None,
        description: String::new(),
        domain: None,
        status: "available".into(),
        priority: None,
        context_length: None,
        capabilities: None,
    }
}

fn status(state: &ExpertState) -> &'static str {
    match state {
        ExpertState::Resident => "loaded",
        ExpertState::Loading => "loading",
        ExpertState::Cold => "available",
        ExpertState::Failed(_) => "failed",
    }
}
