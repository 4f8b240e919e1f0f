//! Every URL of both planes on one page. One file per endpoint group beside it: what it reads, what
//! it answers, and the handler.

mod activations;
mod chat;
mod completions;
mod decisions;
mod experts;
mod fields;
mod health;
mod input;
mod metrics;
mod models;
mod pipeline;
mod policies;
mod reply;
mod root;
mod sampling;
mod stats;

use std::net::SocketAddr;

use axum::{
    Router,
    handler::Handler,
    http::{Method, StatusCode, Uri},
    middleware::from_fn_with_state,
    routing::{self, MethodRouter},
};

#[cfg(any(test, fuzzing))]
pub(crate) use chat::read_any;
pub(crate) use reply::EXPERT_HEADER;

use signalbox_confine::clean;

use crate::{
    App,
    access::{self, ClientDoor, OperatorDoor},
    error::ApiError,
    observe,
};

/// Bytes of a path or a method that an error repeats.
const SHOWN: usize = 200;

/// What clients use.
fn data_table() -> Vec<Route> {
    vec![
        get("/", root::show),
        get("/health", health::health),
        get("/ready", health::ready),
        get("/stats", stats::show),
        get("/experts", experts::list),
        get("/metrics", metrics::show),
        get("/v1/models", models::list),
        get("/v1/models/{id}", models::show),
        post("/v1/chat/completions", chat::create),
        post("/v1/completions", completions::create),
    ]
}

/// What operators use.
fn admin_table() -> Vec<Route> {
    vec![
        get("/policies", policies::list),
        get("/policies/{name}", policies::show),
        post("/policies/{name}", policies::upload),
        post("/policies/{name}/activate", policies::activate),
        post("/policies/{name}/deactivate", policies::deactivate),
        post("/policies/{name}/rollback", policies::rollback),
        delete("/policies/{name}/revisions/{revision}", policies::remove),
        post("/rollback", activations::rollback),
        get("/activations", activations::list),
        get("/pipeline", pipeline::show),
        put("/pipeline", pipeline::set),
        get("/decisions", decisions::list),
        get("/experts", experts::list_with_addresses),
        post("/experts/{id}/load", experts::load),
        post("/experts/{id}/unload", experts::unload),
        post("/experts/{id}/pin", experts::pin),
        post("/experts/{id}/unpin", experts::unpin),
        get("/metrics", metrics::show),
        get("/health", health::health),
        get("/ready", health::ready),
    ]
}

/// The data plane of a listener on `local`: nothing is answered before the caller is known.
pub(crate) fn data(app: App, local: SocketAddr) -> Router {
    let door = ClientDoor::new(app.settings(), local);
    router(data_table())
        .layer(from_fn_with_state(door, access::clients))
        .layer(from_fn_with_state(app.clone(), observe::exchange))
        .with_state(app)
}

/// The admin plane of a listener on `local`: nothing is answered before the caller is known.
pub(crate) fn admin(app: App, local: SocketAddr) -> Router {
    let door = OperatorDoor::new(app.settings(), local);
    router(admin_table())
        .layer(from_fn_with_state(door, access::operators))
        .layer(from_fn_with_state(app.clone(), observe::exchange))
        .with_state(app)
}

/// One line of a table.
struct Route {
    method: &'static str,
    path: &'static str,
    handler: MethodRouter<App>,
}

fn get<H: Handler<T, App>, T: 'static>(path: &'static str, handler: H) -> Route {
    Route { method: "GET", path, handler: routing::get(handler) }
}

fn post<H: Handler<T, App>, T: 'static>(path: &'static str, handler: H) -> Route {
    Route { method: "POST", path, handler: routing::post(handler) }
}

fn put<H: Handler<T, App>, T: 'static>(path: &'static str, handler: H) -> Route {
    Route { method: "PUT", path, handler: routing::put(handler) }
}

fn delete<H: Handler<T, App>, T: 'static>(path: &'static str, handler: H) -> Route {
    Route { method: "DELETE", path, handler: routing::delete(handler) }
}

/// Routes, and errors that name them for everything else.
fn router(table: Vec<Route>) -> Router<App> {
    let lines: Vec<String> = table.iter().map(|r| format!("{} {}", r.method, r.path)).collect();
    let known = lines.join(", ");
    let routes = table.into_iter().fold(Router::new(), |router, r| router.route(r.path, r.handler));
    routes
        .fallback(async move |method: Method, uri: Uri| unknown(&method, &uri, &known))
        .method_not_allowed_fallback(wrong_method)
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
