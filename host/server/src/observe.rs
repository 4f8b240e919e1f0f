//! Around every exchange: its id, its panics, its count, its line in the log.

use std::{panic::AssertUnwindSafe, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use tracing::Instrument;

use crate::{
    App,
    api::reply::EXPERT_HEADER,
    error::{ApiError, dialects::Shape},
    request_id::RequestId,
};

const REQUEST_ID_HEADER: &str = "x-request-id";
/// What is asked by whoever watches a host.
const PROBES: [&str; 3] = ["GET /health", "GET /ready", "GET /metrics"];

/// Answers one request whatever happens in its handler.
pub(crate) async fn exchange(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = RequestId::of(request.headers().get(REQUEST_ID_HEADER));
    request.extensions_mut().insert(id.clone());
    let endpoint = endpoint(&request);
    let span = tracing::info_span!("request", id = id.as_str(), endpoint);
    let shape = Shape::of(request.uri());
    let mut response = caught(&id, request, next).instrument(span.clone()).await;
    ApiError::measured(&mut response, || app.fleet().next_place());
    let mut response = shape.shaped(response, &id);
    response.headers_mut().insert(REQUEST_ID_HEADER, id.header());
    let status = response.status().as_u16();
    let expert = expert(response.headers());
    app.pipeline().telemetry.request(&endpoint, status, expert, began.elapsed());
    let took = began.elapsed();
    // Probes come every few seconds for as long as the host lives.
    span.in_scope(|| match PROBES.contains(&endpoint.as_str()) && status < 300 {
        true => tracing::debug!(status, expert, ?took, "answered"),
        false => tracing::info!(status, expert, ?took, "answered"),
    });
    response
}

/// A panic is this program's mistake: said as such, with the id that finds it in the log.
async fn caught(id: &RequestId, request: Request, next: Next) -> Response {
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            tracing::error!("a handler panicked");
            let id = id.as_str();
            let message = format!(
                "this is a mistake in the server; report it with request id '{id}' and the log"
            );
            ApiError::host(StatusCode::INTERNAL_SERVER_ERROR, "internal_panic", message)
                .into_response()
        }
    }
}

/// The route, not the path: a client can't make new labels.
fn endpoint(request: &Request) -> String {
    let path = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str);
    format!("{} {path}", known_method(request.method().as_str()))
}

fn known_method(method: &str) -> &str {
    match method {
        "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "OPTIONS" | "PATCH" => method,
        _ => "OTHER",
    }
}

fn expert(headers: &HeaderMap<HeaderValue>) -> &str {
    headers.get(EXPERT_HEADER).and_then(|value| value.to_str().ok()).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, middleware::from_fn_with_state, routing::get};
    use signalbox_engine::{Fleet, FleetLimits, FleetSettings, LazyLoading, PackFiles, Templates};
    use signalbox_policy::{Compile, PolicySettings};
    use tower::ServiceExt;

    use super::*;
    use crate::ServerSettings;

    fn app(registry: &tempfile::TempDir) -> App {
        let lazy_loading = LazyLoading {
            enabled: true,
            warmup_pool_size: 0,
            max_loaded_experts: 1,
            auto_unload_after: None,
            prefetch: false,
        };
        let fleet = FleetSettings {
            experts: vec![],
            lazy_loading,
            memory_bytes_max: 1,
            limits: FleetLimits { queue_max: 1 },
            templates: Templates::InProcess,
            pack_files: PackFiles::Off,
        };
        let policies = PolicySettings::new(registry.path(), Compile::InProcess);
        App::open(Fleet::start(fleet), policies, ServerSettings::default()).unwrap()
    }

    async fn mistaken() {
        panic!("a mistake in a handler");
    }

    #[tokio::test]
    async fn a_panic_is_an_error_that_names_its_request() {
        let registry = tempfile::tempdir().unwrap();
        let routes = Router::new().route("/", get(mistaken));
        let routes = routes.layer(from_fn_with_state(app(&registry), exchange));
        let request = Request::builder().header(REQUEST_ID_HEADER, "mine").body(Body::empty());
        let response = routes.oneshot(request.unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()[REQUEST_ID_HEADER], "mine");
        let body = axum::body::to_bytes(response.into_body(), 4096).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(text.contains("internal_panic") && text.contains("'mine'"), "{text}");
    }
}
