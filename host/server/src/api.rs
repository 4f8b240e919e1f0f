//! Every URL of both planes on one page. One file per endpoint group beside it: what it reads, what
//! it answers, and the handler.

mod activations;
mod asked;
mod chat;
mod completion;
mod completions;
mod conversation;
mod decide;
mod decisions;
mod embed;
mod experts;
mod fields;
mod format;
mod health;
mod input;
mod logprobs;
mod messages;
mod metrics;
mod models;
mod ollama;
mod parameters;
mod parts;
mod pipeline;
mod policies;
mod reload;
mod replay;
pub(crate) mod reply;
mod responses;
mod root;
pub(crate) mod route;
mod sampling;
mod shadow;
mod stats;
mod tokens;
mod tools;
mod worlds;
mod writer;

use std::net::SocketAddr;

use axum::{
    Extension, Router,
    http::{Method, StatusCode, Uri},
    middleware::from_fn_with_state,
};
use serde_json::Value;

#[cfg(any(test, fuzzing))]
pub(crate) use chat::read_any;
use route::{Route, delete, get, post, put};

use signalbox_confine::clean;

use crate::{
    App,
    access::{self, ClientDoor, OperatorDoor},
    error::ApiError,
    observe,
    openapi::{self, Document},
    scrape,
    wire::{
        completion::CompletionAnswer,
        completions::Completion,
        decide::{DecisionsAnswer, DecisionsRequest, SystemOneAnswer, SystemOneRequest},
        embeddings::{
            EmbedAnswer, EmbedRequest, EmbeddingList, EmbeddingsRequest, OldEmbedAnswer,
            OldEmbedRequest, RerankAnswer, RerankRequest,
        },
        experts::{Expert, ExpertList},
        health::{Health, Ready},
        messages::{MessageAnswer, MessagesRequest, TokenCount},
        models::{Model, ModelList, Root},
        ollama::{
            GenerateRequest, OllamaAnswer, OllamaChatRequest, OllamaModels, OllamaVersion,
            ShowAnswer, ShowRequest,
        },
        policies::{
            Activation, ActivationList, Pipeline, PipelineStatus, Policy, PolicyList, Uploaded,
        },
        reload::Reload,
        requests::{Activate, Cast, ChatRequest, RatingRequest, TextRequest},
        responses::{ResponseAnswer, ResponseDeleted, ResponseItems, ResponsesRequest},
        stats::Stats,
        tokens::{DetokenizeAnswer, DetokenizeRequest, TokenizeAnswer, TokenizeRequest},
        trials::{Replay, Shadow},
        worlds::Worlds,
    },
};

/// Bytes of a path or a method that an error repeats.
const SHOWN: usize = 200;

/// What clients use.
fn data_table() -> Vec<Route> {
    let tables = [
        about_table(),
        openai_table(),
        decide_table(),
        embed_table(),
        anthropic_table(),
        ollama_table(),
        text_table(),
    ];
    tables.into_iter().flatten().collect()
}

/// What there is, and how it is.
fn about_table() -> Vec<Route> {
    vec![
        get("/", "What this is.", root::show).answers::<Root>(),
        get("/health", "Whether the process lives.", health::health).answers::<Health>(),
        get("/ready", "Whether calls should be sent here; 503 when not.", health::ready)
            .answers::<Ready>(),
        get("/stats", "The server at a glance, with every limit in force.", stats::show)
            .answers::<Stats>(),
        get("/experts", "Where every expert stands.", experts::list).answers::<ExpertList>(),
        get("/metrics", "Counters and gauges for Prometheus.", metrics::show)
            .answers_text(scrape::CONTENT_TYPE),
        get("/openapi.json", "This plane as an OpenAPI document.", openapi::show)
            .answers::<Value>(),
        post(
            "/decisions/{decision}/feedback",
            "What a caller thinks of the reply to its call, by `x-signalbox-decision`; once.",
            decisions::rate,
        )
        .takes::<RatingRequest>()
        .answers_nothing(),
        get("/v1/models", "What a call may name.", models::list).answers::<ModelList>(),
        get("/v1/models/{id}", "One model.", models::show).answers::<Model>(),
    ]
}

/// OpenAI's words.
fn openai_table() -> Vec<Route> {
    vec![
        post("/v1/chat/completions", "Answers a conversation; whole, or as events.", chat::create)
            .takes::<ChatRequest>()
            .answers::<Completion>(),
        post("/v1/completions", "Continues a text; whole, or as events.", completions::create)
            .takes::<TextRequest>()
            .answers::<Completion>(),
        post(
            "/v1/responses",
            "Answers items; may follow a response that is kept.",
            responses::create,
        )
        .takes::<ResponsesRequest>()
        .answers::<ResponseAnswer>(),
        get("/v1/responses/{id}", "A response that is kept.", responses::show)
            .answers::<ResponseAnswer>(),
        delete("/v1/responses/{id}", "Forgets a response.", responses::delete)
            .answers::<ResponseDeleted>(),
        get(
            "/v1/responses/{id}/input_items",
            "What a response that is kept was made from.",
            responses::items::list,
        )
        .reads(&[
            ("limit", "how many, 1 to 100; 20 when absent"),
            ("order", "`asc`, or `desc` when absent: the newest first"),
            ("after", "the id of the item behind which they begin"),
        ])
        .answers::<ResponseItems>(),
    ]
}

