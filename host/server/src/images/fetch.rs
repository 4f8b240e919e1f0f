//! One answer of one host, within a bound on bytes, whatever the host may say about other
//! places. Everything is given up at once when the fetch is dropped, because the client is gone.

use std::{
    net::SocketAddr,
    pin::pin,
    sync::{Arc, LazyLock},
    time::Duration,
};

use axum::{
    body::Bytes,
    http::{HeaderValue, Request, Response, StatusCode, header},
};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use signalbox_engine::ImageError;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, pki_types::ServerName},
};

use super::{ImageProblem, address::Address};

/// Until one address of a host has accepted.
const CONNECT_TIME: Duration = Duration::from_secs(3);
/// Headers of an answer, in number and in bytes.
const HEADERS_MAX: usize = 100;
const HEAD_BYTES_MAX: usize = 64 << 10;
const AGENT: &str = concat!("signalbox/", env!("CARGO_PKG_VERSION"));

static TLS: LazyLock<TlsConnector> = LazyLock::new(|| {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    TlsConnector::from(Arc::new(config))
});

/// Why there is no image, in words for a client: they show nothing of the network in between.
type Why = String;

/// What can go wrong with one fetch.
enum Failure {
    Unreachable(Why),
    NotAllowed,
    TooLarge,
}

/// Fetches an image.
pub(super) async fn fetch(
    address: &Address,
    hosts: &[String],
    bytes_max: usize,
) -> Result<Bytes, ImageProblem> {
    let host = format!("'{}'", address.host);
    answer(address, hosts, bytes_max).await.map_err(|failure| match failure {
        Failure::Unreachable(why) => ImageProblem::Unreachable { host, why },
        Failure::NotAllowed => {
            let why = "its name leads to an address that is not public".to_owned();
            ImageProblem::NotAllowed { host, why }
        }
        Failure::TooLarge => {
            ImageError::Heavy { bytes: bytes_max.saturating_add(1), max: bytes_max }.into()
        }
    })
}

fn unreachable(why: impl Into<Why>) -> Failure {
    Failure::Unreachable(why.into())
}

async fn answer(address: &Address, hosts: &[String], bytes_max: usize) -> Result<Bytes, Failure> {
    let stream = connect(address, hosts).await?;
    if !address.tls {
        return exchange(stream, address, bytes_max).await;
    }
    let name = ServerName::try_from(address.host.clone());
    let name = name.map_err(|_| unreachable("its name can't be certified"))?;
    match TLS.connect(name, stream).await {
        Ok(stream) => exchange(stream, address, bytes_max).await,
        Err(error) => {
            tracing::debug!(host = address.host, %error, "an image host can't be trusted");
            Err(unreachable("it can't be talked to over TLS"))
        }
    }
}

/// Connects to what the name stands for now; looking it up again might say something else.
async fn connect(address: &Address, hosts: &[String]) -> Result<TcpStream, Failure> {
    let found = lookup_host((address.host.as_str(), address.port)).await;
    let found: Vec<SocketAddr> = found.map_err(|_| unreachable("its name is not known"))?.collect();
    let known = !found.is_empty();
    let allowed = found.into_iter().filter(|found| address.leads_to(found.ip(), hosts));
    let mut allowed = allowed.peekable();
    if known && allowed.peek().is_none() {
        return Err(Failure::NotAllowed);
    }
    for place in allowed {
        match timeout(CONNECT_TIME, TcpStream::connect(place)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => tracing::debug!(%place, %error, "an image host does not accept"),
            Err(_) => tracing::debug!(%place, "an image host does not answer"),
        }
    }
    Err(unreachable("it accepts no connection"))
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    address: &Address,
    bytes_max: usize,
) -> Result<Bytes, Failure> {
    let mut http = http1::Builder::new();
    http.max_headers(HEADERS_MAX).max_buf_size(HEAD_BYTES_MAX);
    let (mut sender, connection) =
        http.handshake(TokioIo::new(stream)).await.map_err(|error| broken(address, &error))?;
    let request = request(address)?;
    let mut asking = pin!(async {
        let answer = sender.send_request(request).await.map_err(|e| broken(address, &e))?;
        body(answer, address, bytes_max).await
    });
    // The connection has to be driven along; its end says nothing, the answer's does.
    tokio::select! {
        done = &mut asking => return done,
        _ = connection => {}
    }
    asking.await
}

fn request(address: &Address) -> Result<Request<Empty<Bytes>>, Failure> {
    let authority = address.uri.authority().map_or("", |authority| authority.as_str());
    let path = address.uri.path_and_query().map_or("/", |path| path.as_str());
    Request::get(path)
        .header(header::HOST, authority)
        .header(header::USER_AGENT, HeaderValue::from_static(AGENT))
        .header(header::ACCEPT, "image/png, image/jpeg, image/webp")
        .header(header::CONNECTION, "close")
        .body(Empty::new())
        .map_err(|_| unreachable("it can't be asked for this"))
}

async fn body(
    answer: Response<Incoming>,
    address: &Address,
    bytes_max: usize,
) -> Result<Bytes, Failure> {
    match answer.status() {
        StatusCode::OK => {}
        status if status.is_redirection() => {
            return Err(unreachable("it sends us elsewhere, and we don't follow"));
        }
        status => return Err(unreachable(format!("it answers {}", status.as_u16()))),
    }
    match Limited::new(answer.into_body(), bytes_max).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::TooLarge),
        Err(error) => Err(broken(address, &error)),
    }
}

fn broken(address: &Address, error: &dyn std::fmt::Display) -> Failure {
    tracing::debug!(host = address.host, %error, "an image host broke off");
    unreachable("its answer breaks off")
}
