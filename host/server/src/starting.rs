//! The time before there is a host: both ports answer at once, and say what is under way. Probes
//! find the process alive and not ready; nobody waits in the dark while a policy is compiled.

use std::{
    convert::Infallible,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json,
    body::Body,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use http_body_util::{BodyExt, Limited};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};

use crate::{
    error::ApiError,
    limits::{HEAD_BYTES_MAX, HEADERS_MAX},
};

/// Connections answered at once; more wait to be accepted.
const CONNECTIONS_MAX: usize = 64;
/// What one of them may take.
const CONNECTION: Duration = Duration::from_secs(5);
/// Bytes of a body that are read and dropped, so that its sender gets to read the answer.
const BODY_BYTES_MAX: usize = 64 << 10;
/// After a failed accept (out of file descriptors), before the next try.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a host that starts is doing. Cheap to clone; all clones say the same.
#[derive(Debug, Clone)]
pub struct Starting(Arc<Mutex<String>>);

impl Default for Starting {
    fn default() -> Self {
        Self(Arc::new(Mutex::new("experts are being read".to_owned())))
    }
}

impl Starting {
    /// Sets what is under way, in words for people.
    pub fn says(&self, under_way: String) {
        tracing::info!("starting: {under_way}");
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = under_way;
    }

    fn words(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Answers on both listeners that the host is starting, until `start` has resolved: alive for
/// `/health`, 503 for everything else. Connections are not kept, so that the next request meets the
/// host itself.
pub async fn while_starting<T>(
    planes: (&TcpListener, &TcpListener),
    starting: &Starting,
    start: impl Future<Output = T>,
) -> T {
    let mut start = pin!(start);
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let next = async {
            // The semaphore is never closed.
            let permit = room.clone().acquire_owned().await.ok();
            let accepted = tokio::select! {
                accepted = planes.0.accept() => accepted,
                accepted = planes.1.accept() => accepted,
            };
            (permit, accepted)
        };
        let (permit, accepted) = tokio::select! {
            biased;
            started = &mut start => return started,
            next = next => next,
        };
        match accepted {
            Ok((socket, _)) => {
                let starting = starting.clone();
                tokio::spawn(async move {
                    // Whoever takes longer is cut off; that is all there is to say.
                    let _ = timeout(CONNECTION, connection(socket, starting)).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(socket: TcpStream, starting: Starting) {
    let service = service_fn(move |request: Request<Incoming>| {
        let starting = starting.clone();
        async move {
            let path = request.uri().path().to_owned();
            // What is left unread of a larger body is its sender's loss.
            let _ = Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await;
            Ok::<Response<Body>, Infallible>(answer(&path, starting.words()))
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .header_read_timeout(CONNECTION)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(socket), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// What `/health` and `/ready` say.
#[derive(Serialize)]
struct Status {
    status: &'static str,
    ready: bool,
    under_way: String,
}

fn answer(path: &str, under_way: String) -> Response {
    let code = match path {
        "/health" => StatusCode::OK,
        "/ready" => StatusCode::SERVICE_UNAVAILABLE,
        _ => return ApiError::starting(&under_way).into_response(),
    };
    (code, Json(Status { status: "starting", ready: false, under_way })).into_response()
}