/// Questions that are answered with probabilities.
fn decide_table() -> Vec<Route> {
    vec![
        post("/v1/decisions", "Answers questions with probabilities.", decide::decisions)
            .takes::<DecisionsRequest>()
            .answers::<DecisionsAnswer>(),
        post("/v1/systemone", "The same in the words of System One.", decide::systemone)
            .takes::<SystemOneRequest>()
            .answers::<SystemOneAnswer>(),
    ]
}

/// Vectors of texts, and what follows from them.
fn embed_table() -> Vec<Route> {
    vec![
        post("/v1/embeddings", "Makes vectors of texts.", embed::embeddings)
            .takes::<EmbeddingsRequest>()
            .answers::<EmbeddingList>(),
        post("/v1/rerank", "Ranks documents by a query.", embed::rerank)
            .takes::<RerankRequest>()
            .answers::<RerankAnswer>(),
        post("/api/embed", "Makes vectors of texts in Ollama's words.", embed::embed)
            .takes::<EmbedRequest>()
            .answers::<EmbedAnswer>(),
        post("/api/embeddings", "The same of one text.", embed::old_embeddings)
            .takes::<OldEmbedRequest>()
            .answers::<OldEmbedAnswer>(),
    ]
}

/// Anthropic's words.
fn anthropic_table() -> Vec<Route> {
    vec![
        post("/v1/messages", "Answers a conversation in Anthropic's words.", messages::create)
            .takes::<MessagesRequest>()
            .answers::<MessageAnswer>(),
        post(
            "/v1/messages/count_tokens",
            "What a conversation costs as a prompt.",
            messages::count,
        )
        .takes::<MessagesRequest>()
        .answers::<TokenCount>(),
    ]
}

/// Ollama's words.
fn ollama_table() -> Vec<Route> {
    vec![
        post("/api/generate", "Answers a prompt in Ollama's words.", ollama::generate)
            .takes::<GenerateRequest>()
            .answers::<OllamaAnswer>(),
        post("/api/chat", "Answers a conversation in Ollama's words.", ollama::chat)
            .takes::<OllamaChatRequest>()
            .answers::<OllamaAnswer>(),
        get("/api/tags", "What a call may name, in Ollama's words.", ollama::models::tags)
            .answers::<OllamaModels>(),
        get("/api/ps", "Which experts are in memory.", ollama::models::resident)
            .answers::<OllamaModels>(),
        post("/api/show", "One expert in Ollama's words.", ollama::models::show)
            .takes::<ShowRequest>()
            .answers::<ShowAnswer>(),
        get("/api/version", "The version of Ollama whose API this is.", ollama::models::version)
            .answers::<OllamaVersion>(),
    ]
}

/// Texts and tokens, in the words of vLLM and llama.cpp.
fn text_table() -> Vec<Route> {
    vec![
        post("/completion", "Continues a text in llama.cpp's words.", completion::create)
            .takes::<TextRequest>()
            .answers::<CompletionAnswer>(),
        post("/tokenize", "The tokens of a text.", tokens::tokenize)
            .takes::<TokenizeRequest>()
            .answers::<TokenizeAnswer>(),
        post("/detokenize", "The text of tokens.", tokens::detokenize)
            .takes::<DetokenizeRequest>()
            .answers::<DetokenizeAnswer>(),
    ]
}

/// What operators use.
fn admin_table() -> Vec<Route> {
    [policy_table(), trial_table(), expert_table(), watch_table()].into_iter().flatten().collect()
}

fn policy_table() -> Vec<Route> {
    vec![
        get("/policies", "Every policy and its revisions.", policies::list).answers::<PolicyList>(),
        get("/policies/{name}", "One policy and its revisions.", policies::show)
            .answers::<Policy>(),
        post("/policies/{name}", "Uploads a component as a revision.", policies::upload)
            .takes_bytes("application/wasm")
            .reads(&[
                ("activate", "`true` puts it in force at once"),
                ("allow_new_imports", "`true` also when it imports what the one in force does not"),
            ])
            .makes::<Uploaded>(201),
        post("/policies/{name}/activate", "Puts a revision in force.", policies::activate)
            .takes::<Activate>()
            .answers::<Activation>(),
        post("/policies/{name}/deactivate", "Takes a policy out of force.", policies::deactivate)
            .answers::<Activation>(),
        post(
            "/policies/{name}/rollback",
            "Ends the canary of a policy, or undoes its newest activation.",
            policies::rollback,
        )
        .answers::<Activation>(),
        delete("/policies/{name}/revisions/{revision}", "Forgets a revision.", policies::remove)
            .answers_nothing(),
        post("/rollback", "Undoes the newest change of all.", activations::rollback)
            .answers::<Activation>(),
        get("/worlds", "What a policy may be built against.", worlds::show).answers::<Worlds>(),
        get("/activations", "Every remembered change, oldest first.", activations::list)
            .answers::<ActivationList>(),
        get("/pipeline", "Which policies run, and in which order.", pipeline::show)
            .answers::<PipelineStatus>(),
        put("/pipeline", "Sets the whole pipeline.", pipeline::set)
            .takes::<Pipeline>()
            .answers::<Activation>(),
    ]
}

