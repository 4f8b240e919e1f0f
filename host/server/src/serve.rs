//! Serving two listeners until asked to stop, and stopping well: nobody new is accepted, replies
//! under way finish within a bound, the rest is cancelled with an error that says so.

mod wire;

use std::{
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body};
use futures_util::FutureExt;
use hyper::{Request, Uri, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;

use crate::{
    App,
    access::Peer,
    api,
    limits::{HEAD_BYTES_MAX, HEADERS_MAX},
    otel::export,
};
use wire::{Watch, Wire, wire};

/// After the drain, time for cancelled replies to say so; and for the decision log to be written.
const FAREWELL: Duration = Duration::from_secs(2);
/// Between foldings of histogram samples.
const UPKEEP: Duration = Duration::from_secs(5);
/// After a failed accept (out of file descriptors), before the next try.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Of failed accepts in a row, the first and then every so manieth is logged: one in 30 s.
const ACCEPT_TRIES_LOGGED: u64 = 300;

/// Serves clients on `data` and operators on `admin` until `shutdown` resolves. Then it stops
/// accepting, lets replies under way finish within the `drain` of its settings, cancels the
/// rest and returns. The admin plane answers until clients are gone.
///
/// # Errors
/// A listener without an address.
pub async fn run(
    app: App,
    data: TcpListener,
    admin: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let (data_at, admin_at) = (data.local_addr()?, admin.local_addr()?);
    tracing::info!(data = %data_at, admin = %admin_at, "serving");
    let (stop_data, data_stopped) = watch::channel(());
    let (stop_admin, admin_stopped) = watch::channel(());
    let mut chores = JoinSet::new();
    chores.spawn(warm(app.clone()));
    chores.spawn(upkeep(app.clone()));
    chores.spawn(export(app.pipeline().decisions.tracer()));
    let clients = tokio::spawn(plane(&app, data, api::data(app.clone(), data_at), data_stopped));
    let operators =
        tokio::spawn(plane(&app, admin, api::admin(app.clone(), admin_at), admin_stopped));
    shutdown.await;
    app.set_draining();
    let drain = app.settings().limits.drain();
    tracing::info!(?drain, "draining");
    drop(stop_data);
    let ((), _) = tokio::join!(app.fleet().shutdown(drain), clients);
    drop(stop_admin);
    let _ = operators.await;
    app.pipeline().decisions.written(FAREWELL).await;
    app.pipeline().decisions.tracer().flushed(FAREWELL).await;
    Ok(())
}

/// Marks the server ready when the warm pool is done.
async fn warm(app: App) {
    app.fleet().warmed().await;
    app.set_warm();
    tracing::info!("ready");
}

async fn upkeep(app: App) {
    loop {
        sleep(UPKEEP).await;
        app.pipeline().telemetry.upkeep();
    }
}

/// One listener: accepts until stopped, then drains.
fn plane(
    app: &App,
    listener: TcpListener,
    routes: Router,
    mut stopped: watch::Receiver<()>,
) -> impl Future<Output = ()> + Send + use<> {
    let settings = app.settings();
    let write_stall = settings.limits.write_stall();
    let http = Arc::new(http(settings.limits.header_read()));
    let room = Arc::new(Semaphore::new(settings.limits.connections_max));
    let app = app.clone();
    async move {
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let mut stop = pin!(stopped.changed());
        loop {
            let (permit, socket, peer) = tokio::select! {
                _ = &mut stop => break,
                accepted = accept(&listener, &room) => accepted,
            };
            let socket = wire(socket, write_stall);
            let io = (stream(socket.0, write_stall), socket.1);
            let serving = connection(http.clone(), io, peer, routes.clone(), graceful.watcher());
            connections.spawn(async move {
                serving.await;
                drop(permit);
            });
            while connections.try_join_next().is_some() {}
        }
        drop(listener);
        let drain = app.settings().limits.drain();
        let _ = timeout(drain + FAREWELL, graceful.shutdown()).await;
    }
}

/// The next connection, once there is room for one.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> (Option<OwnedSemaphorePermit>, TcpStream, SocketAddr) {
    let permit = room.clone().acquire_owned().await.ok();
    let mut tries = 0u64;
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => return (permit, socket, peer),
            Err(error) => {
                if tries.is_multiple_of(ACCEPT_TRIES_LOGGED) {
                    tracing::warn!(%error, tries, "no connection can be accepted for now");
                }
                tries += 1;
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn http(header_read: Duration) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(header_read)
        // The wire watches for clients that are gone, and distinguishes them from those that still read.
        .half_close(true)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX);
    http
}

type Io = TokioIo<Pin<Box<TimeoutStream<Wire>>>>;

/// A client that reads nothing is dropped.
fn stream(socket: Wire, write_stall: Duration) -> Io {
    let mut stream = TimeoutStream::new(socket);
    stream.set_write_timeout(Some(write_stall));
    TokioIo::new(Box::pin(stream))
}

/// Doubled slashes and one at the end, which clients make when they join addresses, mean nothing.
fn plain(uri: &mut Uri) {
    let path = uri.path();
    if !path.contains("//") && (path.len() < 2 || !path.ends_with('/')) {
        return;
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut whole = uri.clone().into_parts();
    whole.path_and_query = format!("/{}{query}", parts.join("/")).parse().ok();
    if let Ok(plain) = Uri::from_parts(whole) {
        *uri = plain;
    }
}

/// One connection to its end; what ends it early is the client's affair. When the client is gone, so
/// is everything that was done for it.
async fn connection(
    http: Arc<http1::Builder>,
    (io, watch): (Io, Watch),
    peer: SocketAddr,
    routes: Router,
    watcher: Watcher,
) {
    let service = service_fn(|mut request: Request<Incoming>| {
        let answering = watch.answering(request.version());
        request.extensions_mut().insert(Peer(peer));
        plain(request.uri_mut());
        let answer = routes.clone().oneshot(request.map(Body::new));
        answer.inspect(move |_| drop(answering))
    });
    tokio::select! {
        served = watcher.watch(http.serve_connection(io, service)) => if let Err(error) = served {
            tracing::debug!(%error, %peer, "a connection ended early");
        },
        () = watch.left() => tracing::debug!(%peer, "a client left"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sent: &str, expect: &str) {
        let mut uri: Uri = sent.parse().unwrap();
        plain(&mut uri);
        assert_eq!(uri.to_string(), expect);
    }

    #[test]
    fn slashes_too_many_mean_nothing() {
        check("/", "/");
        check("/v1/models", "/v1/models");
        check("//v1/models", "/v1/models");
        check("/v1//chat///completions/", "/v1/chat/completions");
        check("/v1/models/?a=b//c/", "/v1/models?a=b//c/");
        check("///", "/");
        check("http://host//v1/models/", "http://host/v1/models");
        check("*", "*");
    }
}
