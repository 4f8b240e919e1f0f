//! What Ollama's clients ask of models: `GET /api/tags`, `GET /api/ps`, `POST /api/show`, `GET /api/version`.

use std::{collections::BTreeMap, fmt::Write as _};

use axum::{Extension, Json, extract::State};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use signalbox_engine::{ExpertState, ExpertStatus};

use crate::{
    App,
    api::{
        fields::{Fields, Names, text},
        input::Admitted,
    },
    caller::Caller,
    date,
    error::ApiError,
    pipeline::{self, Refusal, Refused},
    request_id::RequestId,
    wire::{
        Word,
        ollama::{OllamaDetails, OllamaModel, OllamaModels, OllamaVersion, ShowAnswer},
    },
};

/// The version of Ollama whose API this is.
const OLLAMA: &str = "0.12.6";
/// The name that leaves the choice to the router.
const AUTO: &str = "auto";
const SHOW_NAMES: Names = &[&["model", "name", "verbose", "system", "template", "options"]];

/// What a call may name.
pub(in crate::api) async fn tags(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Json<OllamaModels> {
    let menu = app.menu(&caller);
    let able = |expert: &&ExpertStatus| !matches!(expert.state, ExpertState::Failed(_));
    let auto = menu.iter().any(|expert| able(&expert)).then(|| auto(&app));
    let experts = menu.iter().map(|expert| model(&app, expert));
    let other = |(alias, id): (&String, &String)| {
        let name = if alias.contains(':') { alias.clone() } else { format!("{alias}:latest") };
        let expert = app.fleet().status(id).filter(|expert| caller.may_ask(&expert.id))?;
        Some(OllamaModel { model: name.clone(), name, ..model(&app, &expert) })
    };
    let aliases = app.pipeline().aliases.load();
    let aliases = aliases.iter().filter_map(other);
    Json(OllamaModels { models: auto.into_iter().chain(experts).chain(aliases).collect() })
}

/// What is in memory.
pub(in crate::api) async fn resident(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Json<OllamaModels> {
    let menu = app.menu(&caller);
    let resident = menu.iter().filter(|expert| expert.state == ExpertState::Resident);
    let models = resident.map(|expert| OllamaModel {
        context_length: (expert.context_length > 0).then_some(expert.context_length),
        ..model(&app, expert)
    });
    Json(OllamaModels { models: models.collect() })
}

/// One expert.
pub(in crate::api) async fn show(
    State(app): State<App>,
    Extension(id): Extension<RequestId>,
    Extension(caller): Extension<Caller>,
    Admitted { body, permit: _permit }: Admitted,
) -> Result<Json<ShowAnswer>, ApiError> {
    let reading = |mut fields: Fields<'_>| {
        let named = fields.take("model").or(fields.take("name")).and_then(text);
        named.map(std::borrow::Cow::into_owned).ok_or_else(|| fields.missing("model"))
    };
    let (named, _held) = body.read(&app, SHOW_NAMES, reading).await?;
    let refused = |refusal| ApiError::from(Refused { id: id.as_str().to_owned(), refusal });
    let expert = find(&app, &caller, &named).map_err(refused)?;
    Ok(Json(ShowAnswer {
        details: details(&expert),
        model_info: info(&expert),
        capabilities: capabilities(&expert),
        description: expert.description,
        modified_at: date::rfc_3339(app.started().1),
    }))
}

/// What clients ask before anything else.
pub(in crate::api) async fn version() -> Json<OllamaVersion> {
    Json(OllamaVersion { version: OLLAMA.into(), signalbox: env!("CARGO_PKG_VERSION").into() })
}

/// The expert that a name means, of which a beginning will do.
pub(in crate::api) fn find(
    app: &App,
    caller: &Caller,
    named: &str,
) -> Result<ExpertStatus, Refusal> {
    let menu = app.menu(caller);
    let begun = || {
        let ids = menu.iter().map(|expert| expert.id.as_str());
        pipeline::find_begun(named, ids).map(str::to_owned)
    };
    let found = app.pipeline().meant(named).or_else(begun);
    let found = found.map(|id| app.pipeline().allow(caller, &id).map(|()| id)).transpose()?;
    found.and_then(|id| app.fleet().status(&id)).ok_or_else(|| {
        let known = menu.iter().map(|expert| expert.id.clone()).collect();
        Refusal::UnknownExpert { asked: named.to_owned(), known }
    })
}

fn model(app: &App, expert: &ExpertStatus) -> OllamaModel {
    OllamaModel { size: expert.weight_bytes, details: details(expert), ..named(app, &expert.id) }
        .with_digest()
}

fn auto(app: &App) -> OllamaModel {
    named(app, AUTO).with_digest()
}

fn named(app: &App, id: &str) -> OllamaModel {
    let name = format!("{id}:latest");
    OllamaModel {
        model: name.clone(),
        name,
        modified_at: date::rfc_3339(app.started().1),
        size: 0,
        digest: String::new(),
        details: OllamaDetails::default(),
        context_length: None,
    }
}

impl OllamaModel {
    /// Clients print the first letters of it.
    fn with_digest(self) -> Self {
        let OllamaDetails { family, quantization_level, .. } = &self.details;
        let hash = Sha256::digest(format!("{}\n{family}\n{quantization_level}", self.name));
        let mut digest = String::with_capacity(64);
        for byte in hash {
            let _ = write!(digest, "{byte:02x}"); // writing to a string does not fail
        }
        Self { digest, ..self }
    }
}

fn details(expert: &ExpertStatus) -> OllamaDetails {
    let quantization_level = expert.quantization.clone().unwrap_or_default();
    let format = match &*quantization_level {
        "" => "",
        level if level.starts_with("gguf") => "gguf",
        _ => "safetensors",
    };
    let family = expert.architecture.clone().unwrap_or_default();
    let families = if family.is_empty() { vec![] } else { vec![family.clone()] };
    OllamaDetails { format: format.into(), family, families, quantization_level }
}

fn info(expert: &ExpertStatus) -> BTreeMap<String, Value> {
    let Some(architecture) = &expert.architecture else { return BTreeMap::new() };
    let mut info = BTreeMap::from([("general.architecture".to_owned(), json!(architecture))]);
    if expert.context_length > 0 {
        info.insert(format!("{architecture}.context_length"), json!(expert.context_length));
    }
    info
}

/// In Ollama's words. Whoever has a template is told of tools in it.
fn capabilities(expert: &ExpertStatus) -> Vec<Word> {
    let can = |what: &str| expert.capabilities.iter().any(|known| known == what);
    let words = [
        ("completion", "completion"),
        ("chat", "tools"),
        ("images", "vision"),
        ("embeddings", "embedding"),
    ];
    words.into_iter().filter(|(ours, _)| can(ours)).map(|(_, theirs)| theirs.into()).collect()
}
