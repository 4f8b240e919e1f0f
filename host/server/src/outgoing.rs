//! Requests that this host makes itself: one exchange over a connection that was made for it, in clear or over TLS.
//! Everything is given up at once when the future is dropped.

mod place;

use std::{
    pin::pin,
    sync::{Arc, LazyLock},
};

use axum::http::{Request, Response};
use hyper::{
    body::{Body, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, pki_types::ServerName},
};

pub(crate) use place::{NoConnection, connect, is_public};

/// Headers of an answer, in number and in bytes.
const HEADERS_MAX: usize = 100;
const HEAD_BYTES_MAX: usize = 64 << 10;
/// What this host calls itself.
pub(crate) const AGENT: &str = concat!("signalbox/", env!("CARGO_PKG_VERSION"));

static TLS: LazyLock<TlsConnector> = LazyLock::new(|| {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    TlsConnector::from(Arc::new(config))
});

/// Talks TLS to a host of this name.
///
/// # Errors
/// A name that can't be certified, or a host that can't be trusted.
pub(crate) async fn secured(
    host: &str,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, std::io::Error> {
    let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
    TLS.connect(name, stream).await
}

/// Sends a request, and has its answer read.
///
/// # Errors
/// A connection that breaks off before there is an answer.
pub(crate) async fn exchange<B, T>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<B>,
    read: impl AsyncFnOnce(Response<Incoming>) -> T,
) -> Result<T, hyper::Error>
where
    B: Body + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut http = http1::Builder::new();
    http.max_headers(HEADERS_MAX).max_buf_size(HEAD_BYTES_MAX);
    let (mut sender, connection) = http.handshake(TokioIo::new(stream)).await?;
    let mut asking = pin!(async { Ok(read(sender.send_request(request).await?).await) });
    // The connection has to be driven along; its end says nothing, the answer's does.
    tokio::select! {
        done = &mut asking => return done,
        _ = connection => {}
    }
    asking.await
}