/// Revisions on trial beside the one in force.
fn trial_table() -> Vec<Route> {
    vec![
        post(
            "/policies/{name}/shadow",
            "Lets a revision work beside the one in force, to be compared.",
            shadow::cast,
        )
        .takes::<Cast>()
        .answers::<Shadow>(),
        delete("/policies/{name}/shadow", "Ends that.", shadow::end).answers_nothing(),
        post(
            "/policies/{name}/replay",
            "Tries a component on recorded decisions, beside the revision in force.",
            replay::run,
        )
        .takes_bytes("application/wasm")
        .reads(&[("since_s", "how many seconds back, all that is kept when absent")])
        .answers::<Replay>(),
        post("/policies/{name}/promote", "Puts the canary in force for all.", policies::promote)
            .answers::<Activation>(),
    ]
}

fn expert_table() -> Vec<Route> {
    vec![
        get("/experts", "Where every expert stands, with findings.", experts::list_with_addresses)
            .answers::<ExpertList>(),
        post("/experts/{id}/load", "Loads an expert; answers when it is in memory.", experts::load)
            .answers::<Expert>(),
        post("/experts/{id}/unload", "Unloads an expert that is idle.", experts::unload)
            .answers::<Expert>(),
        post("/experts/{id}/pin", "Keeps an expert in memory.", experts::pin).answers::<Expert>(),
        post("/experts/{id}/unpin", "Lets an expert be evicted again.", experts::unpin)
            .answers::<Expert>(),
    ]
}

fn watch_table() -> Vec<Route> {
    vec![
        get("/decisions", "Recent calls, newest first.", decisions::list)
            .reads(&[("limit", "how many, 50 when absent")])
            .answers::<decisions::List>(),
        get(
            "/decisions/{decision}",
            "One recent call, by `x-signalbox-decision`.",
            decisions::show,
        )
        .answers::<decisions::One>(),
        post(
            "/reload",
            "Reads the configuration anew: experts, keys, aliases, limits, policies.",
            reload::run,
        )
        .answers::<Reload>(),
        get("/metrics", "Counters and gauges for Prometheus.", metrics::show)
            .answers_text(scrape::CONTENT_TYPE),
        get("/openapi.json", "This plane as an OpenAPI document.", openapi::show)
            .answers::<Value>(),
        get("/health", "Whether the process lives.", health::health).answers::<Health>(),
        get("/ready", "Whether calls should be sent here; 503 when not.", health::ready)
            .answers::<Ready>(),
    ]
}

/// The data plane of a listener on `local`: nothing is answered before the caller is known.
pub(crate) fn data(app: App, local: SocketAddr) -> Router {
    let door = ClientDoor::new(app.clone(), local);
    router("data", data_table())
        .layer(from_fn_with_state(door, access::clients))
        .layer(from_fn_with_state(app.clone(), observe::exchange))
        .with_state(app)
}

/// The admin plane of a listener on `local`: nothing is answered before the caller is known.
pub(crate) fn admin(app: App, local: SocketAddr) -> Router {
    let door = OperatorDoor::new(app.clone(), local);
    router("admin", admin_table())
        .layer(from_fn_with_state(door, access::operators))
        .layer(from_fn_with_state(app.clone(), observe::exchange))
        .with_state(app)
}

/// Routes, the document of them, and errors that name them for everything else.
fn router(plane: &str, table: Vec<Route>) -> Router<App> {
    let lines: Vec<String> = table.iter().map(|r| format!("{} {}", r.method, r.path)).collect();
    let known = lines.join(", ");
    let document = Document::new(plane, &table);
    let routes = table.into_iter().fold(Router::new(), |router, r| router.route(r.path, r.handler));
    routes
        .fallback(async move |method: Method, uri: Uri| unknown(&method, &uri, &known))
        .method_not_allowed_fallback(wrong_method)
        .layer(Extension(document))
}

fn unknown(method: &Method, uri: &Uri, known: &str) -> ApiError {
    let (method, path) = (clean(method.as_str(), SHOWN), clean(uri.path(), SHOWN));
    let message = format!("there is no endpoint {method} {path}; there are {known}");
    ApiError::client(StatusCode::NOT_FOUND, "unknown_endpoint", message)
}

async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    let message = format!(
        "{} does not answer {}; the methods it answers are in the 'allow' header",
        clean(uri.path(), SHOWN),
        clean(method.as_str(), SHOWN)
    );
    ApiError::client(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}
